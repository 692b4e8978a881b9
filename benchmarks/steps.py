"""Speed of training steps, compared with DSOL's published code.

git clone https://github.com/DTaoo/Discriminative-Sounding-Objects-Localization dsol
python -m benchmarks.steps --dsol dsol [--batch 32] [--batches 1] [--rounds 3] [--threads 1]
    [--crop 224] [--compile]

An item is a sound, its own image and one negative. Both networks have two ResNet-18, for images of
224 × 224 px and log-mels of 201 × 64, with one output per position, binary cross-entropy and Adam.
DSOL: `location_model_train` as published, on batches in memory; without a GPU its calls of
`.cuda()` do nothing. It processes two images per item, and each sound twice. Ours: `train_epoch` of
our Trainer on the same batches in memory, with the images of the other items as negatives.
--compile compiles our trunks first, as `train.compile` does.

They run in turn. Printed: the median items per second, of CPU time with one thread and no GPU, and
of wall time otherwise. Target: our step has 2 times the items of DSOL's step. Without --dsol, only
our step is timed.
"""

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.optim import Adam

from benchmarks import corpus, trainings
from benchmarks.timing import Turns, print_ratio, seconds
from spm.fusion.batches import Batch
from spm.fusion.losses import negative_mask, sample_one_negative
from spm.learn import dataloading
from spm.learn.epoch import Epoch

TARGET = 2.0
DSOL, OURS = "DSOL's step", "our step"


class Inputs(NamedTuple):
    """A batch of both systems."""

    sounds: Tensor  # (B, 201, 64)
    images: Tensor  # (B, 3, crop, crop)
    others: Tensor  # (B, 3, crop, crop), images of other videos


def make_inputs(size: int, count: int, crop: int) -> list[Inputs]:
    """Batches of noise: the time of a step does not depend on the values."""
    generator = dataloading.make_generator(0)
    shapes = ((size, 201, 64), (size, 3, crop, crop), (size, 3, crop, crop))
    batches = []
    for _ in range(count):
        batches.append(Inputs(*(torch.randn(shape, generator=generator) for shape in shapes)))
    return batches


def dsol_epoch(folder: Path, inputs: list[Inputs], device: str) -> Callable[[], Any]:
    """A function that runs one epoch of DSOL's own training loop."""
    sys.path.insert(0, str(folder / "music-exp"))
    if device == "cpu":
        torch.Tensor.cuda = lambda self: self  # type: ignore[assignment, method-assign]
    import training_stage_one as published  # type: ignore[import-not-found]
    from model.base_model2 import resnet18  # type: ignore[import-not-found]
    from model.location_model import Location_Net_stage_one  # type: ignore[import-not-found]

    visual, audio = (resnet18(modal=modal, pretrained=False) for modal in ("vision", "audio"))
    network = Location_Net_stage_one(visual_net=visual, audio_net=audio).to(device)
    adam = Adam(network.parameters(), 1e-4, weight_decay=1e-4)
    label = torch.zeros(len(inputs[0].sounds))
    loader = []
    for batch in inputs:
        sounds = batch.sounds[:, None]
        loader.append((sounds, batch.images, batch.others, label, label, None, None))

    def epoch() -> None:
        with redirect_stdout(io.StringIO()):
            published.location_model_train(network, loader, adam, torch.nn.BCELoss())

    return epoch


def our_epoch(folder: Path, inputs: list[Inputs], crop: int, compiled: bool) -> Callable[[], Any]:
    """A function that runs one epoch of `Trainer` on the same batches."""
    clips = corpus.write(folder, corpus.drawn_clips(2), 2)
    config = trainings.settings(method="dsol", negatives="one", crop=crop, compile=compiled)
    trainer = trainings.make_trainer(clips, config, None)
    size, device = len(inputs[0].sounds), trainer.device
    mask = negative_mask(np.arange(size))
    one = sample_one_negative(mask, dataloading.make_generator(0))
    negative = torch.from_numpy(one).to(device)
    batches = []
    for batch in inputs:
        images, sounds = batch.images.to(device), batch.sounds.to(device)
        batches.append(Batch(torch.arange(size), images, sounds, negative))
    trainings.keep_batches(trainer, batches)
    return lambda: trainer.train_epoch(Epoch())


def measure(given: argparse.Namespace, folder: Path) -> None:
    """Run the systems in turn, and print their speeds."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    inputs = make_inputs(given.batch, given.batches, given.crop)
    works = {OURS: our_epoch(folder, inputs, given.crop, given.compile)}
    if (given.dsol / "music-exp").is_dir():
        works[DSOL] = dsol_epoch(given.dsol, inputs, device)
    else:
        print(f"skipped: {given.dsol}/music-exp is missing; --help has the address of DSOL's code")
    clock = time.process_time if given.threads == 1 and device == "cpu" else time.perf_counter
    items = given.batch * given.batches
    rounds = {name: lambda work=work: items / seconds(work, clock) for name, work in works.items()}
    turns = Turns(rounds, given.rounds)
    print(f"{given.batches} batches of {given.batch} at {given.crop} px,", end=" ")
    print(f"{given.rounds} rounds, {given.threads} thread(s), {device}")
    for name in works:
        print(f"{name:<12} {turns.rate(name):8.2f} items/s")
    if DSOL in works:
        print_ratio("our step / DSOL's step", turns.ratios(OURS, DSOL), TARGET)


def main() -> None:
    """Compare the speeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dsol", type=Path, default=Path("dsol"), help="clone of DSOL's code")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(given.threads):
        measure(given, Path(scratch))


if __name__ == "__main__":
    main()
