"""What is known of a media file before it is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spm.base.statuses import VideoStatus
from spm.corpus.media.edits import Piece

MOST_GAP_S = 0.5  # between two parts of one clock
GUESSED_CHANNELS = 8  # up to this number, ffmpeg guesses the usual layout


class Unusable(Exception):
    """A file without usable media: its status in the table of videos, and the reason."""

    def __init__(self, status: VideoStatus, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Pictures:
    """The video track that is used."""

    stream: int  # its number in the file
    width: int  # px, as stored: before rotation
    height: int
    pixel_aspect: float  # width of a pixel per height, as players show it
    fps: float | None  # mean rate
    rotation_deg: int  # counter-clockwise, as players apply it
    mirrored: bool
    transfer: str  # sdr, pq or hlg
    wide_gamut: bool  # colors of BT.2020
    interlaced: bool
    late_s: float  # by how much its time stamps are late
    length_s: float  # from the start of the file's clock, by its time stamps
    pieces: tuple[Piece, ...] = ()  # of its edit list, where that has several

    @property
    def colors(self) -> tuple[str, bool]:
        """What a conversion of its colors depends on."""
        return self.transfer, self.wide_gamut

    @property
    def quarter_turns(self) -> int | None:
        """Counter-clockwise quarter turns; None where pictures are mirrored or turned otherwise."""
        turns, rest_deg = divmod(self.rotation_deg % 360, 90)
        return None if self.mirrored or rest_deg else turns


@dataclass(frozen=True)
class Sound:
    """The audio track that is used."""

    stream: int
    rate_hz: int
    channels: int
    layout: str  # libav's name
    length_s: float
    packets_s: float  # sum of the lengths of its packets, without gaps
    pieces: tuple[Piece, ...] = ()

    @property
    def ambisonic(self) -> bool:
        """Whether the first channel is the sound from all directions (W)."""
        return self.layout.startswith("ambisonic")

    @property
    def unknown_layout(self) -> bool:
        """Whether nothing says where the channels are, and their number is not usual."""
        return self.channels > GUESSED_CHANNELS and self.layout.endswith("channels")


@dataclass(frozen=True)
class Media:
    """The clock of a file and its two tracks; None for a track that is missing."""

    container: str  # libav's name
    start_s: float  # zero of the clock: the earliest time stamp of the used tracks
    file_start_s: float  # the earliest time stamp of all tracks
    jumps: bool  # a broadcast format, whose clock starts at any time and may be reset
    length_s: float | None  # from the zero of the clock, as stated by the container
    program: int | None  # the programme of a transport stream
    pictures: Pictures | None
    sound: Sound | None
    joins_s: tuple[float, ...]  # what is added to the time stamps of each part after the first
    span: tuple[int, int] | None  # of the file's bytes; None: all
    parts: "tuple[Media, ...]"  # of a file in several parts, each with its own clock
    fault: str  # where a track leaves the clock, or what else is wrong; empty: nothing

    @property
    def is_stereo(self) -> bool:
        """Whether all of its sound has two channels."""
        tracks = (part.sound for part in self.parts or (self,))
        return all(track is not None and track.channels == 2 for track in tracks)

    @property
    def spread_s(self) -> float:
        """Length of its longer track."""
        return max((track.length_s for track in (self.pictures, self.sound) if track), default=0.0)


def begins_s(parts: Sequence[Media]) -> list[float]:
    """Where each part begins on the clock of the first, and where the last one ends.

    That is where the longer track of the part before it ends, unless the clock of a broadcast goes
    on and says it better.
    """
    begins = [0.0]
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        step_s = following.start_s - part.start_s if following and following.jumps else 0.0
        goes_on = step_s > 0 and abs(step_s - part.spread_s) < MOST_GAP_S
        begins.append(begins[-1] + (step_s if goes_on else part.spread_s))
    return begins


def join(parts: Sequence[Media], fault: str) -> Media:
    """A file of several parts."""
    first, last, before_s = parts[0], parts[-1], begins_s(parts)[-2]
    faults = [*(part.fault for part in parts if part.fault), fault]
    pictures, sound = first.pictures, first.sound
    if pictures and last.pictures:
        pictures = replace(pictures, length_s=before_s + last.pictures.length_s)
    if sound and last.sound:
        packets_s = sum(part.sound.packets_s for part in parts if part.sound)
        sound = replace(sound, length_s=before_s + last.sound.length_s, packets_s=packets_s)
    return replace(
        first, length_s=None, pictures=pictures, sound=sound, span=None, parts=tuple(parts),
        fault=faults[0],
    )  # fmt: skip
