"""yt-dlp with the limits that its options lack.

One finished video, pages of bounded size, no file joined from two, and parts of videos through the
proxy.
"""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.postprocessor import FFmpegPostProcessor

from spm.base.statuses import FetchStatus
from spm.corpus.fetching import leftover, parts, plugins
from spm.corpus.fetching.errors import FetchError

# Largest page or list of fragments, which are read as a whole. Media are read block by block.
PAGE_BYTES = 64 << 20
HTTP_PROTOCOLS = ("http", "m3u8", "ism", "f4m")  # prefixes of protocols that run over HTTP(S)


class ManyVideos(FetchError):
    """An address that leads to a list of videos."""

    msg = "the address of a list of videos; expected the address of one video"


class LiveNow(FetchError):
    """A live stream, whose download would not end."""

    msg = "a live stream: it may become a video later"
    status = FetchStatus.RETRY


class OtherProtocol(FetchError):
    """Media that an external program would download: its requests can't be filtered."""

    msg = "the media are not served over HTTP"


class TooLarge(FetchError):
    """A video or a page that exceeds the limit of its size."""

    msg = f"larger than fetch.max_mb, or a page of more than {PAGE_BYTES >> 20} MiB"


def reject_playlists(info: dict[str, Any], *, incomplete: bool = False) -> None:
    """Refuse all but one finished video.

    yt-dlp calls it (`match_filter`) before a download, and for a list before the entries.
    """
    if info.get("playlist_id") or info.get("playlist_index"):
        raise ManyVideos
    if info.get("is_live"):
        raise LiveNow
    protocols = (info.get("protocol") or "http").split("+")
    if not all(protocol.startswith(HTTP_PROTOCOLS) for protocol in protocols):
        raise OtherProtocol


class BoundedReader:
    """A response's `read` that stops at PAGE_BYTES where no amount is asked for.

    `start` are the first bytes of the body, which were read before.
    """

    def __init__(self, read: Callable[[int], bytes], start: bytes) -> None:
        self.read, self.start = read, start

    def __call__(self, amount: int | None = None) -> bytes:
        """At most `amount` bytes, or the whole body."""
        start, self.start = self.start, b""
        if amount is not None:
            return start or self.read(amount)
        content = start + self.read(PAGE_BYTES + 1)
        if len(content) > PAGE_BYTES:
            raise TooLarge
        return content


class BoundedYoutubeDL(YoutubeDL):  # type: ignore[misc]
    """yt-dlp with limits.

    Parameters
    ----------
    options : dict
        yt-dlp's.
    bounds : Limits
        Limits of the download of a part of a video, which yt-dlp's progress hooks do not see.
    """

    def __init__(self, options: dict[str, Any], bounds: parts.Limits) -> None:
        self.bounds = bounds
        self.leftover: leftover.Leftover | None = None  # of the file that is being downloaded
        # As yt-dlp's command line does: parts are refused where no ffmpeg is known.
        FFmpegPostProcessor._ffmpeg_location.set(options["ffmpeg_location"])
        plugins.load(options.get("plugin_dirs", ()))
        super().__init__(options)

    def dl(self, name: str, info: dict[str, Any], *args: Any, **options: Any) -> tuple[bool, bool]:
        """Download one file; yt-dlp calls it for each format."""
        signal.alarm(0)  # the pages are read
        if info.get("section_end") is not None:
            parts.download(self, info, Path(name), self.bounds)
            return True, True
        in_one_file = info.get("protocol") in ("http", "https")
        if not in_one_file:
            leftover.remove_fragments(name)
        self.leftover = leftover.Leftover(name) if in_one_file else None
        try:
            done: tuple[bool, bool] = super().dl(name, info, *args, **options)
            if self.leftover:
                self.leftover.check_length()
            return done
        finally:
            self.leftover = None

    def urlopen(self, req: Any) -> Response:
        """Send a request; all extractors and downloaders of yt-dlp use this method."""
        try:
            response = super().urlopen(req)
        except HTTPError as error:
            if self.leftover and error.status == 416:  # the file is shorter than the left-over part
                raise leftover.OtherFile from error
            raise
        start = self.leftover.check(req, response) if self.leftover else b""
        response.read = BoundedReader(response.read, start)
        return response
