"""Where a file has several parts, of which libav reads only the first, or takes all for one codec.

The parts of a transport stream begin where its tables give a track another codec, or other tables
begin to count. Those of FLV and Ogg are files that were joined.
"""

import mmap
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from spm.corpus.media.programs import changes

MOST_SPANS = 100  # each is decoded by processes of its own
FLV = b"\x00\x00\x00\x09\x00\x00\x00\x00"  # length of the header, and of the tag before the first
OGG_PAGE = b"OggS\x00"  # how a page begins
# A page that begins a track: flag, time 0, number of the track, page 0
OGG_FIRST = re.compile(rb"OggS\x00[\x02\x06]\x00{8}.{4}\x00{4}", re.DOTALL)

Span = tuple[int, int]  # first byte, and the byte after the last


def find_spans(path: Path, container: str) -> list[Span]:
    """The parts of a file; one if it is a whole, or in another format.

    `container` is libav's name of the format.
    """
    find = STARTS.get(container)
    size = path.stat().st_size
    starts = sorted({0, *find(path)}) if find else [0]
    return list(zip(starts, [*starts[1:], size], strict=True))


def _flv(path: Path) -> Iterator[int]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(FLV)
        while place >= 0:
            if data[max(0, place - 5) : place - 1] == b"FLV\x01":
                yield place - 5
            place = data.find(FLV, place + 1)


def _ogg(path: Path) -> Iterator[int]:
    """A page that begins a track, after pages that do not, begins another file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place, in_head = data.find(OGG_PAGE), True
        while place >= 0:
            begins_track = bool(OGG_FIRST.match(data, place))
            if begins_track and not in_head:
                yield place
            in_head = begins_track
            place = data.find(OGG_PAGE, place + 1)


STARTS: dict[str, Callable[[Path], Iterator[int]]] = {
    "flv": _flv,
    "ogg": _ogg,
    "mpegts": changes,
}
