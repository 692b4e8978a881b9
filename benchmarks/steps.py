"""Speed of training steps, compared with DSOL's published code, and speed of our loader.

git clone https://github.com/DTaoo/Discriminative-Sounding-Objects-Localization dsol
python -m benchmarks.steps --dsol dsol [--batch 16] [--batches 2] [--rounds 3] [--threads 1]
    [--compile]

An item is a sound, its own image and one negative. Both networks have two ResNet-18, for images of
224 × 224 px and log-mels of 201 × 64, with one output per position, binary cross-entropy and Adam.
DSOL: `location_model_train` as published, on batches in memory; without a GPU its calls of
`.cuda()` do nothing. It processes two images per item, and each sound twice. Ours: the loss of our
network and `Trainer.optimizer_step`, with the images of the other items as negatives. --compile
compiles our trunks first, as `train.compile` does. Loader: images from JPEGs in memory, as
`Trainer.batches` draws them.

They run in turn. Printed: the median items per second, of CPU time with one thread and no GPU, and
of wall time otherwise. Targets: our step has 1.5 times the items of DSOL's step, and the loader has
2 times the items of our step.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.optim import Adam

from benchmarks.spectrograms import take_turns
from spm.fusion import methods
from spm.fusion.dataset import ClipDataset, random_frames
from spm.fusion.losses import negative_mask, sample_one_negative
from spm.fusion.settings import RunConfig
from spm.learn import dataloading

STEP_TARGET, LOADER_TARGET = 1.5, 2.0
CROP, STORED = 224, 256  # px


class Batch(NamedTuple):
    """The training data of both systems."""

    sounds: Tensor  # (B, 201, 64)
    images: Tensor  # (B, 3, 224, 224)
    others: Tensor  # (B, 3, 224, 224), images of other videos


def make_batches(size: int, count: int) -> list[Batch]:
    """Batches of noise: the time of a step does not depend on the values."""
    generator = dataloading.make_generator(0)
    shapes = ((size, 201, 64), (size, 3, CROP, CROP), (size, 3, CROP, CROP))
    batches = []
    for _ in range(count):
        batches.append(Batch(*(torch.randn(shape, generator=generator) for shape in shapes)))
    return batches


def dsol_epoch(folder: Path, batches: list[Batch], device: str) -> Callable[[], Any]:
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
    label = torch.zeros(len(batches[0].sounds))
    loader = []
    for batch in batches:
        sounds = batch.sounds[:, None]
        loader.append((sounds, batch.images, batch.others, label, label, None, None))

    def epoch() -> None:
        with redirect_stdout(io.StringIO()):
            published.location_model_train(network, loader, adam, torch.nn.BCELoss())

    return epoch


def our_epoch(batches: list[Batch], device: str, compiled: bool) -> Callable[[], Any]:
    """A function that runs the steps of one epoch of `Trainer`."""
    settings = methods.settings_of(RunConfig(method="dsol", start="none", negatives="one"))
    network = methods.build(settings).to(device)
    if compiled:
        network.compile_trunks()
    empty = ClipDataset([], torch.empty(0), torch.empty(0), None)
    trainer = methods.trainer_class(settings)(network, settings, empty)
    mask = negative_mask(torch.arange(len(batches[0].sounds)))
    negative = sample_one_negative(mask, dataloading.make_generator(0)).to(device)

    def epoch() -> None:
        network.set_train_mode(settings)
        for batch in batches:
            with trainer.autocast():
                audio = network.audio_features(batch.sounds.to(device))
                step = network.loss(batch.images.to(device), audio, negative)
            trainer.optimizer_step(step.loss)
            step.loss.item()

    return epoch


def loader_epoch(size: int, count: int) -> Callable[[], Any]:
    """A function that draws the images of one epoch from JPEGs in memory."""
    noise = np.random.default_rng(0).integers(0, 256, (STORED // 8, STORED // 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((STORED, STORED)).save(out, "JPEG", quality=90)
    clips, jpeg = size * count, out.getvalue()
    data = ClipDataset([[jpeg]] * clips, torch.empty(clips, 1, 1), torch.arange(clips), None)

    def epoch() -> None:
        for indices in torch.arange(clips).split(size):
            random_frames(data, indices, CROP, dataloading.make_generator(0))

    return epoch


def measure(given: argparse.Namespace) -> None:
    """Run the three systems in turn, and print their speeds."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batches = make_batches(given.batch, given.batches)
    works = {
        "DSOL's step": dsol_epoch(given.dsol, batches, device),
        "our step": our_epoch(batches, device, given.compile),
        "our loader": loader_epoch(given.batch, given.batches),
    }
    clock = time.process_time if given.threads == 1 and device == "cpu" else time.perf_counter
    turns = take_turns(list(works.values()), clock, given.rounds)
    print(f"{given.batches} batches of {given.batch}, {given.rounds} rounds,", end=" ")
    print(f"{given.threads} thread(s), {device}")
    items = given.batch * given.batches
    for number, name in enumerate(works):
        print(f"{name:<12} {items / median(times_s[number] for times_s in turns):8.2f} items/s")
    step_ratio = median(dsol_s / ours_s for dsol_s, ours_s, _ in turns)
    loader_ratio = median(ours_s / loader_s for _, ours_s, loader_s in turns)
    print(f"our step: {step_ratio:.2f} × DSOL's (target: {STEP_TARGET})")
    print(f"loader: {loader_ratio:.1f} × our step (target: {LOADER_TARGET})")


def main() -> None:
    """Compare the speeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dsol", type=Path, default=Path("dsol"), help="clone of DSOL's code")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    if not (given.dsol / "music-exp").is_dir():
        print(f"skipped: {given.dsol}/music-exp is missing; --help has the address of DSOL's code")
        return
    torch.set_num_threads(given.threads)
    with threadpool_limits(given.threads):
        measure(given)


if __name__ == "__main__":
    main()
