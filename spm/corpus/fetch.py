"""Download the videos of one shard; every video becomes a row of the ledger with its status.

python -m spm.corpus.fetch --config '{}' --manifest music.csv --shard 3 --shards 16
    --store store --out 0003.parquet

A video is `ok`, `gone` (removed, private), `blocked` (age, country, login, payment), `bad` (no
media at the address) or `retry` (errors that may be temporary: time-outs, server errors, "not a
bot"). The store keeps the outcomes; later runs request only `retry` again.
"""

import errno
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
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

from spm.base import schemas, stage, tables
from spm.base.config import UNIQUE, Section, Text
from spm.base.errors import UserError
from spm.base.progress import progress
from spm.base.shards import shard_of
from spm.base.statuses import FetchStatus
from spm.corpus.fetching import proxy
from spm.corpus.fetching.downloader import (
    BoundedYoutubeDL,
    TooLarge,
    TooSlow,
    reject_playlists,
)
from spm.corpus.fetching.errors import classify_error, reason_of
from spm.corpus.fetching.local import check_media, local_row
from spm.corpus.fetching.store import (
    MediaRecord,
    commit,
    discard,
    is_current,
    ledger_row,
    load,
    media_path,
    partial_folder,
    prepare,
    save,
)
from spm.corpus.manifest import Video, address, is_remote, read
from spm.corpus.media import ffmpeg

LOG = logging.getLogger(__name__)
# ffmpeg must not open connections of its own: only yt-dlp's requests pass through the proxy.
NO_NETWORK = ["-protocol_whitelist", "file,crypto,data"]
# Faults of this machine: no space left, quota exceeded, file too large, read-only file system.
MACHINE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# A page that an extractor can't read may raise any of these.
EXTRACTION_ERRORS = (
    YoutubeDLError, HTTPException, OSError, LookupError, ValueError, TypeError, AttributeError,
)  # fmt: skip
FINAL_FAILURES = (FetchStatus.GONE, FetchStatus.BLOCKED, FetchStatus.BAD)


class Fetch(Section):
    """How videos are downloaded.

    The keys from retries to give_up_s (except cookies) control how politely servers are asked;
    changing them reruns nothing.
    """

    format: Text = Field(
        "bv*+ba/b",
        description="yt-dlp's format selector; the default takes the best video and audio streams,"
        " or else the best single file.",
    )
    short_side_px: int = Field(
        360,
        ge=16,
        le=8_640,
        description="Wanted short side of the pictures, in px: the largest size up to this one, or"
        " else the smallest size above it.",
    )
    retries: int = Field(3, ge=1, le=100, description="Number of attempts per video in one run.")
    backoff_s: float = Field(
        5.0,
        ge=0,
        le=3_600,
        description="Wait before the second attempt, in s; it doubles with each further attempt.",
    )
    timeout_s: float = Field(
        30.0, gt=0, le=3_600, description="Longest wait for data on a connection, in s."
    )
    sleep_s: float = Field(1.0, ge=0, le=3_600, description="Wait between two videos, in s.")
    rate_limit: int | None = Field(
        None,
        ge=1,
        le=10_000_000_000,
        description="Highest rate of each download, in bytes/s; null: no limit.",
    )
    cookies: Text | None = Field(
        None,
        description="Cookie file in Netscape's format, from a browser with a login at the site. It"
        " is only read; null: none.",
    )
    workers: int = Field(2, ge=1, le=100, description="Number of simultaneous downloads per shard.")
    bot_limit: int = Field(
        3,
        ge=1,
        le=1_000,
        description='Consecutive refusals of automatic access ("not a bot", HTTP 429) after which'
        " a shard requests no further videos.",
    )
    give_up_s: float = Field(
        3600, gt=0, le=1_000_000, description="Longest duration of one download, in s."
    )
    max_mb: float = Field(
        4000,
        gt=0,
        le=10_000_000,
        description="Largest download, in MB; a larger video gets the status bad.",
    )
    private_hosts: tuple[Text, ...] = Field(
        (),
        json_schema_extra=UNIQUE,
        description="Hosts of this machine or of its network that may be contacted: names or"
        " numeric addresses, written as in the manifest. All others are refused.",
    )


@dataclass
class Session:
    """The state that the downloads of one shard share."""

    config: Fetch
    store: Path
    cookies: str | None  # text of the cookie file
    bar: "tqdm[Any]"
    proxy: str | None = None  # URL of the proxy; None: the environment's
    stop: Event = field(default_factory=Event)  # set at the end of the run: it ends all downloads
    lock: Lock = field(default_factory=Lock)
    refusals: int = 0  # of automatic access, consecutive
    started: int = 0  # downloads

    @property
    def throttled(self) -> bool:
        """Whether the site has refused automatic access often enough to stop."""
        return self.refusals >= self.config.bot_limit

    @property
    def terms(self) -> str:
        """The settings on which an outcome depends; text of the records in the store."""
        config = self.config
        hosts = ",".join(config.private_hosts)
        return f"{config.format} cookies={config.cookies} max_mb={config.max_mb:g} hosts={hosts}"

    def count_refusal(self, *, throttled: bool) -> None:
        """Count consecutive refusals of automatic access."""
        with self.lock:
            self.refusals = self.refusals + 1 if throttled else 0

    def pause(self) -> None:
        """Wait between two videos."""
        with self.lock:
            self.started += 1
            first = self.started == 1
        self.stop.wait(0 if first else self.config.sleep_s)

    def report_progress(self, download: dict[str, Any]) -> None:
        """Show the progress of a download; end it at a limit or at the end of the run."""
        received_mb = download.get("downloaded_bytes", 0) / 1e6
        if self.stop.is_set():
            raise DownloadCancelled
        if received_mb > self.config.max_mb:
            raise TooLarge
        if (download.get("elapsed") or 0) > self.config.give_up_s:
            raise TooSlow
        self.bar.set_postfix_str(f"{received_mb:.1f} MB", refresh=False)


def ydl_options(session: Session, folder: Path) -> dict[str, Any]:
    """Options of yt-dlp: all files in one folder, and a single attempt (`download` repeats it)."""
    config = session.config
    # yt-dlp would write a cookie file back, in all threads at once: it gets the text instead.
    cookies = session.cookies and StringIO(session.cookies)
    return {
        "format": config.format,
        "format_sort": [f"res:{config.short_side_px}"],
        "noplaylist": True,
        "match_filter": reject_playlists,
        "outtmpl": {"default": str(folder).replace("%", "%%") + "/%(format_id)s.%(ext)s"},
        "retries": 0,
        "fragment_retries": config.retries,  # of each fragment, where media come in fragments
        "retry_sleep_functions": {"fragment": lambda n: config.backoff_s * 2**n},
        "skip_unavailable_fragments": False,  # a video with a gap in its sound is not usable
        "socket_timeout": config.timeout_s,
        "ratelimit": config.rate_limit,
        "cookiefile": cookies,
        "proxy": session.proxy,
        "ffmpeg_location": ffmpeg.binary(),
        "external_downloader_args": {"ffmpeg_i": NO_NETWORK},
        "progress_hooks": [session.report_progress],
        "logger": LOG,
        "noprogress": True,
        "quiet": True,
        "color": "no_color",
    }


def attempt(record: MediaRecord, session: Session) -> MediaRecord:
    """Try to download a video once; its record with the outcome.

    Raises
    ------
    UserError
        When this machine can't store the media (no space, no permission).
    """
    folder = partial_folder(session.store, record.video_id)
    try:
        with BoundedYoutubeDL(ydl_options(session, folder)) as ydl:
            info = ydl.extract_info(record.address)
        media = Path(info["requested_downloads"][0]["filepath"])
        check_media(media)
    except EXTRACTION_ERRORS as error:
        _check_machine(error, session.store)
        outcome = classify_error(error)
        session.count_refusal(throttled=outcome.throttled)
        return replace(record, status=outcome.status, reason=reason_of(error))
    session.count_refusal(throttled=False)
    extractor = info["extractor"].lower()
    complete = replace(record, status=FetchStatus.OK, reason="", extractor=extractor)
    return commit(session.store, complete, media)


def _check_machine(error: Exception, folder: Path) -> None:
    """Raise a `UserError` where this machine is at fault. yt-dlp keeps only the message."""
    message = str(error)
    for number in MACHINE_ERRORS:
        text = os.strerror(number)
        if f"[Errno {number}]" in message or text in message:
            raise UserError(f"store {folder}: {text}: expected space for the media") from error


def _pauses_s(config: Fetch) -> Iterator[float]:
    """The wait before each attempt."""
    yield 0
    for n in range(config.retries - 1):
        yield config.backoff_s * 2**n


def download(record: MediaRecord, session: Session) -> MediaRecord:
    """Download a video, with repeated attempts, and store the record.

    It ends with a final outcome, after `fetch.retries` attempts, when the site refuses automatic
    access, or at the end of the run.
    """
    session.pause()
    for pause_s in _pauses_s(session.config):
        session.stop.wait(pause_s)
        if session.throttled or session.stop.is_set():
            break
        record = attempt(record, session)
        if record.status is not FetchStatus.RETRY:
            break
    if record.status in FINAL_FAILURES:
        discard(session.store, record.video_id)
    if record.status is not FetchStatus.OK:
        save(session.store, record)
    return record


def fetch(video: Video, location: str, session: Session) -> dict[str, Any]:
    """The row of one video; a valid record in the store needs no request.

    Parameters
    ----------
    video : Video
        The row of the manifest.
    location : str
        What `manifest.address` gives: an address or a path. Not used for a video with a flaw.
    session : Session
        The settings and the shared state.
    """
    if video.flaw:
        return ledger_row(
            MediaRecord(video.video_id, location, "", FetchStatus.BAD, video.flaw), None
        )
    if not is_remote(location):
        return local_row(video.video_id, Path(location))
    record = load(session.store, video.video_id)
    if record is None or not is_current(session.store, record, location, session.terms):
        reason = "not requested: the site refuses automatic access from this machine"
        record = MediaRecord(video.video_id, location, session.terms, FetchStatus.RETRY, reason)
        record = download(record, session)
    has_media = record.status is FetchStatus.OK
    return ledger_row(record, media_path(session.store, record) if has_media else None)


def fetch_all(videos: Sequence[Video], manifest: Path, session: Session) -> list[dict[str, Any]]:
    """Rows of all videos, several at a time; any end of the run stops the current downloads."""
    pool = ThreadPoolExecutor(session.config.workers)
    try:
        locations = ["" if video.flaw else address(video, manifest) for video in videos]
        jobs = [
            pool.submit(fetch, video, location, session)
            for video, location in zip(videos, locations, strict=True)
        ]
        for job in as_completed(jobs):
            job.result()
            session.bar.update()
        return [job.result() for job in jobs]
    finally:
        session.stop.set()
        pool.shutdown(cancel_futures=True)


def read_cookies(config: Fetch) -> str | None:
    """The text of the cookie file, after a check of its format."""
    if config.cookies is None:
        return None
    try:
        text = Path(config.cookies).read_text(encoding="utf-8")
        YoutubeDLCookieJar(StringIO(text)).load()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"fetch.cookies {config.cookies!r}: {error}: expected a file in Netscape's format"
        ) from error
    return text


def check_format(config: Fetch) -> None:
    """Raise a `UserError` when yt-dlp can't parse the format selector."""
    try:
        YoutubeDL({"logger": LOG}).build_format_selector(config.format)
    except SyntaxError as error:
        raise UserError(
            f"fetch.format {config.format!r}: {error.msg}: expected a format selector of yt-dlp"
        ) from error


def run(config: Fetch, *, manifest: Path, shard: int, shards: int, store: Path, out: Path) -> None:
    """Fetch the videos of one shard into the store, and write the ledger."""
    if not 0 <= shard < shards:
        raise UserError(f"shard {shard}: expected 0 to {shards - 1}, as there are {shards} shards")
    videos = read(manifest, wanted=lambda video_id: shard_of(video_id, shards) == shard)
    prepare(store)
    check_format(config)
    cookies = read_cookies(config)
    bar: tqdm[Any] = progress([], "fetch", len(videos))
    filtered = proxy.running(config.private_hosts, config.timeout_s, config.give_up_s)
    try:
        with bar, filtered as proxy_url:
            rows = fetch_all(videos, manifest, Session(config, store, cookies, bar, proxy_url))
    except OSError as error:  # errors of a video are in its row: this one is the store's
        raise UserError(
            f"store {store}: {error}: expected a writable folder with free space"
        ) from error
    tables.write_rows(out, schemas.LEDGER, sorted(rows, key=lambda row: str(row["video_id"])))
    counts = sorted(Counter(row["status"] for row in rows).items())
    summary = ", ".join(f"{count} {status}" for status, count in counts)
    print("fetch:", summary or "no videos", file=sys.stderr)


if __name__ == "__main__":
    stage.main(run)
