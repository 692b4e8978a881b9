"""yt-dlp with the limits that its options lack: one finished video, and pages of bounded size."""

from functools import partial
from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.networking import Response

from spm.base.statuses import FetchStatus
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


class TooSlow(FetchError):
    """A download that exceeds the time limit."""

    msg = "took longer than fetch.give_up_s"
    status = FetchStatus.RETRY


class NotMedia(FetchError):
    """A file without readable pictures or sound."""


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


def _read_bounded(read: Any, amount: int | None = None) -> bytes:
    """Call a response's `read`; without an amount it would read until the server stops."""
    content: bytes = read(amount if amount is not None else PAGE_BYTES + 1)
    if amount is None and len(content) > PAGE_BYTES:
        raise TooLarge
    return content


class BoundedYoutubeDL(YoutubeDL):  # type: ignore[misc]
    """yt-dlp that reads at most PAGE_BYTES of a page."""

    def urlopen(self, req: Any) -> Response:
        """Send a request; all extractors and downloaders of yt-dlp use this method."""
        response = super().urlopen(req)
        response.read = partial(_read_bounded, response.read)
        return response
