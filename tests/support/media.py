"""Test videos with a known time: each frame shows its number, each second has its own chirp."""

import io
import struct
import subprocess
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray
from PIL import Image

H264_AND_AAC = ("-c:v", "libx264", "-bf", "2", "-g", "12", "-c:a", "aac", "-b:a", "128k")
BITS = 12
BAR_PX = 16
HEIGHT_PX = 96
FILM_TICKS = 1000  # per s, of the film's clock in ffmpeg's mp4 files
STRIP_PX = 24  # a white strip marks the upper edge


def ffmpeg(*arguments: object, given: bytes | None = None) -> None:
    """Run ffmpeg; its messages are in the error."""
    command = [get_ffmpeg_exe(), "-y", "-v", "error", *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def numbered(number: int) -> NDArray[np.uint8]:
    """A gray picture (96, 192) with a binary number: twelve bars, the highest bit at the left."""
    digits = [255 * (number >> bit & 1) for bit in reversed(range(BITS))]
    picture = np.repeat(np.array(digits, np.uint8), BAR_PX)[None].repeat(HEIGHT_PX, axis=0)
    picture[:STRIP_PX] = 255
    return picture


def number_in(jpeg: bytes) -> int:
    """The number in a picture of any size; the strip must be at the top."""
    gray = np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"), float)
    height, width = gray.shape
    assert gray[: height // 6].mean() > 220, "the white strip is not at the top"
    middles = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    digits = gray[height // 2 : -height // 8, middles].mean(axis=0) > 127
    return int(
        sum(1 << bit for bit, digit in zip(reversed(range(BITS)), digits, strict=True) if digit)
    )


def chirps(seconds: float, rate_hz: int) -> NDArray[np.float64]:
    """Sound in [-0.5, 0.5] below 3.2 kHz; no second resembles its neighbors."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    second, rest_s = np.divmod(time_s, 1)
    return 0.5 * np.sin(2 * np.pi * (300 + 53 * (second % 24) + 800 * rest_s) * rest_s)


def shift(sound: NDArray[np.float64], expected: NDArray[np.float64]) -> int:
    """By how many samples a sound is late: the peak of its correlation with `expected`."""
    size = len(sound) + len(expected)
    product = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(expected, size))
    peak = int(np.argmax(np.fft.irfft(product, size)))
    return peak if peak < size // 2 else peak - size


def make_video(
    path: Path,
    *,
    fps: str = "30",
    seconds: float = 3.0,
    rate_hz: int = 44100,
    channels: int = 2,
    sound_s: float | None = None,
    sound: NDArray[np.float64] | None = None,
    turns: int = 0,
    codecs: Iterable[str] = H264_AND_AAC,
    options: Iterable[str] = (),
) -> Path:
    """Make a video with real ffmpeg.

    Parameters
    ----------
    path : Path
        Its suffix names the container.
    fps : str
        Frame rate, as ffmpeg writes it: "30000/1001".
    seconds, sound_s : float
        Length of the pictures, and of the sound where it differs.
    sound : array, shape (samples,) or (samples, channels), optional
        The sound, in [-1, 1), instead of chirps.
    turns : int
        Quarter turns, counter-clockwise, by which the pictures are stored.
    codecs, options : iterable of str
        More arguments for ffmpeg, before the output.
    """
    frames = [np.rot90(numbered(number), turns) for number in range(round(seconds * Fraction(fps)))]
    samples = chirps(seconds if sound_s is None else sound_s, rate_hz) if sound is None else sound
    wide = samples if samples.ndim == 2 else samples[:, None].repeat(channels, axis=1)
    pcm = path.with_name(path.name + ".pcm")
    pcm.write_bytes(np.round(wide * 32767).astype("<i2").tobytes())
    height, width = frames[0].shape
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}"]
    pictures_in = [*raw, "-framerate", fps, "-i", "pipe:"]
    sound_in = ["-f", "s16le", "-ar", rate_hz, "-ac", wide.shape[1], "-i", pcm]
    picture_data = b"".join(frame.tobytes() for frame in frames)
    ffmpeg(
        *pictures_in, *sound_in, "-pix_fmt", "yuv420p", *codecs, *options, path, given=picture_data
    )
    pcm.unlink()
    return path


def delay(path: Path, *, pictures_s: float = 0.0, sound_s: float = 0.0) -> Path:
    """Move either track to a later time of the container, without encoding it again."""
    punctual = path.rename(path.with_name("punctual-" + path.name))
    inputs = ["-itsoffset", pictures_s, "-i", punctual, "-itsoffset", sound_s, "-i", punctual]
    ffmpeg(*inputs, "-map", "0:v", "-map", "1:a", "-c", "copy", path)
    punctual.unlink()
    return path


def lose_sound(path: Path, start_s: float, end_s: float) -> Path:
    """Drop the packets of sound between two times, as a bad connection does."""
    whole = path.rename(path.with_name("whole-" + path.name))
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        streams = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            audible = packet.stream.type == "audio"
            if not packet.size or (audible and start_s <= packet.pts * packet.time_base < end_s):
                continue
            packet.stream = streams[packet.stream]
            target.mux(packet)
    whole.unlink()
    return path


def edit(path: Path, pieces: Iterable[tuple[float | None, float]]) -> Path:
    """Give both tracks of an mp4, whose index is at its end, an edit list.

    `pieces`: time in the film (None: nothing is shown), and length, in s.
    """
    data = path.read_bytes()
    boxes = _boxes(data)
    moov = b"".join(
        _box(kind, _edited(body, list(pieces)) if kind == b"trak" else body)
        for kind, body in _boxes(boxes[-1][1])
    )
    assert boxes[-1][0] == b"moov"
    kept = data[: len(data) - len(boxes[-1][1]) - 8]
    path.write_bytes(kept + _box(b"moov", moov))
    return path


def _edited(track: bytes, pieces: list[tuple[float | None, float]]) -> bytes:
    """A track whose edit list is replaced; its first entry says where the film begins."""
    boxes = dict(_boxes(track))
    (zero,) = struct.unpack(">i", boxes.pop(b"edts")[20:24])
    (per_s,) = struct.unpack(">I", dict(_boxes(boxes[b"mdia"]))[b"mdhd"][12:16])
    entries = b""
    for start_s, length_s in pieces:
        start = -1 if start_s is None else zero + round(start_s * per_s)
        entries += struct.pack(">IiI", round(length_s * FILM_TICKS), start, 1 << 16)
    edits = _box(b"edts", _box(b"elst", struct.pack(">II", 0, len(pieces)) + entries))
    return b"".join(_box(kind, body) for kind, body in boxes.items()) + edits


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    found, start = [], 0
    while start < len(data):
        size, kind = struct.unpack(">I4s", data[start : start + 8])
        found.append((kind, data[start + 8 : start + size]))
        start += size
    return found


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def turn(path: Path, degrees: int) -> Path:
    """Mark an mp4 as turned counter-clockwise, as phones do."""
    unit = 1 << 16  # of fixed-point numbers
    matrices = {0: (1, 0, 0, 1), 90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0)}
    a, b, c, d = (unit * value for value in matrices[degrees])
    matrix = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44  # matrix of the first track, in version 0 of the header
    data[start : start + len(matrix)] = matrix
    path.write_bytes(data)
    return path
