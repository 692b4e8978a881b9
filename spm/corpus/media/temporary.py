"""The temporary files of a decoded video."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from spm.base.constants import SAMPLE_BYTES

CHUNK_BYTES = 1 << 20
# Stereo whose mean has less power than half its difference by this factor has an inverted channel:
# the correlation of the channels is below -0.8.
INVERTED = 10.0


def chunks(path: Path) -> Iterator[bytes]:
    """A file in pieces; a missing file has none."""
    if path.exists():
        with path.open("rb") as file:
            yield from iter(partial(file.read, CHUNK_BYTES), b"")


class Files(NamedTuple):
    """Files in a folder, by the number of the piece of the edit list, which is usually 0."""

    folder: Path

    def pictures(self, number: int) -> Path:
        """JPEG frames, one after the other, each after a header with its length."""
        return self.folder / f"pictures-{number:06d}.mpjpeg"

    def sound(self, number: int) -> Path:
        """One or two tracks of 16 kHz mono int16, in packets with time stamps."""
        return self.folder / f"sound-{number:06d}.nut"

    def picture_chunks(self) -> Iterator[bytes]:
        """The frames of all pieces."""
        for path in sorted(self.folder.glob("pictures-*")):
            yield from chunks(path)

    def packets(self, track: int = 0) -> Iterator[tuple[int, bytes]]:
        """The sound of all pieces: number of the first sample, and samples (int16)."""
        for path in sorted(self.folder.glob("sound-*")):
            for number, start, pcm in _packets(path):
                if number == track:
                    yield start, pcm

    def measure_sound(self) -> "Measured":
        """Length of the sound, and the powers of its tracks."""
        samples, played, power = 0, 0, [0.0, 0.0]
        for path in sorted(self.folder.glob("sound-*")):
            for track, start, pcm in _packets(path):
                if track == 0:
                    samples = max(samples, start + len(pcm) // SAMPLE_BYTES)
                    played += len(pcm) // SAMPLE_BYTES
                values = np.frombuffer(pcm, "<i2").astype(np.float32)
                power[track] += float(values @ values)
        return Measured(samples, played, *power)


class Measured(NamedTuple):
    """Results of the decoding of the sound."""

    samples: int  # from zero to the end
    played: int  # without gaps between packets
    power: float  # sums of squares: of the mixed sound,
    difference_power: float  # and of the difference of two channels; 0 for other numbers

    @property
    def inverted(self) -> bool:
        """Whether one of two channels is inverted, so that their mean cancels the sound."""
        return self.difference_power > INVERTED * self.power


def _packets(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Track, number of the first sample, and samples of each packet.

    The end may be missing where ffmpeg was stopped.
    """
    try:
        with av.open(f"file:{path}", format="nut") as container:
            for packet in container.demux():
                if packet.size and packet.pts is not None:
                    yield packet.stream_index, packet.pts, bytes(packet)
    except av.FFmpegError:
        return
