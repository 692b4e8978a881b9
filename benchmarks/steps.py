"""How many items a second are learnt from, beside DSOL's published code, and how many the loader has ready.

git clone https://github.com/DTaoo/Discriminative-Sounding-Objects-Localization dsol
python -m benchmarks.steps --dsol dsol [--batch 16] [--batches 2] [--rounds 3] [--threads 1] [--compile]

An item is a sound with its own picture and one negative; both sides have ResNet-18 at 224 × 224 and 201 × 64, one
output a position, binary cross-entropy and Adam. DSOL's `location_model_train` runs as it is published, on batches that
are in memory; where there is no GPU its `.cuda()` does nothing. It looks at two pictures and hears the sound twice an
item; here a batch's own pictures are each other's negatives. The two take turns; each figure is a median. Time is that
of the processor with one thread, and that of the clock with several. Targets: 1.5 times the items of DSOL's code, and a
loader of twice the items that the step takes. With --compile our trunks are compiled first (`train.compile`).
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
    """What both learn from."""

    sounds: Tensor  # (B, 201, 64)
    images: Tensor  # (B, 3, 224, 224)
    others: Tensor  # (B, 3, 224, 224), strangers' pictures


def invented(batch: int, count: int) -> list[Batch]:
    """Noise: what is in a picture does not change the time that it takes."""
    generator = dataloading.make_generator(0)
    shapes = ((batch, 201, 64), (batch, 3, CROP, CROP), (batch, 3, CROP, CROP))
    return [
        Batch(*(torch.randn(shape, generator=generator) for shape in shapes)) for _ in range(count)
    ]


def theirs(folder: Path, data: list[Batch], where: str) -> Callable[[], Any]:
    """One pass of DSOL's own training loop."""
    sys.path.insert(0, str(folder / "music-exp"))
    if where == "cpu":
        torch.Tensor.cuda = lambda self: self  # type: ignore[assignment, method-assign]
    import training_stage_one as published  # type: ignore[import-not-found]
    from model.base_model2 import resnet18  # type: ignore[import-not-found]
    from model.location_model import Location_Net_stage_one  # type: ignore[import-not-found]

    visual, audio = (resnet18(modal=modal, pretrained=False) for modal in ("vision", "audio"))
    network = Location_Net_stage_one(visual_net=visual, audio_net=audio).to(where)
    adam, label = (
        Adam(network.parameters(), 1e-4, weight_decay=1e-4),
        torch.zeros(len(data[0].sounds)),
    )
    loader = [
        (one.sounds[:, None], one.images, one.others, label, label, None, None) for one in data
    ]

    def once() -> None:
        with redirect_stdout(io.StringIO()):
            published.location_model_train(network, loader, adam, torch.nn.BCELoss())

    return once


def ours(data: list[Batch], where: str, compiled: bool) -> Callable[[], Any]:
    """The steps of one pass of `Trainer`."""
    settings = methods.settings_of(RunConfig(method="dsol", start="none", negatives="one"))
    network = methods.build(settings).to(where)
    if compiled:
        network.compile_trunks()
    empty = ClipDataset([], torch.empty(0), torch.empty(0), None)
    trainer = methods.trainer_class(settings)(network, settings, empty)
    negative = sample_one_negative(
        negative_mask(torch.arange(len(data[0].sounds))), dataloading.make_generator(0)
    ).to(where)

    def once() -> None:
        network.set_train_mode(settings)
        for one in data:
            with trainer.autocast():
                step = network.loss(
                    one.images.to(where), network.audio_features(one.sounds.to(where)), negative
                )
            trainer.optimizer_step(step.loss)
            step.loss.item()

    return once


def loader(batch: int, count: int) -> Callable[[], Any]:
    """Pictures from JPEGs in memory, as `Trainer.batches` draws them."""
    noise = np.random.default_rng(0).integers(0, 256, (STORED // 8, STORED // 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((STORED, STORED)).save(out, "JPEG", quality=90)
    clips = batch * count
    data = ClipDataset(
        [[out.getvalue()]] * clips, torch.empty(clips, 1, 1), torch.arange(clips), None
    )
    return lambda: [
        random_frames(data, at, CROP, dataloading.make_generator(0))
        for at in torch.arange(clips).split(batch)
    ]


def main() -> None:
    """Compare the rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dsol", type=Path, default=Path("dsol"))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    if not (given.dsol / "music-exp").is_dir():
        print(f"{given.dsol}/music-exp is not there; see --help for where DSOL's code comes from")
        return
    where = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(given.threads)
    data = invented(given.batch, given.batches)
    with threadpool_limits(given.threads):
        works = {
            "DSOL's step": theirs(given.dsol, data, where),
            "our step": ours(data, where, given.compile),
        }
        works["our loader"] = loader(given.batch, given.batches)
        clock = time.process_time if given.threads == 1 and where == "cpu" else time.perf_counter
        turns = take_turns(list(works.values()), clock, given.rounds)
    items = given.batch * given.batches
    print(
        f"{given.batches} batches of {given.batch}, {given.rounds} rounds, {given.threads} thread(s), {where}"
    )
    for n, name in enumerate(works):
        print(f"{name:<12} {items / median(turn[n] for turn in turns):8.2f} items/s")
    print(
        f"our step: {median(turn[0] / turn[1] for turn in turns):.2f} × DSOL's; target: {STEP_TARGET} ×"
    )
    print(
        f"loader: {median(turn[1] / turn[2] for turn in turns):.1f} × our step; target: {LOADER_TARGET} ×"
    )


if __name__ == "__main__":
    main()
