"""Speed of `spm localize` with its default settings, in seconds of video per second.

python -m benchmarks.localize [--seconds 60] [--rounds 3] [--maps-per-s 2] [--video FILE]
    [--visual resnet18 --crop 224]

A video of the embedded corpus is rendered with 640×360 px and 24 frames per second, and localized
with the zero-shot network; with --visual, by an untrained network of the method `spm`. --video
names another video. Three parts are measured: decoding and maps, tables and sheet, and the overlay
video. Printed: the medians of the wall time and of the CPU time, in s;
CPU time depends less on other work on the machine. The start of Python and torch is not included,
and neither is the first video, for which torch prepares its kernels (about 2 s of CPU time).
Target: 5 seconds of video per second on two cores.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

from spm.demo.scenario import PAIRS, Demo, DemoVideo, encode, shoot
from spm.fusion import methods
from spm.fusion.settings import RunConfig
from spm.inference import overlay, sheet, writing
from spm.inference.localize import MAPS_PER_S, MEMORY_MB, Localizer
from spm.inference.sources import display_size, inspect
from spm.learn import weights

TARGET = 5.0  # seconds of video per second
WIDTH, HEIGHT, FPS, RATE_HZ, SCENE_S = 640, 360, 24, 44_100, 5


def render(path: Path, seconds: int) -> None:
    """Write a video of scenes with two instruments, as H.264 and AAC."""
    config = Demo(scene_s=SCENE_S, width=WIDTH, height=HEIGHT, fps=FPS)
    video = DemoVideo("bench", "duet", PAIRS[0])
    takes = []
    for number in range(-(-seconds // SCENE_S)):
        pair = PAIRS[number % len(PAIRS)]
        takes.append(shoot(video._replace(categories=pair), number, config, RATE_HZ, 1))
    frames = np.concatenate([take.frames for take in takes])[: seconds * FPS]
    sound = np.concatenate([take.sound for take in takes])[: seconds * RATE_HZ]
    encode(path, frames, FPS, sound, RATE_HZ)


def save_untrained(path: Path, visual: str, crop: int) -> Path:
    """Write the weights of an untrained network of the method `spm`."""
    torch.manual_seed(0)
    config = RunConfig(method="spm", visual=visual, start="none", crop=crop)
    settings = methods.settings_of(config)
    about = {"config": settings.model_dump(), "categories": {}}
    weights.save(path, methods.build(settings).state_dict(), about)
    return path


class Duration(NamedTuple):
    """Wall time and CPU time in s; that of ffmpeg is included."""

    wall_s: float
    cpu_s: float


def _now() -> Duration:
    cpu_s = 0.0
    for process in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(process)
        cpu_s += usage.ru_utime + usage.ru_stime
    return Duration(time.perf_counter(), cpu_s)


@contextmanager
def timed(durations: dict[str, Duration], part: str) -> Iterator[None]:
    """Measure the duration of a block."""
    before = _now()
    yield
    after = _now()
    wall_s, cpu_s = after.wall_s - before.wall_s, after.cpu_s - before.cpu_s
    durations[part] = Duration(wall_s, cpu_s)


def measure(localizer: Localizer, video: Path, out: Path) -> dict[str, Duration]:
    """Localize a video; the duration of each part."""
    durations: dict[str, Duration] = {}
    with timed(durations, "decoding and maps"):
        localization = localizer.localize(video)
    with timed(durations, "tables and sheet"):
        writing.write(localization, out / "maps.parquet")
        sheet.write(localization, out / "sheet.png")
    with timed(durations, "overlay video"):
        overlay.write(localization, out / "overlay.mp4")
    return durations


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--visual")
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--maps-per-s", type=int, default=MAPS_PER_S)
    return parser.parse_args()


def print_table(rounds: list[dict[str, Duration]], seconds: float) -> None:
    """Print the medians of each part, and of the whole."""
    for part in rounds[0]:
        wall_s = median(durations[part].wall_s for durations in rounds)
        cpu_s = median(durations[part].cpu_s for durations in rounds)
        print(f"{part:<18} {wall_s:6.1f} s, CPU {cpu_s:6.1f} s")
    totals = [Duration(*map(sum, zip(*durations.values(), strict=True))) for durations in rounds]
    speed = seconds / median(total.wall_s for total in totals)
    cpu_per_s = median(total.cpu_s for total in totals) / seconds
    print(f"all: {speed:.1f} seconds of video per second (target: {TARGET:.0f});", end=" ")
    print(f"CPU {cpu_per_s:.2f} s per second of video")


def main() -> None:
    """Localize one video several times."""
    given = parse_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        video, path = given.video or folder / "video.mp4", folder / "network.safetensors"
        if not given.video:
            render(video, given.seconds)
        network = save_untrained(path, given.visual, given.crop) if given.visual else None
        localizer = Localizer(network, maps_per_s=given.maps_per_s)
        measure(localizer, video, folder)  # the first video is not counted
        rounds = [measure(localizer, video, folder) for _ in range(given.rounds)]
        media = inspect(video, MEMORY_MB)
        (width, height), seconds = display_size(media), media.length_s or 0.0
    threads = f"{given.maps_per_s} maps per second, {torch.get_num_threads()} threads"
    print(f"{seconds:.0f} s of {width}×{height} px, {localizer.info}, {threads}")
    print_table(rounds, seconds)


if __name__ == "__main__":
    main()
