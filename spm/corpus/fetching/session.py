"""What the downloads of one shard share, and the options that yt-dlp gets from it."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from threading import Event, Lock
from typing import Any

from tqdm import tqdm
from yt_dlp.utils import DownloadCancelled

from spm.base.statuses import FetchStatus
from spm.corpus.fetching import parts
from spm.corpus.fetching.downloader import TooLarge, TooSlow, reject_playlists
from spm.corpus.fetching.settings import Fetch
from spm.corpus.fetching.sources import is_worth
from spm.corpus.fetching.store import MediaRecord
from spm.corpus.media import ffmpeg
from spm.corpus.windows import Window

LOG = logging.getLogger(__name__)
# ffmpeg must not open connections of its own: only requests that pass through the proxy.
NO_NETWORK = ["-protocol_whitelist", "file,crypto,data"]
NOT_REQUESTED = "not requested: the site refuses automatic access from this machine"
FILE_NAME = "/%(format_id)s%(section_start&-{}|)s%(section_end&-{}|)s.%(ext)s"
# Downloaded before and after a part: decoders of sound need what is before, and the last packets of
# both tracks shall be complete.
MARGIN_S = 1.0


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
    in_fragments: set[str] = field(default_factory=set)  # extractors without parts of videos

    @property
    def throttled(self) -> bool:
        """Whether the site has refused automatic access often enough to stop."""
        return self.refusals >= self.config.bot_limit

    @property
    def limits(self) -> parts.Limits:
        """Limits of one download."""
        return parts.Limits(self.config.max_mb, self.config.give_up_s, self.config.timeout_s)

    def new_record(self, name: str, location: str) -> MediaRecord:
        """The record of a download that was not tried yet."""
        config, cookies = self.config, self.cookies
        hosts = ",".join(config.private_hosts)
        terms = f"{config.format} max_mb={config.max_mb:g} hosts={hosts}"
        digest = hashlib.sha256(cookies.encode()).hexdigest()[:16] if cookies else ""
        return MediaRecord(name, location, terms, FetchStatus.RETRY, NOT_REQUESTED, cookies=digest)

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


def ydl_options(session: Session, folder: Path, wanted: Sequence[Window]) -> dict[str, Any]:
    """Options of yt-dlp: all files in one folder, and a single attempt (`download` repeats it).

    `wanted` are the parts of the video that are downloaded, if they are worth it.
    """
    config = session.config
    # yt-dlp would write a cookie file back, in all threads at once: it gets the text instead.
    cookies = session.cookies and StringIO(session.cookies)
    return {
        "format": config.format,
        "format_sort": [f"res:{config.short_side_px}", "hdr:sdr", "channels:2"],
        "noplaylist": True,
        "match_filter": reject_playlists,
        "outtmpl": {"default": str(folder).replace("%", "%%") + FILE_NAME},
        "download_ranges": _ranges(session, wanted),
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


def _ranges(session: Session, wanted: Sequence[Window]) -> Callable[..., list[dict[str, Any]]]:
    """What yt-dlp calls with a video to know which parts of it are downloaded."""

    def ranges(info: dict[str, Any], _: Any) -> list[dict[str, Any]]:
        if info["extractor"] in session.in_fragments or not is_worth(wanted, info.get("duration")):
            return [{}]
        return [
            {
                "start_time": max(part.start_s - MARGIN_S, 0.0),
                "end_time": part.end_s + MARGIN_S,
                "index": number,
            }
            for number, part in enumerate(wanted)
        ]

    return ranges
