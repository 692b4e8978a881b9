"""The options that yt-dlp gets for one attempt."""

import logging
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from spm.base.printable import printable
from spm.corpus.fetching.downloader import TooLarge, reject_playlists
from spm.corpus.fetching.sources import is_worth
from spm.corpus.fetching.task import Task
from spm.corpus.media import ffmpeg
from spm.corpus.media.formats import FORMAT_LIST
from spm.corpus.windows import Window

# ffmpeg must not open connections of its own: only requests that pass through the proxy.
NO_NETWORK = ["-protocol_whitelist", "file,crypto,data"]
# And what yt-dlp's own programs read is a file that contains its media, not a list of files.
CONTAINED = ["-format_whitelist", FORMAT_LIST, *NO_NETWORK]
POSTPROCESSORS = (
    *("merger", "fixupm3u8", "fixupm4a", "fixupstretched", "fixuptimestamp", "fixupduration"),
    "fixupduplicatemoov",
)
POSTPROCESSOR_ARGS = {f"{name}+ffmpeg_i": CONTAINED for name in POSTPROCESSORS}
FILE_NAME = "/%(format_id)s%(section_start&-{}|)s%(section_end&-{}|)s.%(ext)s"
# Downloaded before and after a part: decoders of sound need what is before, and the last packets of
# both tracks shall be complete.
MARGIN_S = 1.0


class PrintableLog(logging.LoggerAdapter[logging.Logger]):
    """A log whose messages may have parts of web pages."""

    def process(self, msg: Any, kwargs: Any) -> tuple[str, Any]:
        """The message without characters that act on terminals."""
        return printable(str(msg)), kwargs


LOG = PrintableLog(logging.getLogger(__name__), {})


def ydl_options(task: Task, folder: Path, wanted: Sequence[Window]) -> dict[str, Any]:
    """Options of yt-dlp: all files in one folder, and a single attempt.

    `wanted` are the parts of the video that are downloaded, if they are worth it.
    """
    config = task.config
    # yt-dlp would write a cookie file back, in all processes at once: it gets the text instead.
    cookies = task.cookies and StringIO(task.cookies)
    return {
        "format": config.format,
        "format_sort": [f"res:{config.short_side_px}", "hdr:sdr", "channels:2"],
        "noplaylist": True,
        "match_filter": reject_playlists,
        "outtmpl": {"default": str(folder).replace("%", "%%") + FILE_NAME},
        "download_ranges": _ranges(task, wanted),
        "retries": 0,
        "fragment_retries": config.retries,  # of each fragment, where media come in fragments
        "retry_sleep_functions": {"fragment": lambda n: config.backoff_s * 2**n},
        "skip_unavailable_fragments": False,  # a video with a gap in its sound is not usable
        "socket_timeout": config.timeout_s,
        "ratelimit": config.rate_limit,
        "cookiefile": cookies,
        "proxy": task.proxy,
        "plugin_dirs": config.plugins,
        "ffmpeg_location": ffmpeg.binary(),
        "external_downloader_args": {"ffmpeg_i": NO_NETWORK},
        "postprocessor_args": POSTPROCESSOR_ARGS,
        "progress_hooks": [_check_size(config.max_mb)],
        "logger": LOG,
        "noprogress": True,
        "quiet": True,
        "color": "no_color",
    }


def _check_size(max_mb: float) -> Callable[[dict[str, Any]], None]:
    """What yt-dlp calls with the progress of a download."""

    def check(download: dict[str, Any]) -> None:
        if download.get("downloaded_bytes", 0) / 1e6 > max_mb:
            raise TooLarge

    return check


def _ranges(task: Task, wanted: Sequence[Window]) -> Callable[..., list[dict[str, Any]]]:
    """What yt-dlp calls with a video to know which parts of it are downloaded."""

    def ranges(info: dict[str, Any], _: Any) -> list[dict[str, Any]]:
        if info["extractor"] in task.in_fragments or not is_worth(wanted, info.get("duration")):
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
