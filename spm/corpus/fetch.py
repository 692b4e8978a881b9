"""Download the videos of one shard; each ends as a row that says what came of it, and none fails the run.

python -m spm.corpus.fetch --config '{}' --manifest music.csv --shard 3 --shards 16 --store store --out 0003.parquet

A video is `ok`, or `gone` (removed, private), `blocked` (age, country, login, payment), `bad` (no media there), or
`retry` (what may come back: time-outs, server errors, "not a bot"). The store remembers; only `retry` is asked again.
"""

import errno
import logging
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from io import StringIO
from pathlib import Path
from threading import Event, Lock
from typing import Any

from pydantic import Field
from tqdm import tqdm
from yt_dlp import YoutubeDL
from yt_dlp.cookies import YoutubeDLCookieJar
from yt_dlp.utils import DownloadCancelled, YoutubeDLError

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.base.progress import progress
from spm.base.shards import shard_of
from spm.corpus.fetching import proxy
from spm.corpus.fetching.downloader import BoundedYoutubeDL, TooLarge, TooSlow, reject_playlists
from spm.corpus.fetching.errors import REASON_CHARS, classify_error, normalize_message
from spm.corpus.fetching.store import (
    MediaRecord,
    commit,
    digest_of,
    discard,
    is_current,
    load,
    media_of,
    save,
    unfinished,
    usable,
)
from spm.corpus.manifest import Video, address, is_remote, read
from spm.corpus.media import ffmpeg
from spm.corpus.media.limits import Bounds
from spm.corpus.media.probe import Unusable, probe_in_subprocess

LOG = logging.getLogger(__name__)
PROBING = Bounds(memory_mb=3000, time_s=60)
NO_NETWORK = [
    "-protocol_whitelist",
    "file,crypto,data",
]  # of ffmpeg; what asks is yt-dlp, through the door
OWN_FAULTS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
)  # of this machine, never of a video


class Fetch(Section):
    """How media are asked for. Politeness is worth more than speed: a site that takes offence serves nobody here."""

    format: str = (
        "bv*+ba/b"  # yt-dlp's selector: the best pictures and sound, or the best single file
    )
    short_side_px: int = Field(
        360, ge=16
    )  # of the pictures: the largest up to this, else the smallest above
    retries: int = Field(3, ge=1)  # attempts a video in one run
    backoff_s: float = Field(5.0, ge=0)  # before the second attempt; doubles with each further one
    timeout_s: float = Field(30.0, gt=0)  # of a silent connection
    sleep_s: float = Field(1.0, ge=0)  # before each video but the first
    rate_limit: int | None = Field(None, ge=1)  # bytes/s of each download; null: none
    cookies: str | None = None  # Netscape cookie file of a browser that is logged in; only read
    workers: int = Field(2, ge=1)  # downloads at once in a shard
    bot_limit: int = Field(3, ge=1)  # refusals of a robot in a row that end the shard early
    give_up_s: float = Field(3600, gt=0)  # after which a download is broken off
    max_mb: float = Field(4000, gt=0)  # of a download; more is no video for this
    private_hosts: tuple[
        str, ...
    ] = ()  # of this machine or its network, that may be asked all the same


@dataclass
class Session:
    """What the downloads of one shard share."""

    config: Fetch
    store: Path
    cookies: str | None  # text of the cookie file
    bar: "tqdm[Any]"
    proxy: str | None = None  # the door; None: whatever the environment names
    halt: Event = field(
        default_factory=Event
    )  # the run is over: nothing is begun, downloads break off
    lock: Lock = field(default_factory=Lock)
    refusals: int = 0  # in a row
    asked: int = 0  # videos

    @property
    def barred(self) -> bool:
        """Whether the site has refused often enough to stop asking."""
        return self.refusals >= self.config.bot_limit

    @property
    def terms(self) -> str:
        """What the answer hangs on, beside the address."""
        hosts = ",".join(self.config.private_hosts)
        return f"{self.config.format} cookies={self.config.cookies} max_mb={self.config.max_mb:g} hosts={hosts}"

    def hear(self, *, throttled: bool) -> None:
        """Count an answer."""
        with self.lock:
            self.refusals = self.refusals + 1 if throttled else 0

    def pause(self) -> None:
        """Wait between two videos."""
        with self.lock:
            self.asked += 1
            first = self.asked == 1
        self.halt.wait(0 if first else self.config.sleep_s)

    def watch(self, download: dict[str, Any]) -> None:
        """Show a download's progress; break it off when it is too large or too slow, or the run is over."""
        if self.halt.is_set():
            raise DownloadCancelled
        if download.get("downloaded_bytes", 0) > self.config.max_mb * 1e6:
            raise TooLarge
        if (download.get("elapsed") or 0) > self.config.give_up_s:
            raise TooSlow
        self.bar.set_postfix_str(
            f"{download.get('downloaded_bytes', 0) / 1e6:.1f} MB", refresh=False
        )


def options(session: Session, folder: Path) -> dict[str, Any]:
    """yt-dlp's options: no file outside the folder, and one attempt: `download` counts them, over all that can fail."""
    config = session.config
    return {
        "format": config.format,
        "format_sort": [f"res:{config.short_side_px}"],
        "noplaylist": True,
        "match_filter": reject_playlists,
        "outtmpl": {"default": str(folder).replace("%", "%%") + "/%(format_id)s.%(ext)s"},
        "retries": 0,
        "fragment_retries": config.retries,  # of each piece, where media come in pieces
        "retry_sleep_functions": {"fragment": lambda n: config.backoff_s * 2**n},
        "skip_unavailable_fragments": False,  # a hole in the sound is not a video
        "socket_timeout": config.timeout_s,
        "ratelimit": config.rate_limit,
        "cookiefile": session.cookies
        and StringIO(session.cookies),  # a file would be written back, by all at once
        "proxy": session.proxy,
        "ffmpeg_location": ffmpeg.binary(),
        "external_downloader_args": {"ffmpeg_i": NO_NETWORK},
        "progress_hooks": [session.watch],
        "logger": LOG,
        "noprogress": True,
        "quiet": True,
        "color": "no_color",
    }


def ask(note: MediaRecord, session: Session) -> MediaRecord:
    """Ask once for a video: its note, with what came of it.

    Raises
    ------
    UserError
        When this machine is at fault: no space left, or none allowed.
    """
    folder = unfinished(session.store, note.video_id)
    try:
        with BoundedYoutubeDL(options(session, folder)) as site:
            info = site.extract_info(note.address)
        media = Path(info["requested_downloads"][0]["filepath"])
        why = unfit(media)
    except (
        YoutubeDLError,
        HTTPException,
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        why = _reason(error, session.store)  # a page may break its reader in any of these ways
    if why:
        verdict = classify_error(why)
        session.hear(throttled=verdict.throttled)
        return replace(note, status=verdict.status, reason=why)
    session.hear(throttled=False)
    return commit(
        session.store,
        replace(note, status="ok", reason="", extractor=info["extractor"].lower()),
        media,
    )


def _reason(error: Exception, store: Path) -> str:
    message = str(error)
    for fault in OWN_FAULTS:
        if f"[Errno {fault}]" in message or os.strerror(fault) in message:
            raise UserError(
                f"store {store}: {os.strerror(fault)}: expected room for the media"
            ) from error
    return (
        normalize_message(message)
        if isinstance(error, YoutubeDLError)
        else normalize_message(f"{type(error).__name__}: {message}")
    )


def unfit(path: Path) -> str:
    """Why a file is no media; empty when it is. One that can't be read is an `OSError`."""
    with path.open("rb") as file:
        file.read(1)
    try:
        probe_in_subprocess(path, PROBING)
    except Unusable as why:
        return f"not media: {why.reason}"
    return ""


def download(note: MediaRecord, session: Session) -> MediaRecord:
    """Ask for a video until the answer is final, the attempts are used up, or the site wants no more; remember it."""
    session.pause()
    for pause_s in (
        0,
        *(session.config.backoff_s * 2**n for n in range(session.config.retries - 1)),
    ):
        session.halt.wait(pause_s)
        if session.barred or session.halt.is_set():
            break
        note = ask(note, session)
        if note.status != "retry":
            break
    if note.status in ("gone", "blocked", "bad"):
        discard(session.store, note.video_id)
    if note.status != "ok":
        save(session.store, note)
    return note


def row_of(note: MediaRecord, path: Path | None) -> dict[str, Any]:
    """The ledger's row: the path and digest of what is there, or the reason why nothing is."""
    row: dict[str, Any] = {
        name: getattr(note, name) for name in tables.LEDGER.names if name != "path"
    }
    return row | {"path": str(path) if path else ""}


def local(video_id: str, path: Path) -> dict[str, Any]:
    """The row of a video that is a file here already: it stays where it is."""
    note, shown = (
        MediaRecord(video_id, str(path), "", "bad", "", extractor="local"),
        str(path)[-REASON_CHARS:],
    )
    try:
        if not path.stat().st_size or not path.is_file():
            return row_of(
                replace(
                    note, reason=f"{shown}: {'an empty file' if path.is_file() else 'not a file'}"
                ),
                None,
            )
        if why := unfit(path):
            return row_of(replace(note, reason=why), None)
        return row_of(
            replace(note, status="ok", sha256=digest_of(path), bytes=path.stat().st_size), path
        )
    except FileNotFoundError:
        return row_of(replace(note, status="gone", reason=f"{shown}: no such file"), None)
    except OSError as error:
        return row_of(replace(note, reason=f"{shown}: {error.strerror}"), None)


def fetch(video: Video, place: str, session: Session) -> dict[str, Any]:
    """The ledger's row of one video; nothing is asked where the store knows the answer."""
    if video.flaw:
        return row_of(MediaRecord(video.video_id, place, "", "bad", video.flaw), None)
    if not is_remote(place):
        return local(video.video_id, Path(place))
    note = load(session.store, video.video_id)
    if note is None or not is_current(session.store, note, place, session.terms):
        reason = "not asked: the site takes this machine for a robot"
        note = download(MediaRecord(video.video_id, place, session.terms, "retry", reason), session)
    return row_of(note, media_of(session.store, note) if note.status == "ok" else None)


def fetch_all(videos: Sequence[Video], manifest: Path, session: Session) -> list[dict[str, Any]]:
    """Rows of all videos, some at a time; whatever ends the run breaks off the downloads under way."""
    pool = ThreadPoolExecutor(session.config.workers)
    try:
        places = ["" if video.flaw else address(video, manifest) for video in videos]
        jobs = [
            pool.submit(fetch, video, place, session)
            for video, place in zip(videos, places, strict=True)
        ]
        for job in as_completed(jobs):
            job.result()
            session.bar.update()
        return [job.result() for job in jobs]
    finally:
        session.halt.set()
        pool.shutdown(cancel_futures=True)


def cookies_of(config: Fetch) -> str | None:
    """The text of the cookie file, once it is known to hold cookies."""
    if config.cookies is None:
        return None
    try:
        text = Path(config.cookies).read_text(encoding="utf-8")
        YoutubeDLCookieJar(StringIO(text)).load()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cookies {config.cookies!r}: {error}: expected a cookie file in Netscape's format"
        ) from error
    return text


def check_format(config: Fetch) -> None:
    """Raise a `UserError` when yt-dlp does not understand the format."""
    try:
        YoutubeDL({"logger": LOG}).build_format_selector(config.format)
    except SyntaxError as error:
        raise UserError(
            f"format {config.format!r}: {error.msg}: expected a format selector of yt-dlp"
        ) from error


def run(config: Fetch, *, manifest: Path, shard: int, shards: int, store: Path, out: Path) -> None:
    """Fetch the videos of one shard into the store; leave the ledger of what came of each."""
    if not 0 <= shard < shards:
        raise UserError(f"shard {shard}: expected 0 to {shards - 1}, as there are {shards} shards")
    videos = read(manifest, wanted=lambda video_id: shard_of(video_id, shards) == shard)
    usable(store)
    check_format(config)
    cookies = cookies_of(config)
    bar: tqdm[Any] = progress([], "fetch", len(videos))
    try:
        with (
            bar,
            proxy.running(config.private_hosts, config.timeout_s, config.give_up_s) as proxy_url,
        ):
            rows = fetch_all(videos, manifest, Session(config, store, cookies, bar, proxy_url))
    except OSError as error:  # what befalls a video is in its row: this is the store's
        raise UserError(
            f"store {store}: {error}: expected a folder that can be written, with room"
        ) from error
    tables.write_rows(out, tables.LEDGER, sorted(rows, key=lambda row: str(row["video_id"])))
    counts = sorted(Counter(row["status"] for row in rows).items())
    print(
        "fetch:", ", ".join(f"{n} {status}" for status, n in counts) or "no videos", file=sys.stderr
    )


if __name__ == "__main__":
    stage.main(run)
