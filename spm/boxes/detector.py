"""A Faster R-CNN trained on the boxes given for the training videos, and its average precision on the test videos.

python -m spm.boxes.detector --config '{}' --index clips.parquet --clips clips --boxes boxes.csv
    --out detector.safetensors --precision precision.csv --history history.parquet --state state/boxes/detector
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torchvision.models.detection import FasterRCNN

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.base.digest import code_digest
from spm.boxes import truth
from spm.boxes.network import Detector as Model
from spm.boxes.network import build, detect, losses
from spm.boxes.precision import average_precision
from spm.corpus import reading
from spm.learn import batches, device, pictures, training, weights
from spm.learn.backbones import Start

GRADIENT_NORM = 5.0  # clipped: an untrained proposal network throws large ones
WARM_UP = 50  # steps


class Detector(Section):
    """Training of the detector; a frame counts once, with all its boxes."""

    model: Model = "resnet50_fpn_v2"
    start: Start | Literal["coco"] = "coco"
    size: int = Field(512, ge=64)  # px, side that pictures are resized to
    max_frames: int | None = Field(None, ge=1)  # of the training set, spread evenly; null: all
    max_test_frames: int | None = Field(None, ge=1)  # of the set that precision is measured on
    epochs: int = Field(12, ge=1)
    batch: int = Field(8, ge=1)  # frames
    optimiser: Literal["sgd", "adamw"] = "sgd"  # with momentum 0.9, from COCO weights; adamw from less, in fewer steps
    lr: float = Field(0.01, gt=0)  # cosine to zero
    weight_decay: float = Field(5e-4, ge=0)
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class Frames:
    """Pictures with their boxes, in memory."""

    jpegs: list[bytes]
    boxes: list[np.ndarray]  # (n, 4) x, y, w, h of each, as fractions
    categories: list[list[str]]

    def thinned(self, most: int | None) -> "Frames":
        """At most so many frames, spread evenly over all."""
        keep = np.unique(np.linspace(0, len(self.jpegs) - 1, min(most or len(self.jpegs), len(self.jpegs))).astype(int))
        return Frames([self.jpegs[n] for n in keep], [self.boxes[n] for n in keep], [self.categories[n] for n in keep])


def frames_with_boxes(rows: pa.Table, clips: Path, boxes: Sequence[truth.Row]) -> Frames:
    """Every frame of the rows' clips that somebody drew boxes on."""
    given = truth.by_video(boxes)
    rows = rows.filter(pa.array([video in given for video in rows["video_id"].to_pylist()], pa.bool_()))
    if not rows.num_rows:
        return Frames([], [], [])
    jpegs = dict(zip(rows["clip_id"].to_pylist(), reading.frames(rows, clips), strict=True))
    timed = rows.append_column("frame_time_s", [reading.frame_times(rows, clips)]).to_pylist()
    found = list(truth.nearest_frames(given, timed))
    return Frames(
        [jpegs[clip["clip_id"]][frame] for clip, frame, _ in found],
        [np.array([[box[side] for side in "xywh"] for box in drawn]) for _, _, drawn in found],
        [[box["category"] for box in drawn] for _, _, drawn in found],
    )


def targets(frames: Frames, at: Sequence[int], categories: Sequence[str], side: int) -> list[dict[str, Tensor]]:
    """What torchvision's detectors learn from: boxes in pixels, corner to corner, and labels from 1."""
    label = {name: number for number, name in enumerate(categories, 1)}
    corners = [np.concatenate([frames.boxes[n][:, :2], frames.boxes[n][:, :2] + frames.boxes[n][:, 2:]], 1) for n in at]
    return [
        {"boxes": torch.tensor(box * side, dtype=torch.float32), "labels": torch.tensor([label[c] for c in names])}
        for box, names in zip(corners, (frames.categories[n] for n in at), strict=True)
    ]


def mirror(target: dict[str, Tensor], side: int) -> dict[str, Tensor]:
    """The boxes of a mirrored picture `side` pixels wide."""
    x, y, x2, y2 = target["boxes"].unbind(1)
    return {**target, "boxes": torch.stack([side - x2, y, side - x, y2], 1)}


def _batch(frames: Frames, at: Tensor, categories: Sequence[str], random: torch.Generator) -> tuple[Tensor, Any]:
    """Pictures (B, 3, side, side) uint8 with their targets, half of them mirrored."""
    images = pictures.decode([frames.jpegs[n] for n in at.tolist()])
    wanted = targets(frames, at.tolist(), categories, images.shape[3])
    flip = torch.rand(len(at), generator=random) < 0.5
    mirrored = torch.where(flip[:, None, None, None], images.flip(3), images)
    return mirrored, [mirror(t, images.shape[3]) if f else t for t, f in zip(wanted, flip.tolist(), strict=True)]


def optimiser_of(network: FasterRCNN, config: Detector) -> Optimizer:
    """SGD with momentum, or AdamW."""
    if config.optimiser == "sgd":
        return SGD(network.parameters(), lr=config.lr, momentum=0.9, weight_decay=config.weight_decay)
    return AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)


def _rate(step: int, steps: int, config: Detector) -> float:
    """Linear over the first steps, then half a cosine to zero."""
    return config.lr * min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def train_epoch(
    network: FasterRCNN, optimiser: Optimizer, frames: Frames, categories: Sequence[str], config: Detector, number: int
) -> training.Figures:
    """One pass over the frames; proposals are sampled from torch's own generator, so that is seeded too."""
    network.train()
    torch.manual_seed(config.seed + number)
    random, where = batches.seeded(config.seed, number), next(network.parameters()).device
    steps = list(batches.shuffled(len(frames.jpegs), config.batch, random))
    total = 0.0
    for step, at in enumerate(steps, number * len(steps)):
        optimiser.param_groups[0]["lr"] = _rate(step, config.epochs * len(steps), config)
        images, wanted = _batch(frames, at, categories, random)
        on_device = [{name: tensor.to(where) for name, tensor in target.items()} for target in wanted]
        loss = losses(network, images.to(where) / 255, on_device)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        optimiser.step()
        total += loss.item()
    return {("train", "loss"): total / max(len(steps), 1)}


def measure(network: FasterRCNN, frames: Frames, categories: Sequence[str]) -> pd.DataFrame:
    """Average precision on the frames."""
    where = next(network.parameters()).device
    found: list[dict[str, Tensor]] = []
    side = 1
    for start in range(0, len(frames.jpegs), 32):
        images = pictures.decode(frames.jpegs[start : start + 32])
        found += detect(network, images.to(where) / 255)
        side = images.shape[3]
    return average_precision(found, targets(frames, range(len(found)), categories, side), categories, side)


def run(
    config: Detector,
    *,
    index: Path,
    clips: Path,
    boxes: Path,
    out: Path,
    precision: Path,
    history: Path,
    state: Path,
) -> None:
    """Train on frames of training videos; the precision table looks at test videos alone."""
    drawn = truth.read(boxes)
    learn, check = (
        frames_with_boxes(reading.select(index, split=split, audible=False), clips, drawn).thinned(most)
        for split, most in (("train", config.max_frames), ("test", config.max_test_frames))
    )
    if not learn.jpegs:
        raise UserError(f"{boxes} has no box on a frame of a training video: there is nothing to train a detector on")
    categories, where = sorted({box["category"] for box in drawn}), device.pick(config.device)
    torch.manual_seed(config.seed)
    network = build(config.model, categories, config.size, config.start).to(where)
    optimiser = optimiser_of(network, config)

    def epoch(number: int) -> training.Figures:
        return train_epoch(network, optimiser, learn, categories, config, number)

    files = reading.files(reading.select(index, split="train", audible=False), clips)
    depends = training.fingerprint([index, boxes, *files], config.model_dump_json(), code_digest("spm.boxes.detector"))
    figures = training.train(network, optimiser, epoch, config.epochs, state=state / depends, what="detector")
    table = measure(network, check, categories)
    about = {"model": config.model, "size": config.size, "categories": categories, "config": config.model_dump()}
    weights.save(out, network.state_dict(), about)
    with tables.whole(precision) as part:
        table.to_csv(part, index=False, float_format="%.4f")
    training.finish(figures, history, state)


if __name__ == "__main__":
    stage.main(run)
