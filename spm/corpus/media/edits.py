"""Edit lists of MP4 and QuickTime files (ISO/IEC 14496-12, 8.6.6).

libav plays the later pieces of an edit list from the packet in which they begin, so that the sound
of each piece is late by a part of a packet. The lists are read here, and each piece is decoded by
itself.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

FOLDERS = {b"moov", b"trak", b"edts", b"mdia"}  # boxes that contain boxes
WANTED = {b"mvhd": 24, b"mdhd": 24, b"elst": 8}  # and the bytes that they have at least
MAX_BOX_BYTES = 1 << 20
MAX_BOXES = 100_000
NORMAL_RATE = 1 << 16  # fixed point


class Piece(NamedTuple):
    """A piece of a track that is shown or played, in s."""

    media_s: float  # where it begins on the clock of the track's samples
    begin_s: float  # where it begins on the clock of the film
    length_s: float
    speed: float = 1.0

    @property
    def end_s(self) -> float:
        """Where it ends on the clock of the film."""
        return self.begin_s + self.length_s


def read_edits(path: Path) -> list[tuple[Piece, ...]]:
    """The pieces of each track, in the order of the tracks; none where a track has no edit list."""
    tracks: list[dict[bytes, bytes]] = []
    film_scale = 1
    with path.open("rb") as file:
        for kind, body in _boxes(file, 0, path.stat().st_size):
            if kind == b"mvhd":
                film_scale = _scale(body)
            elif kind == b"trak":
                tracks.append({})
            elif tracks:
                tracks[-1].setdefault(kind, body)
    return [_pieces(track, film_scale) for track in tracks]


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of the wanted boxes; a track's own box has no body."""
    for _ in range(MAX_BOXES):
        file.seek(start)
        header = file.read(16)
        if start + 8 > end or len(header) < 8:
            return
        size, kind, head = int.from_bytes(header[:4], "big"), header[4:8], 8
        if size == 1:
            size, head = int.from_bytes(header[8:16], "big"), 16
        size = size or end - start  # 0: to the end of the file
        if size < head:
            return
        if kind in FOLDERS:
            yield kind, b""
            yield from _boxes(file, start + head, min(start + size, end))
        elif kind in WANTED and size <= MAX_BOX_BYTES:
            file.seek(start + head)
            if len(body := file.read(size - head)) >= WANTED[kind]:
                yield kind, body
        start += size


def _scale(header: bytes) -> int:
    """Ticks per second of an `mvhd` or `mdhd`."""
    place = 20 if header[0] == 1 else 12
    return max(1, int.from_bytes(header[place : place + 4], "big"))


def _pieces(track: dict[bytes, bytes], film_scale: int) -> tuple[Piece, ...]:
    """The pieces of a track's edit list; empty edits move the next piece only."""
    if b"elst" not in track or b"mdhd" not in track:
        return ()
    body, media_scale = track[b"elst"], _scale(track[b"mdhd"])
    entry = ">QqI" if body[0] == 1 else ">IiI"
    count = int.from_bytes(body[4:8], "big")
    entries = body[8 : 8 + count * struct.calcsize(entry)]
    entries = entries[: len(entries) - len(entries) % struct.calcsize(entry)]
    pieces, ticks = [], 0
    for length, media, rate in struct.iter_unpack(entry, entries):
        if media >= 0:
            times_s = (media / media_scale, ticks / film_scale, length / film_scale)
            pieces.append(Piece(*times_s, rate / NORMAL_RATE))
        ticks += length
    return tuple(pieces)
