"""How many seconds of video a second `spm localize` gets through, at the default size, and where its time goes.

python -m benchmarks.localize [--seconds 60] [--rounds 3] [--visual resnet18] [--crop 224] [--maps-per-s 2]

Renders a video of the embedded corpus at 640×360 and 24 pictures a second, and localizes it with an untrained network
of the config's default form: decoding, maps, and the overlay video, each with the time it took, and the processor's,
which other work on the machine stretches less. Each figure is a median. Starting Python and torch, once a call, is not
in it, nor is a first video, for which torch makes its kernels ready (some 2 s of processors).
Target: 5 seconds of video a second, on two cores.
"""

import argparse
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from spm.corpus.media import ffmpeg
from spm.demo.scenario import PAIRS, Demo, Video, shoot
from spm.fusion import methods
from spm.fusion.settings import Row
from spm.inference import overlay
from spm.inference.localize import MAPS_PER_S, Localizer
from spm.learn import weights

TARGET = 5.0  # seconds of video a second
WIDTH, HEIGHT, FPS, RATE_HZ, SCENE_S = 640, 360, 24, 44_100, 5


def render(path: Path, seconds: int) -> None:
    """Scenes of two instruments, one after the other, as H.264 and AAC."""
    config = Demo(scene_s=SCENE_S, width=WIDTH, height=HEIGHT, fps=FPS)
    scenes = range(-(-seconds // SCENE_S))
    takes = [
        shoot(Video("bench", "duet", PAIRS[n % len(PAIRS)]), n, config, RATE_HZ, 1) for n in scenes
    ]
    sound = path.with_suffix(".pcm")
    sound.write_bytes(
        b"".join((32767 * take.sound.clip(-1, 1)).astype("<i2").tobytes() for take in takes)
    )
    pictures = [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{WIDTH}x{HEIGHT}",
        "-r",
        str(FPS),
        "-i",
        "pipe:",
    ]
    heard = [
        "-f",
        "s16le",
        "-ar",
        str(RATE_HZ),
        "-ac",
        str(takes[0].sound.shape[1]),
        "-i",
        str(sound),
    ]
    command = [
        ffmpeg.binary(),
        "-v",
        "error",
        "-y",
        *pictures,
        *heard,
        "-t",
        str(seconds),
        "-pix_fmt",
        "yuv420p",
    ]
    frames = b"".join(frame.tobytes() for take in takes for frame in take.frames)
    subprocess.run([*command, str(path)], input=frames, check=True)


def untrained(path: Path, visual: str, crop: int) -> None:
    """A network of the form that a config's defaults train."""
    torch.manual_seed(0)
    settings = methods.settings_of(Row(method="spm", visual=visual, start="none", crop=crop))
    weights.save(
        path,
        methods.build(settings).state_dict(),
        {"config": settings.model_dump(), "categories": {}},
    )


class Took(NamedTuple):
    """Seconds, by the clock and of all processors, those of ffmpeg included."""

    clock_s: float
    processor_s: float


def _now() -> Took:
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Took(time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in each))


@contextmanager
def timed(into: dict[str, Took], what: str) -> Iterator[None]:
    """Note how long something takes."""
    before = _now()
    yield
    into[what] = Took(*(end - start for start, end in zip(before, _now(), strict=True)))


def measure(model: Localizer, video: Path, out: Path) -> dict[str, Took]:
    """What each part of one video's way took."""
    took: dict[str, Took] = {}
    with timed(took, "decoding and maps"):
        seen = model.locate(video)
    with timed(took, "tables and sheet"):
        seen.write(out / "maps.parquet")
        overlay.sheet(seen, out / "sheet.png")
    with timed(took, "overlay video"):
        overlay.film(seen, out / "film.mp4")
    return took


def main() -> None:
    """Localize one video a few times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--visual", default="resnet18")
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--maps-per-s", type=int, default=MAPS_PER_S)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        video, path = Path(scratch, "video.mp4"), Path(scratch, "network.safetensors")
        render(video, given.seconds)
        untrained(path, given.visual, given.crop)
        model = Localizer(path, maps_per_s=given.maps_per_s)
        turns = [measure(model, video, Path(scratch)) for _ in range(given.rounds + 1)][1:]
    size = f"{given.seconds} s of {WIDTH}×{HEIGHT} px, {given.visual} at {given.crop} px, {given.maps_per_s} maps a second"
    print(f"{size}, {torch.get_num_threads()} threads")
    for what in turns[0]:
        clock_s, processor_s = (median(turn[what][n] for turn in turns) for n in range(2))
        print(f"{what:<18} {clock_s:6.1f} s, {processor_s:6.1f} s of processors")
    clock_s, processor_s = (
        median(sum(part[n] for part in turn.values()) for turn in turns) for n in range(2)
    )
    print(
        f"in all: {given.seconds / clock_s:.1f} seconds of video a second (target: {TARGET:.0f});",
        end=" ",
    )
    print(f"{processor_s / given.seconds:.2f} s of processors a second of video")


if __name__ == "__main__":
    main()
