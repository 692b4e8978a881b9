"""What is known of a media file before it is decoded."""

from dataclasses import dataclass

from spm.base.statuses import VideoStatus
from spm.corpus.media.edits import Piece

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
    fault: str  # where a track leaves the clock; empty: nowhere
