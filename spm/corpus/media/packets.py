"""The clock of each track, from the time stamps of its packets; nothing but first pictures decoded.

A player shows what the time stamps say. These are therefore what the decoded data are compared
with, and where the tracks of a file lose each other.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

BACK_S = 0.5  # a clock that goes back by more was set anew; less is overlap of joined files
RESET_S = 10.0  # ffmpeg removes larger jumps of the clock of a broadcast (-dts_delta_threshold)
FIRST_PACKETS = 300  # in which a picture is looked for


@dataclass
class Clock:
    """What the packets of one track say, in s on the container's clock."""

    packets: int = 0
    start_s: float | None = None  # the earliest presentation
    end_s: float = 0.0  # the latest
    length_s: float = 0.0  # sum of the steps of the clock, without jumps of more than RESET_S
    packets_s: float = 0.0  # sum of the lengths of the packets
    end_byte: int = 0  # place of the last packet in the file
    parts: list[tuple[float, float]] = field(default_factory=list)  # start and end of each part
    gap_s: float = 0.0  # the largest step ahead
    gap_at_s: float = 0.0
    first_s: float | None = None  # decoding time of the first packet
    picture: VideoFrame | None = field(default=None, repr=False)  # the first
    _last_s: float | None = None
    _step_s: float = 0.0

    def add(self, packet: "Packet[Stream]") -> None:
        """Take one packet into account."""
        self.packets += 1
        self.end_byte = max(self.end_byte, packet.pos or 0)
        unit = packet.time_base
        shown = packet.dts if packet.pts is None else packet.pts
        decoded = packet.pts if packet.dts is None else packet.dts
        if shown is None or decoded is None or packet.is_discard:
            return
        shown_s, decoded_s = float(shown * unit), float(decoded * unit)
        self._step_s = float((packet.duration or 0) * unit) or self._step_s
        self.packets_s += self._step_s
        self.start_s = shown_s if self.start_s is None else min(self.start_s, shown_s)
        self.end_s = max(self.end_s, shown_s + self._step_s)
        self._advance(decoded_s)
        first_s, end_s = self.parts[-1] if self.parts else (shown_s, shown_s)
        self.parts[-1:] = [(min(first_s, shown_s), max(end_s, shown_s + self._step_s))]

    def _advance(self, time_s: float) -> None:
        if self._last_s is None:
            self.first_s, self.length_s = time_s, self._step_s
        else:
            step_s = time_s - self._last_s
            if step_s < -BACK_S:  # a part begins; its first time stamps follow
                self.parts.append((math.inf, -math.inf))
            if step_s > self.gap_s:
                self.gap_s, self.gap_at_s = step_s, self._last_s
            self.length_s += step_s if -BACK_S <= step_s <= RESET_S else self._step_s
        self._last_s = time_s


def read_clocks(container: InputContainer, streams: Iterable[Stream]) -> dict[int, Clock]:
    """Clocks of the tracks of a file, by the number of the track; the whole file is read.

    A file that breaks off gives the clocks up to there.
    """
    clocks = {stream.index: Clock() for stream in streams}
    try:
        for packet in container.demux(*streams):
            if packet.size and packet.stream_index in clocks:
                clock = clocks[packet.stream_index]
                clock.add(packet)
                _decode_first(packet, clock)
    except av.FFmpegError:
        pass  # ffmpeg will report the damage
    except IndexError:
        pass  # PyAV, at the end of a file in which a track was added; that track is not used
    return clocks


def _decode_first(packet: "Packet[Stream]", clock: Clock) -> None:
    """Decode pictures until there is one."""
    if clock.picture or clock.packets > FIRST_PACKETS or not isinstance(packet.stream, VideoStream):
        return
    try:
        frames = packet.decode()
    except av.FFmpegError:
        return  # ffmpeg will report the damage, and may still decode later pictures
    clock.picture = next((frame for frame in frames if isinstance(frame, VideoFrame)), None)
