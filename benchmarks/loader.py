"""Speed of the loader of the trainings, compared with its decoder, with Pillow and with DSOL's.

python -m benchmarks.loader [--tables results/corpus] [--dsol dsol] [--clips 16384] [--crop 224]
    [--batch 32] [--rounds 3] [--cpu-time]

The loader: `spm.fusion.batches.batches` on mapped files of drawn clips, or of the first clips of
--tables, with one and with two workers. Mirroring, colors and normalization are left out
(`transforms.color_normalize`), because the GPU computes them. Compared with it, over the same JPEGs
of 256 px: the decoders simplejpeg, torchvision and Pillow in a bare loop of one thread; and Pillow
with crops, colors and normalization in one thread, the loader that spm had before
(`plain.reference_batches`). DSOL: its published loader on its own files, with one worker; an item
has two images (git clone https://github.com/DTaoo/Discriminative-Sounding-Objects-Localization
dsol). All run in turn; printed are the median items per second of wall time. --cpu-time prints
them per second of CPU time of all processes, which depends less on other work on the machine.

Last: the share of the time that a step waits for its batch, with two workers and a simulated step
of 10 ms, after the first batches. On two cores, the process that trains needs part of a core.

Targets: one worker reaches 0.7 of its decoder's bare loop, 2.2 × Pillow's loop and 20 × DSOL's
loader; two workers reach 1.8 × one; the share is below 5 %.
"""

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import simplejpeg
import torch
from PIL import Image
from threadpoolctl import threadpool_limits
from torchvision.io import ImageReadMode, decode_jpeg

from benchmarks import corpus, dsol_loader, plain, trainings
from benchmarks.timing import Turns, print_ratio
from spm.base.constants import FRAMES, N_MELS
from spm.corpus import clip_reader
from spm.fusion.batches import Batch, batches
from spm.fusion.trainer import Trainer
from spm.learn import transforms
from spm.learn.dataloading import make_generator

ONE, TWO, REFERENCE, DSOL = "one worker", "two workers", "Pillow, one thread", "DSOL's loader"
DECODE_TARGET, TWO_TARGET, REFERENCE_TARGET, DSOL_TARGET = 0.7, 1.8, 2.2, 20
WAIT_TARGET, STEP_S, WARM_SHARE = 0.05, 0.010, 0.1  # of the batches, while the workers start
DSOL_ITEMS = 64
CPU = torch.device("cpu")


def _simplejpeg(jpeg: bytes) -> object:
    return simplejpeg.decode_jpeg(jpeg, "RGB")


def _torchvision(jpeg: bytes) -> object:
    return decode_jpeg(torch.frombuffer(bytearray(jpeg), dtype=torch.uint8), ImageReadMode.RGB)


def _pillow(jpeg: bytes) -> object:
    return np.asarray(Image.open(io.BytesIO(jpeg)))


DECODERS = {"simplejpeg": _simplejpeg, "torchvision": _torchvision, "Pillow": _pillow}


def run_all(items: Iterable[object]) -> None:
    """Make all items, and keep none."""
    for _ in items:
        pass


def cpu_time_s() -> float:
    """CPU time of this process and of those that it waited for."""
    return sum(os.times()[:4])


def load_crops(trainer: Trainer, workers: int) -> Iterator[Batch]:
    """Load all batches of an epoch, without what the GPU would compute."""
    arguments = (trainer.clips, trainer.config, 1, make_generator(0))
    with patch.object(transforms, "color_normalize", lambda crops, _: crops):
        yield from batches(*arguments, device=CPU, workers=workers)


def wait_share(trainer: Trainer, workers: int) -> float:
    """Fraction of the time that a simulated step of 10 ms waits for its batch."""
    loaded, waits_s = load_crops(trainer, workers), []
    asked_s = time.perf_counter()
    while next(loaded, None) is not None:
        waits_s.append(time.perf_counter() - asked_s)
        time.sleep(STEP_S)
        asked_s = time.perf_counter()
    counted = waits_s[int(WARM_SHARE * len(waits_s)) :]
    return sum(counted) / (sum(counted) + STEP_S * len(counted))


def dsol_epoch(code: Path, clips: pa.Table, folder: Path, batch: int) -> Callable[[], object]:
    """A function that runs one epoch of DSOL's loader on few items."""
    count = min(DSOL_ITEMS, clips.num_rows)
    first = clips[:count]
    log_mels = clip_reader.log_mel_values(first["log_mel"].combine_chunks())
    shaped = log_mels.reshape(count, FRAMES, N_MELS)
    dsol_loader.write_files(first["frames"].to_pylist(), shaped, folder)
    loader = dsol_loader.load(code, folder, batch)
    return lambda: run_all(loader)


def measure(given: argparse.Namespace, folder: Path) -> None:
    """Run all systems in turn; print speeds and ratios."""
    sources = corpus.sources(given.tables, given.clips)
    clips = corpus.write(folder / "ours", sources, given.clips, pcm=False)
    config = trainings.settings(visual="mobilenet_v2", crop=given.crop, batch=given.batch)
    trainer = trainings.make_trainer(clips, config, folder / "mapped")
    # one frame of each clip, as in an epoch
    repeated = sources["frames"].to_pylist() * -(-given.clips // len(sources))
    jpegs = [frames[number % len(frames)] for number, frames in enumerate(repeated[: given.clips])]
    works: dict[str, Callable[[], object]] = {
        ONE: lambda: run_all(load_crops(trainer, 1)),
        TWO: lambda: run_all(load_crops(trainer, 2)),
        REFERENCE: lambda: run_all(
            plain.reference_batches(jpegs, given.batch, given.crop, make_generator(0))
        ),
    }
    for name, decode in DECODERS.items():
        works[name] = lambda decode=decode: run_all(map(decode, jpegs))  # type: ignore[misc]
    counts = dict.fromkeys(works, given.clips)
    if given.dsol and (given.dsol / "music-exp").is_dir():
        works[DSOL] = dsol_epoch(given.dsol, sources, folder / "dsol", given.batch)
        counts[DSOL] = min(DSOL_ITEMS, len(sources))
    turns = Turns(works, given.rounds, cpu_time_s if given.cpu_time else time.perf_counter)
    print(
        f"{given.clips} clips, batches of {given.batch} at {given.crop} px, {given.rounds} rounds"
    )
    print_speeds(turns, counts)
    share = wait_share(trainer, 2)
    print(f"share of the time that a step waits: {share:.1%} (target: below {WAIT_TARGET:.0%})")


def print_speeds(turns: Turns, counts: dict[str, int]) -> None:
    """Print the speed of each system, and the ratios that have targets."""
    rates = {name: turns.rate(name, count) for name, count in counts.items()}
    for name, rate in rates.items():
        print(f"{name:<20} {rate:8.1f} items/s")
    fastest = max(DECODERS, key=lambda name: rates[name])
    print_ratio(f"one worker / bare loop of {fastest}", turns.speedup(ONE, fastest), DECODE_TARGET)
    print_ratio("one worker / Pillow's loop", turns.speedup(ONE, REFERENCE), REFERENCE_TARGET)
    print_ratio("two workers / one", turns.speedup(TWO, ONE), TWO_TARGET)
    if DSOL in rates:
        print_ratio("one worker / DSOL's loader", rates[ONE] / rates[DSOL], DSOL_TARGET)
    else:
        print("DSOL's loader: skipped, --dsol names no clone of its code")


def main() -> None:
    """Compare the loaders."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, help="the folder `corpus` of a run")
    parser.add_argument("--dsol", type=Path, help="a clone of DSOL's code")
    parser.add_argument("--clips", type=int, default=16_384)
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(1):
        measure(given, Path(scratch))


if __name__ == "__main__":
    main()
