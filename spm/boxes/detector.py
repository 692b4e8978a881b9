"""A Faster R-CNN trained on boxes, and its average precision on pictures that it has not learnt from.

python -m spm.boxes.detector --config '{"source": "given"}' --index clips.parquet --clips clips --boxes boxes.csv
    --out detector.safetensors --precision precision.csv --history history.parquet --state state/boxes/detector
python -m spm.boxes.detector --config '{"source": "openimages"}' --images images.parquet --boxes boxes.parquet …

The source is `openimages` (what that stage left), or `given`: the boxes drawn on frames of the training videos.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.base.digest import code_digest
from spm.boxes import detection_dataset, ground_truth
from spm.boxes.detection_dataset import DetectionDataset, Target
from spm.boxes.network import Backend, Start, build, detect, losses
from spm.boxes.network import Detector as Model
from spm.boxes.precision import average_precision
from spm.corpus import clip_reader
from spm.learn import dataloading, device, training, weights

GRADIENT_NORM = 5.0  # clipped: an untrained proposal network throws large ones
WARM_UP = 50  # steps


class Detector(Section):
    """Training of the detector; a picture counts once, with all its boxes."""

    source: Literal["openimages", "given"] = "openimages"  # what it learns from
    backend: Backend = (
        "torchvision"  # or detectron2, in its own environment; detect follows the weights
    )
    model: Model = "resnet50_fpn_v2"
    start: Start = "coco"
    size: int = Field(512, ge=64)  # px, side that pictures are resized to
    max_frames: int | None = Field(
        None, ge=1
    )  # pictures of the training set, spread evenly; null: all
    max_test_frames: int | None = Field(None, ge=1)  # of the set that precision is measured on
    epochs: int = Field(12, ge=1)
    batch: int = Field(8, ge=2)  # pictures
    optimizer: Literal["sgd", "adamw"] = (
        "sgd"  # with momentum 0.9, from COCO weights; adamw from less, in fewer steps
    )
    lr: float = Field(0.01, gt=0)  # cosine to zero
    weight_decay: float = Field(5e-4, ge=0)
    half: bool = True  # half precision on a GPU
    seed: int = 0
    device: str = "auto"


def optimizer_of(network: nn.Module, config: Detector) -> Optimizer:
    """SGD with momentum, or AdamW."""
    if config.optimizer == "sgd":
        return SGD(
            network.parameters(), lr=config.lr, momentum=0.9, weight_decay=config.weight_decay
        )
    return AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)


def _rate(step: int, steps: int, config: Detector) -> float:
    """Linear over the first steps, then half a cosine to zero."""
    return config.lr * min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _batches(
    learn: DetectionDataset, categories: Sequence[str], config: Detector, number: int
) -> Iterator[detection_dataset.Batch]:
    """The pictures of one epoch in random order, decoded one batch ahead of the one being learnt."""
    random = dataloading.make_generator(config.seed, number)
    parts = dataloading.shuffled_batches(len(learn), config.batch, random)
    return dataloading.prefetch(
        detection_dataset.batch(learn, at.tolist(), categories, random) for at in parts
    )


def train_epoch(
    network: nn.Module,
    optimizer: Optimizer,
    scaler: torch.amp.GradScaler,
    learn: DetectionDataset,
    categories: Sequence[str],
    config: Detector,
    number: int,
) -> training.Figures:
    """One pass over the pictures; proposals are sampled from torch's own generator, so that is seeded too."""
    network.train()
    torch.manual_seed(config.seed + number)
    where = next(network.parameters()).device
    steps, total = _steps(len(learn), config.batch), 0.0
    for step, (images, wanted) in enumerate(
        _batches(learn, categories, config, number), number * steps
    ):
        optimizer.param_groups[0]["lr"] = _rate(step, config.epochs * steps, config)
        with torch.autocast(where.type, torch.float16, enabled=scaler.is_enabled()):
            loss = losses(
                network, images.to(where) / 255, [_to(target, where) for target in wanted]
            )
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        scaler.step(optimizer)
        scaler.update()
        total += loss.item()
    return {("train", "loss"): total / max(steps, 1)}


def _steps(pictures: int, batch: int) -> int:
    """Steps of an epoch: a last single picture is left out, as `batches.shuffled` does."""
    return pictures // batch + (pictures % batch > 1)


def _to(target: Target, where: torch.device) -> Target:
    return {name: tensor.to(where) for name, tensor in target.items()}


def measure(network: nn.Module, check: DetectionDataset, categories: Sequence[str]) -> pd.DataFrame:
    """Average precision on the pictures."""
    where = next(network.parameters()).device
    found: list[dict[str, Tensor]] = []
    side = 1
    parts = [range(start, min(start + 32, len(check))) for start in range(0, len(check), 32)]
    for images in dataloading.prefetch(check.images(at) for at in parts):
        found += detect(network, images.to(where) / 255)
        side = images.shape[3]
    return average_precision(
        found,
        detection_dataset.targets(check, range(len(found)), categories, side),
        categories,
        side,
    )


def _given(index: Path, clips: Path, boxes: Path) -> tuple[DetectionDataset, DetectionDataset]:
    """What to learn from, and what to measure on: frames of training and of test videos."""
    drawn = ground_truth.read(boxes)
    rows = (clip_reader.select(index, split=split, audible=False) for split in ("train", "test"))
    learn, check = (detection_dataset.of_corpus(several, clips, drawn) for several in rows)
    if not len(learn):
        raise UserError(
            f"{boxes} has no box on a frame of a training video: there is nothing to train a detector on"
        )
    return learn, check


def _openimages(
    config: Detector, images: Path, boxes: Path
) -> tuple[DetectionDataset, DetectionDataset]:
    """The same of Open Images: its test set is what precision is measured on."""
    learn, check = (
        detection_dataset.of_openimages(images, boxes, test=test, side=config.size)
        for test in (False, True)
    )
    if not len(learn):
        raise UserError(
            f"openimages.subsets: {images} lists test pictures alone: there is nothing to learn from"
        )
    return learn, check


def run(
    config: Detector,
    *,
    index: Path | None,
    clips: Path | None,
    images: Path | None,
    boxes: Path,
    out: Path,
    precision: Path,
    history: Path,
    state: Path,
) -> None:
    """Train, resuming where a killed run stopped; then measure."""
    if config.source == "given" and index and clips:
        several = _given(index, clips, boxes)
        files = [
            index,
            boxes,
            *clip_reader.files(clip_reader.select(index, split="train", audible=False), clips),
        ]
    elif config.source == "openimages" and images:
        several = _openimages(config, images, boxes)
        files = [images, boxes]
    else:
        raise UserError(
            f"detector.source: {config.source} wants --index and --clips (given), or --images (openimages)"
        )
    learn, check = several[0].thinned(config.max_frames), several[1].thinned(config.max_test_frames)
    categories = sorted({name for part in several for names in part.categories for name in names})
    where = device.pick(config.device)
    torch.manual_seed(config.seed)
    network = build(config.backend, config.model, categories, config.size, config.start).to(where)
    optimizer = optimizer_of(network, config)
    scaler = torch.amp.GradScaler(where.type, enabled=config.half and where.type == "cuda")

    def epoch(number: int) -> training.Figures:
        return train_epoch(network, optimizer, scaler, learn, categories, config, number)

    depends = training.fingerprint(
        files, config.model_dump_json(), code_digest("spm.boxes.detector")
    )
    figures = training.train(
        network, optimizer, epoch, config.epochs, state=state / depends, what="detector"
    )
    table = measure(network, check, categories)
    shape = {
        "backend": config.backend,
        "model": config.model,
        "size": config.size,
        "categories": categories,
    }
    weights.save(out, network.state_dict(), {**shape, "config": config.model_dump()})
    with tables.atomic_write(precision) as part:
        table.to_csv(part, index=False, float_format="%.4f")
    training.finish(figures, history, state)


if __name__ == "__main__":
    stage.main(run)
