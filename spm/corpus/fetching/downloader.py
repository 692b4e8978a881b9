"""What yt-dlp is not told by its options: it asks for one finished video, and reads no page without end."""

from functools import partial
from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.networking import Response
from yt_dlp.utils import DownloadCancelled

PAGE_BYTES = (
    64 << 20
)  # of a page, or a list of pieces, which is read whole; media are read a block at a time
OVER = ("http", "m3u8", "ism", "f4m")  # the protocols of pieces that come over http(s)


class SeveralVideos(DownloadCancelled):  # type: ignore[misc]
    """An address that would have a whole list downloaded."""

    msg = "a list of videos: expected the address of one"


class LiveNow(DownloadCancelled):  # type: ignore[misc]
    """A stream that would be downloaded without end."""

    msg = "live now: it may be a video later"


class OtherProtocol(DownloadCancelled):  # type: ignore[misc]
    """Media that a program of its own would ask for: where it goes can't be seen."""

    msg = "not over http: unsupported URL"


class TooLarge(DownloadCancelled):  # type: ignore[misc]
    """More bytes than a video has."""

    msg = "larger than fetch.max_mb, or a page of more than 64 MB"


class TooSlow(DownloadCancelled):  # type: ignore[misc]
    """A server that sends a little now and then."""

    msg = "took longer than fetch.give_up_s"


def reject_playlists(info: dict[str, Any], *, incomplete: bool = False) -> None:
    """Refuse what is not one finished video; yt-dlp asks this before it downloads, and of a list before its parts."""
    if info.get("playlist_id") or info.get("playlist_index"):
        raise SeveralVideos
    if info.get("is_live"):
        raise LiveNow
    if not all(each.startswith(OVER) for each in (info.get("protocol") or "http").split("+")):
        raise OtherProtocol


def _read(read: Any, amount: int | None = None) -> bytes:
    """A response's `read`, with an end."""
    content: bytes = read(amount if amount is not None else PAGE_BYTES + 1)
    if amount is None and len(content) > PAGE_BYTES:
        raise TooLarge
    return content


class BoundedYoutubeDL(YoutubeDL):  # type: ignore[misc]
    """yt-dlp, whose pages end."""

    def urlopen(self, req: Any) -> Response:
        """Ask; yt-dlp's extractors and its own downloaders all do it here."""
        response = super().urlopen(req)
        response.read = partial(_read, response.read)
        return response
