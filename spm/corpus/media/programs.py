"""Programmes of an MPEG transport stream: which packet identifiers (PIDs) belong together.

PyAV does not export libav's programmes, so the two tables that list them are read here: the
programme association table (PAT, PID 0) and a programme map table (PMT) per programme
(ISO/IEC 13818-1, 2.4.4).
"""

from collections.abc import Iterator
from pathlib import Path

SYNC = 0x47
SIZES = (188, 192, 204)  # of packets: plain, with a time stamp in front, with error correction
PACKETS = 5  # that must begin with the sync byte
READ_BYTES = 8 << 20  # of the file's start; tables are repeated at least every half second
PAT_PID, PAT_TABLE, PMT_TABLE = 0, 0, 2
CRC_BYTES, SHORTEST = 4, 16  # of a section


def read_programs(path: Path) -> dict[int, frozenset[int]]:
    """PIDs of each programme, by the number of the programme; empty where no table is found."""
    with path.open("rb") as file:
        data = file.read(READ_BYTES)
    map_pids: dict[int, int] = {}
    programs: dict[int, frozenset[int]] = {}
    for pid, section in _sections(data, map_pids):
        if pid == PAT_PID and section[0] == PAT_TABLE:
            map_pids.update({pid: number for number, pid in _associations(section)})
        elif section[0] == PMT_TABLE and pid in map_pids:
            number = int.from_bytes(section[3:5], "big")
            programs.setdefault(number, frozenset(_elementary_pids(section)))
    return programs


def _packets(data: bytes) -> Iterator[bytes]:
    """The 188 bytes of each packet, from its sync byte on."""
    for start in range(max(SIZES)):
        for size in SIZES:
            if all(data[start + n * size : start + n * size + 1] == b"G" for n in range(PACKETS)):
                yield from (data[n : n + 188] for n in range(start, len(data) - 187, size))
                return


def _sections(data: bytes, map_pids: dict[int, int]) -> Iterator[tuple[int, bytes]]:
    """Complete sections of the PAT and of the PMTs, with their PID.

    `map_pids` grows while the sections are read.
    """
    buffers: dict[int, bytes] = {}
    for packet in _packets(data):
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        if packet[0] != SYNC or (pid != PAT_PID and pid not in map_pids):
            continue
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
                yield pid, section[: length - CRC_BYTES]


def _associations(section: bytes) -> Iterator[tuple[int, int]]:
    """Number and PMT's PID of each programme."""
    for place in range(8, len(section) - 3, 4):
        number, pid = section[place : place + 2], section[place + 2 : place + 4]
        if any(number):  # 0 is the network's table
            yield int.from_bytes(number, "big"), int.from_bytes(pid, "big") & 0x1FFF


def _elementary_pids(section: bytes) -> Iterator[int]:
    place = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    while place + 5 <= len(section):
        yield int.from_bytes(section[place + 1 : place + 3], "big") & 0x1FFF
        place += 5 + (int.from_bytes(section[place + 3 : place + 5], "big") & 0xFFF)
