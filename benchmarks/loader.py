"""Speed of the loader of the trainings, compared with its decoder, with Pillow and with DSOL's.

python -m benchmarks.loader [--tables results/corpus] [--dsol dsol] [--clips 8192] [--crop 224]
    [--batch 32] [--rounds 12] [--seconds 1.2]

The loader: `spm.fusion.batches.batches` on mapped files of drawn clips, or of the first clips of
--tables, with one and with two workers. Mirroring, colors and normalization are left out
(`transforms.color_normalize`), because the GPU computes them. Compared with it, over the same JPEGs
of 256 px: the decoders simplejpeg, torchvision and Pillow in a bare loop of one thread; simplejpeg
in two processes, which is all that two cores allow; and Pillow with crops, colors and normalization
in one thread, the loader that spm had before (`plain.reference_batches`). DSOL: its published
loader on its own files, with one worker; an item has two images (git clone
https://github.com/DTaoo/Discriminative-Sounding-Objects-Localization dsol).

All run in turn, for --seconds each; batches that workers made between two rounds are not counted,
nor is the start of the workers, which happens once per pass: the time until the first batch of a
pass is printed last. Printed are median items per second of wall time, and the ratios within a
round with quartiles.

Then the share of the time that a step waits for its batch, with two workers and a simulated step of
10 ms. On two cores, the process that trains needs part of a core.

Targets: one worker reaches 0.7 of its decoder's bare loop, 2.2 × Pillow's loop and 20 × DSOL's
loader; two workers reach 1.8 × one; the share is below 5 %.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import simplejpeg
import torch
from PIL import Image
from threadpoolctl import threadpool_limits
from torchvision.io import ImageReadMode, decode_jpeg

from benchmarks import corpus, dsol_loader, plain, timing, trainings
from benchmarks.timing import Round, Turns, in_processes, print_ratio, rate, spread
from spm.base.constants import FRAMES, N_MELS
from spm.corpus import clip_reader
from spm.fusion import batches as fusion_batches
from spm.fusion.batches import Batch
from spm.fusion.trainer import Trainer
from spm.learn import loader, transforms
from spm.learn.dataloading import make_generator, shuffled_batches

ONE, TWO, REFERENCE, DSOL = "one worker", "two workers", "Pillow's loop", "DSOL's loader"
BARE_TWO = "bare, two processes"
DECODE_TARGET, TWO_TARGET, REFERENCE_TARGET, DSOL_TARGET = 0.7, 1.8, 2.2, 20
WAIT_TARGET, STEP_S, STEPS = 0.05, 0.010, 100
DSOL_ITEMS = 64
CPU = torch.device("cpu")


def _simplejpeg(jpeg: bytes) -> object:
    return simplejpeg.decode_jpeg(jpeg, "RGB")


def _torchvision(jpeg: bytes) -> object:
    return decode_jpeg(torch.frombuffer(bytearray(jpeg), dtype=torch.uint8), ImageReadMode.RGB)


def _pillow(jpeg: bytes) -> object:
    return np.asarray(Image.open(io.BytesIO(jpeg)))


DECODERS = {"torchvision": _torchvision, "Pillow": _pillow, "simplejpeg": _simplejpeg}


def decoding(decode: Callable[[bytes], object], jpegs: list[bytes], seconds: float) -> Round:
    """Decode in a bare loop."""
    endless = cycle(jpegs)

    def step() -> int:
        for jpeg in islice(endless, 32):
            decode(jpeg)
        return 32

    return partial(rate, step, seconds)


def endless_shuffled(count: int, batch: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Batches of one pass over the clips after the other, as if they were one."""
    while True:
        yield from shuffled_batches(count, batch, generator)


@contextmanager
def endless_without_colors() -> Iterator[None]:
    """Let a pass never end, and leave out what the GPU computes."""
    with (
        patch.object(fusion_batches, "shuffled_batches", endless_shuffled),
        patch.object(transforms, "color_normalize", lambda crops, _: crops),
    ):
        yield


def load_crops(trainer: Trainer, workers: int) -> Iterator[Batch]:
    """Load the batches of a pass."""
    clips, config, generator = trainer.clips, trainer.config, make_generator(0)
    return fusion_batches.batches(clips, config, 1, generator, device=CPU, workers=workers)


def loading(crops: Iterator[Batch], batch: int, workers: int, seconds: float) -> Round:
    """Take the next batches."""
    warm = workers * (loader.AHEAD + 1) * fusion_batches.batches_per_message(batch)
    return partial(rate, lambda: len(next(crops).images), seconds, warm=warm)


def pillow_loop(jpegs: list[bytes], given: argparse.Namespace) -> Round:
    """Take the next batches of Pillow's loop."""

    def endless() -> Iterator[torch.Tensor]:
        while True:
            yield from plain.reference_batches(jpegs, given.batch, given.crop, make_generator(0))

    images = endless()
    return partial(rate, lambda: len(next(images)), given.seconds)


def dsol_epochs(given: argparse.Namespace, clips: pa.Table, folder: Path) -> Round:
    """Run epochs of DSOL's loader on few items."""
    first = clips[:DSOL_ITEMS]
    log_mels = clip_reader.log_mel_values(first["log_mel"].combine_chunks())
    shaped = log_mels.reshape(len(first), FRAMES, N_MELS)
    dsol_loader.write_files(first["frames"].to_pylist(), shaped, folder)
    epoch = dsol_loader.load(given.dsol, folder, given.batch)
    return partial(rate, lambda: sum(len(items[0]) for items in epoch), given.seconds)


def wait_share(crops: Iterator[Batch]) -> float:
    """Fraction of the time that simulated steps of 10 ms wait for their batches."""
    waits_s = 0.0
    for _ in range(STEPS):
        asked_s = time.perf_counter()
        next(crops)
        waits_s += time.perf_counter() - asked_s
        time.sleep(STEP_S)
    return waits_s / (waits_s + STEP_S * STEPS)


def first_batch_s(trainer: Trainer, workers: int) -> float:
    """Time from the start of a pass to its first batch."""
    crops = load_crops(trainer, workers)
    return timing.seconds(lambda: next(crops))


@endless_without_colors()
def measure(given: argparse.Namespace, folder: Path) -> None:
    """Run all systems in turn; print speeds and ratios."""
    sources = corpus.sources(given.tables, given.clips)
    clips = corpus.write(folder / "ours", sources, given.clips, pcm=False)
    config = trainings.settings(visual="mobilenet_v2", crop=given.crop, batch=given.batch)
    trainer = trainings.make_trainer(clips, config, folder / "mapped")
    # one frame of each clip, as in an epoch
    repeated = sources["frames"].to_pylist() * -(-given.clips // len(sources))
    jpegs = [frames[number % len(frames)] for number, frames in enumerate(repeated[: given.clips])]
    jpegs = [bytes(bytearray(jpeg)) for jpeg in jpegs]  # each in its own memory, as in the loader
    one, two = (load_crops(trainer, workers) for workers in (1, 2))
    systems: dict[str, Round] = {}
    if given.dsol and (given.dsol / "music-exp").is_dir():
        systems[DSOL] = dsol_epochs(given, sources, folder / "dsol")
    systems[REFERENCE] = pillow_loop(jpegs, given)
    for name, decode in DECODERS.items():
        systems[name] = decoding(decode, jpegs, given.seconds)
    for name, crops, workers in ((ONE, one, 1), (TWO, two, 2)):
        systems[name] = loading(crops, given.batch, workers, given.seconds)
    with in_processes(2, systems["simplejpeg"]) as systems[BARE_TWO]:
        turns = Turns(systems, given.rounds)
    print(
        f"{given.clips} clips, batches of {given.batch} at {given.crop} px, {given.rounds} rounds"
    )
    print_speeds(turns)
    shares = [wait_share(two) for _ in range(given.rounds)]
    print(f"share of the time that a step waits: {spread(shares)} (target: below {WAIT_TARGET})")
    del one, two
    starts = [1000 * first_batch_s(trainer, 2) for _ in range(given.rounds)]
    print(f"from the start of a pass to its first batch, two workers: {spread(starts)} ms")


def print_speeds(turns: Turns) -> None:
    """Print the speed of each system, and the ratios that have targets."""
    for name in turns.rates:
        print(f"{name:<20} {turns.rate(name):8.1f} items/s")
    fastest = max(DECODERS, key=turns.rate)
    print_ratio(f"one worker / bare loop of {fastest}", turns.ratios(ONE, fastest), DECODE_TARGET)
    print_ratio("one worker / Pillow's loop", turns.ratios(ONE, REFERENCE), REFERENCE_TARGET)
    workers, processes = turns.ratios(TWO, ONE), turns.ratios(BARE_TWO, "simplejpeg")
    print_ratio("two workers / one", workers, TWO_TARGET)
    print(f"two processes / one, bare loop of simplejpeg: {spread(processes)} ×;", end=" ")
    print(f"the loader reaches {median(workers) / median(processes):.2f} of it")
    if DSOL in turns.rates:
        print_ratio("one worker / DSOL's loader", turns.ratios(ONE, DSOL), DSOL_TARGET)
    else:
        print("DSOL's loader: skipped, --dsol names no clone of its code")


def main() -> None:
    """Compare the loaders."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, help="the folder `corpus` of a run")
    parser.add_argument("--dsol", type=Path, help="a clone of DSOL's code")
    parser.add_argument("--clips", type=int, default=8_192)
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(1):
        measure(given, Path(scratch))


if __name__ == "__main__":
    main()
