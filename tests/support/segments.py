"""Films of random segments, whose streams change under way: pictures and sound must stay together.

python -m tests.support.segments --count 100 [--seed 0]

makes films, cuts them into clips, and prints the films in which pictures and sound are more than
one source frame apart, or whose status is not `ok`.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spm.base import schemas, tables
from spm.base.constants import SAMPLE_RATE_HZ
from spm.corpus.clips import Clips, run
from tests.support.media import ffmpeg, number_in, numbered, shift

FPS = 30
# Encoders of sound add a delay that not every container can mark: MP3's is 1105 samples.
OFF_S = max(1 / FPS, 1105 / 32_000) + 0.001
SIZES = ((192, 96), (320, 240), (96, 96), (640, 360))
FORMATS = ("yuv420p", "yuv422p", "yuv444p")
STARTS_S = (0.0, 1.4, 100.0, 3600.0, 95_443.0)  # the last is just before the clock of TS wraps
SOUNDS = {"ts": ("aac", "mp2", "ac3"), "mkv": ("mp3", "ac3"), "mp4": ("mp3", "ac3")}
RATES_HZ = (32_000, 44_100, 48_000)
NOISE_S, LOWEST_HZ, HIGHEST_HZ = 24, 200, 3000
CHANNELS = {"aac": (1, 2, 6), "mp2": (1, 2), "mp3": (1, 2), "ac3": (1, 2, 6)}


class Segment(NamedTuple):
    """A part of a film, with its own parameters."""

    frames: int
    size: tuple[int, int]
    pixels: str
    rate_hz: int
    channels: int


class Film(NamedTuple):
    """A film of several segments."""

    container: str
    codec: str  # of the sound
    start_s: float  # of its clock
    segments: tuple[Segment, ...]


def draw(generator: Random) -> Film:
    """A film of one to four segments."""
    container = generator.choice(sorted(SOUNDS))
    codec = generator.choice(SOUNDS[container])
    segments = (
        Segment(
            generator.randint(12, 75),
            generator.choice(SIZES),
            generator.choice(FORMATS),
            generator.choice(RATES_HZ),
            generator.choice(CHANNELS[codec]),
        )
        for _ in range(generator.randint(1, 4))
    )
    return Film(container, codec, generator.choice(STARTS_S), tuple(segments))


def noise(rate_hz: int) -> NDArray[np.float64]:
    """The sound of all films: NOISE_S of noise, the same at every rate."""
    spectrum = np.zeros(NOISE_S * rate_hz // 2 + 1, complex)
    bins = NOISE_S * (HIGHEST_HZ - LOWEST_HZ)
    real, imaginary = np.random.default_rng(7).normal(size=(2, bins))
    spectrum[NOISE_S * LOWEST_HZ : NOISE_S * HIGHEST_HZ] = real + 1j * imaginary
    sound = np.fft.irfft(spectrum, NOISE_S * rate_hz)
    return np.asarray(0.12 * sound / sound.std())


def make(film: Film, path: Path) -> Path:
    """Write a film: its segments are transport streams, one after the other."""
    stream, first = path.with_suffix(".joined.ts"), 0
    with stream.open("wb") as joined:
        for segment in film.segments:
            part = _encode(film, segment, first, path.with_suffix(".part.ts"))
            joined.write(part.read_bytes())
            part.unlink()
            first += segment.frames
    if film.container == "ts":
        return stream.rename(path)
    offset = ["-output_ts_offset", film.start_s]
    ffmpeg("-i", stream, "-map", "0:v", "-map", "0:a", "-c", "copy", *offset, path)
    stream.unlink()
    return path


def _encode(film: Film, segment: Segment, first: int, path: Path) -> Path:
    """Write the segment that begins with picture number `first`."""
    numbers = range(first, first + segment.frames)
    rate_hz, end = segment.rate_hz, first + segment.frames
    samples = noise(rate_hz)[round(first / FPS * rate_hz) : round(end / FPS * rate_hz)]
    pcm = path.with_suffix(".pcm")
    wide = samples[:, None].repeat(segment.channels, axis=1)
    pcm.write_bytes(np.round(wide * 32767).astype("<i2").tobytes())
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "192x96", "-framerate", FPS, "-i", "pipe:"]
    sound = ["-f", "s16le", "-ar", rate_hz, "-ac", segment.channels, "-i", pcm]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", 2, "-g", 15, "-c:a", film.codec]
    size = ["-s", "{}x{}".format(*segment.size), "-pix_fmt", segment.pixels]
    start_s = (film.start_s if film.container == "ts" else 1.0) + first / FPS
    data = b"".join(numbered(number).tobytes() for number in numbers)
    ffmpeg(*raw, *sound, *codecs, *size, "-output_ts_offset", start_s, path, given=data)
    pcm.unlink()
    return path


def cut(films: Sequence[Path], folder: Path) -> dict[str, tuple[dict[str, Any], list[Any]]]:
    """The row and the clips of each film, by its name."""
    rest = {"status": "ok", "reason": "", "sha256": "", "bytes": 0, "extractor": "local"}
    rows = [{"video_id": film.name, "path": str(film), **rest} for film in films]
    tables.write_rows(folder / "ledger.parquet", schemas.LEDGER, rows)
    paths = {name: folder / f"{name}.parquet" for name in ("ledger", "clips", "videos")}
    run(Clips(size=192), **paths, threads=2)
    clips = tables.read(paths["clips"]).to_pylist()
    videos = tables.read(paths["videos"]).to_pylist()
    films_clips: dict[str, tuple[dict[str, Any], list[Any]]] = {
        row["video_id"]: (row, []) for row in videos
    }
    for clip in clips:
        films_clips[clip["video_id"]][1].append(clip)
    return films_clips


def apart_s(clips: Sequence[dict[str, Any]]) -> float:
    """The largest distance of a frame and of the sound until the next frame, in s.

    A picture is on screen for 1 / FPS, so a frame may be up to this much older than its time.
    """
    expected, largest_s = noise(SAMPLE_RATE_HZ), 0.0
    for clip in clips:
        parts = np.split(np.frombuffer(clip["pcm"], "<i2") / 32768, len(clip["frames"]))
        for jpeg, sound in zip(clip["frames"], parts, strict=True):
            late_s = shift(expected, sound) / SAMPLE_RATE_HZ - number_in(jpeg) / FPS
            largest_s = max(largest_s, abs(late_s - 0.5 / FPS) - 0.5 / FPS)
    return largest_s


def main() -> None:
    """Make films, and print those that came apart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faults = 0
    for seed in range(options.seed, options.seed + options.count):
        with tempfile.TemporaryDirectory() as folder:
            film = draw(Random(seed))
            path = make(film, Path(folder, f"{seed}.{film.container}"))
            ((row, clips),) = cut([path], Path(folder)).values()
        distance_s = apart_s(clips)
        if row["status"] not in {"ok", "short"} or distance_s > OFF_S:
            faults += 1
            print(f"{seed}: {row['status']} {row['reason']} {distance_s:.3f} s apart: {film}")
    print(f"{faults} of {options.count} films came apart")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
