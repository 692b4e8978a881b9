"""Programmes of an MPEG transport stream: which packet identifiers (PIDs) belong together.

PyAV does not export libav's programmes, so the two tables that list them are read here: the
programme association table (PAT, PID 0) and a programme map table (PMT) per programme
(ISO/IEC 13818-1, 2.4.4).
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SYNC = 0x47
PACKET_BYTES = 188
SIZES = (188, 192, 204)  # of packets: plain, with a time stamp in front, with error correction
PACKETS = 5  # that must begin with the sync byte
READ_BYTES = 8 << 20  # at once; the tables are repeated at least every half second
PAT_PID, PAT_TABLE, PMT_TABLE = 0, 0, 2
CRC_BYTES, SHORTEST = 4, 16  # of a section
NEAR_BYTES = 4 * max(SIZES)
# Descriptors: registration; and AC-3, E-AC-3, DTS, AAC and others of DVB (ETSI EN 300 468)
CODEC_TAGS = (0x05, 0x6A, 0x7A, 0x7B, 0x7C, 0x7F)


class TableSection(NamedTuple):
    """A complete section of a table, without its checksum."""

    byte: int  # place of its last packet in the file
    pid: int
    body: bytes

    def is_read(self, map_pids: Collection[int]) -> bool:
        """Whether it is a table of programmes, or of the streams of one."""
        if self.pid == PAT_PID:
            return self.body[0] == PAT_TABLE
        return self.body[0] == PMT_TABLE and self.pid in map_pids

    def contents(self) -> dict[int, object]:
        """PID of each programme's table by its number, or the codec of each stream by its PID."""
        return dict(_associations(self.body) if self.pid == PAT_PID else _elementary(self.body))


def read_programs(path: Path) -> dict[int, frozenset[int]]:
    """PIDs of each programme, by the number of the programme; empty where no table is found.

    Only the start of the file counts.
    """
    programs: dict[int, frozenset[int]] = {}
    for section, number in _maps(path, READ_BYTES):
        programs.setdefault(number, frozenset(pid for pid, _ in _elementary(section.body)))
    return programs


def changes(path: Path) -> Iterator[int]:
    """Where the tables give a track another codec, or name other tables; places in bytes."""
    map_pids: dict[int, int] = {}
    known: dict[int, dict[int, object]] = {}  # what each table says, by its PID
    bodies: dict[int, bytes] = {}
    pat_byte = 0
    for section in _sections(_packets(path, path.stat().st_size, map_pids)):
        if section.pid == PAT_PID:
            pat_byte = section.byte
        if bodies.get(section.pid) == section.body or not section.is_read(map_pids):
            continue
        found = section.contents()
        if _contradict(known.get(section.pid, {}), found):
            # The table of programmes that comes just before belongs to the part.
            is_near = section.byte - pat_byte <= NEAR_BYTES
            yield pat_byte if is_near else section.byte
            known.clear()
            bodies.clear()
        known[section.pid], bodies[section.pid] = found, section.body
        if section.pid == PAT_PID:
            map_pids.clear()
            map_pids.update({pid: number for number, pid in _associations(section.body)})


def _contradict(old: dict[int, object], new: dict[int, object]) -> bool:
    """Whether a table says something else of the same key, or is of nothing that was there."""
    if any(new.get(key, value) != value for key, value in old.items()):
        return True
    return bool(old and new) and old.keys().isdisjoint(new)


def _maps(path: Path, most_bytes: int) -> Iterator[tuple[TableSection, int]]:
    """The programme map tables, each with the number of its programme."""
    map_pids: dict[int, int] = {}
    for section in _sections(_packets(path, most_bytes, map_pids)):
        if not section.is_read(map_pids):
            continue
        if section.pid == PAT_PID:
            map_pids.update({pid: number for number, pid in _associations(section.body)})
        else:
            yield section, int.from_bytes(section.body[3:5], "big")


def _packets(
    path: Path, most_bytes: int, map_pids: dict[int, int]
) -> Iterator[tuple[int, int, bytes]]:
    """Place, PID and bytes of the packets of the PAT and of the PMTs.

    `map_pids` may grow while the packets are read.
    """
    place, size = 0, 0
    with path.open("rb") as file:
        while place < most_bytes:
            file.seek(place)
            data = file.read(READ_BYTES)
            start, size = (0, size) if _in_sync(data, 0, size) else _synchronize(data)
            if not size:
                return
            packets = _rows(data[start:], size)
            for row, pid in _select(packets, map_pids):
                yield place + start + row * size, pid, packets[row, :PACKET_BYTES].tobytes()
            place += start + len(packets) * size


def _synchronize(data: bytes) -> tuple[int, int]:
    """Start of the first packet and size of the packets; 0 where there are none."""
    for start in range(max(0, len(data) - PACKETS * max(SIZES))):
        if data[start] == SYNC:
            for size in SIZES:
                if _in_sync(data, start, size):
                    return start, size
    return 0, 0


def _in_sync(data: bytes, start: int, size: int) -> bool:
    """Whether packets of a size begin at a place; of the last ones, fewer are enough."""
    ends = range(start, min(len(data), start + PACKETS * size), size or 1)
    return size > 0 and len(data) >= start + PACKET_BYTES and all(data[n] == SYNC for n in ends)


def _rows(data: bytes, size: int) -> NDArray[np.uint8]:
    """Packets up to the first that does not begin with the sync byte, (packets, 188)."""
    count = (len(data) - PACKET_BYTES) // size + 1
    padded = np.zeros(count * size, np.uint8)
    values = np.frombuffer(data, np.uint8)[: count * size]
    padded[: len(values)] = values
    rows = padded.reshape(count, size)
    lost = np.flatnonzero(rows[:, 0] != SYNC)
    return rows[: lost[0] if len(lost) else count, :PACKET_BYTES]


def _select(packets: NDArray[np.uint8], map_pids: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Row and PID of the packets of the PAT and of the PMTs that are known by then."""
    pids = (packets[:, 1].astype(int) & 0x1F) << 8 | packets[:, 2]
    start = 0
    while start < len(pids):
        wanted = [PAT_PID, *map_pids]
        for row in start + np.flatnonzero(np.isin(pids[start:], wanted)):
            yield int(row), int(pids[row])
            start = int(row) + 1
            if wanted != [PAT_PID, *map_pids]:
                break
        else:
            return


def _sections(packets: Iterator[tuple[int, int, bytes]]) -> Iterator[TableSection]:
    """The complete sections of some packets."""
    buffers: dict[int, bytes] = {}
    for place, pid, packet in packets:
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if packet[1] & 0x40 and payload:  # a section begins, after a pointer
            buffers[pid] = payload[1 + payload[0] :]
        else:
            buffers[pid] = buffers.get(pid, b"") + payload
        section = buffers[pid]
        length = 3 + (int.from_bytes(section[1:3], "big") & 0xFFF)
        if len(section) >= max(length, SHORTEST):
            del buffers[pid]
            if length >= SHORTEST:
                yield TableSection(place, pid, section[: length - CRC_BYTES])


def _associations(section: bytes) -> Iterator[tuple[int, int]]:
    """Number and PMT's PID of each programme."""
    for place in range(8, len(section) - 3, 4):
        number, pid = section[place : place + 2], section[place + 2 : place + 4]
        if any(number):  # 0 is the network's table
            yield int.from_bytes(number, "big"), int.from_bytes(pid, "big") & 0x1FFF


def _elementary(section: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    """PID and codec of each stream: its type, and the descriptors that name its codec."""
    place = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    while place + 5 <= len(section):
        end = place + 5 + (int.from_bytes(section[place + 3 : place + 5], "big") & 0xFFF)
        tags = [section[place]]
        place, pid = place + 5, int.from_bytes(section[place + 1 : place + 3], "big") & 0x1FFF
        while place + 2 <= min(end, len(section)):
            tag, size = section[place], section[place + 1]
            if tag in CODEC_TAGS:
                tags += [tag, *section[place + 2 : place + 2 + size][:4]]
            place += 2 + size
        yield pid, tuple(tags)
        place = end
