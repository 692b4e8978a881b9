"""All detections on the frames of one shard; `annotations.min_score` selects from them later.

python -m spm.boxes.detect --config '{}' --clips 0000.parquet --weights detector.safetensors
    --out 0000.parquet
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, repeat
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow.compute as pc
import torch
from pydantic import Field
from torch import Tensor, nn

from spm.base import schemas, stage, tables
from spm.base.config import THREADS, Device, Section, Text, Threads
from spm.base.errors import UserError
from spm.base.progress import progress
from spm.boxes.network import build, detect
from spm.learn import loader, transforms, weights
from spm.learn.device import pick_device

Item = TypeVar("Item")
CPU_BATCH = 8  # frames; larger batches exceed the CPU's caches (benchmarks/detect.py)
READ_CLIPS = 64  # read from a table at once
GROUP_FRAMES = 256  # frames whose detections are a row group of the table


class Detect(Section):
    """Detection on the frames of all clips."""

    weights: Text | None = Field(
        None,
        description="Weights of a detector: a safetensors file with a .json file of the same name;"
        " null: the detector that the stage `detector` trains.",
    )
    frames: int | None = Field(
        None,
        ge=1,
        le=60,
        description="Number of frames per clip, from its start; null: all frames.",
    )
    batch: int = Field(
        32,
        ge=1,
        le=10_000,
        description="Frames per batch on a GPU; on a CPU a batch has at most 8.",
    )
    device: Device = "auto"
    threads: Threads = THREADS


class FrameId(NamedTuple):
    """Which frame detections belong to; the columns of the table."""

    clip_id: str
    frame: int
    time_s: float


class FrameBatch(NamedTuple):
    """Frames that are processed at once."""

    frames: list[FrameId]  # B
    images: Tensor  # (B, 3, side, side), uint8


def load(path: Path) -> tuple[nn.Module, list[str]]:
    """A trained detector and its categories; label n + 1 is the n-th category.

    Raises
    ------
    UserError
        If the file is incomplete, or its tensors don't fit the model and categories of its JSON.
    """
    tensors, description = weights.load(path)
    try:
        model, categories = description["model"], description["categories"]
        backend = description.get("backend", "torchvision")
        network = build(backend, model, categories, description["size"])
        network.load_state_dict(tensors)
    except KeyError as error:
        raise UserError(
            f"{path.with_suffix('.json')}: {error} is missing: expected model, categories, size"
        ) from error
    except RuntimeError as error:
        raise UserError(
            f"{path} holds other weights than {model} of {len(categories)} classes, as its .json"
            f" file describes them: {error}"
        ) from error
    return network.eval(), categories


def detection_columns(
    frames: Sequence[FrameId],
    detections: Sequence[Mapping[str, Tensor]],
    categories: Sequence[str],
    side: int,
) -> dict[str, Any]:
    """The table's columns: boxes as fractions of the frame, the best of each frame first.

    Parameters
    ----------
    frames : sequence of FrameId
        One per item of `detections`.
    detections : sequence of dict
        `boxes` (n, 4), two corners in px, `labels` (n,) from 1, `scores` (n,).
    categories : sequence of str
        `categories[n]` has label n + 1.
    side : int
        Width and height of the frames, in px.
    """
    counts = [len(detected["scores"]) for detected in detections]
    frame_of_box = np.repeat(np.arange(len(frames)), counts).tolist()
    boxes = np.concatenate([detected["boxes"].numpy() for detected in detections])
    labels = np.concatenate([detected["labels"].numpy() for detected in detections])
    scores = np.concatenate([detected["scores"].numpy() for detected in detections])
    x, y, x2, y2 = (boxes.astype(float) / side).clip(0, 1).T
    return {
        "clip_id": [frames[n].clip_id for n in frame_of_box],
        "frame": [frames[n].frame for n in frame_of_box],
        "time_s": [frames[n].time_s for n in frame_of_box],
        "category": np.array(categories, object)[labels - 1],
        "score": scores,
        "x": x,
        "y": y,
        "w": x2 - x,
        "h": y2 - y,
    }


def _frames(clips: Path, per_clip: int | None) -> Iterator[tuple[FrameId, bytes]]:
    """The frames of all clips, with their JPEG."""
    for batch in tables.batches(clips, ["clip_id", "frame_time_s", "frames"], rows=READ_CLIPS):
        for clip in batch.to_pylist():
            for number, jpeg in enumerate(clip["frames"][:per_clip]):
                yield FrameId(clip["clip_id"], number, clip["frame_time_s"][number]), jpeg


def count_frames(clips: Path, per_clip: int | None) -> int:
    """Number of the frames of all clips."""
    counts = pc.list_value_length(tables.read(clips, ["frame_time_s"])["frame_time_s"])
    return int(np.minimum(counts.to_numpy(), per_clip or np.inf).sum())


def _batched(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items; the last one may be shorter."""
    while batch := list(islice(items, size)):
        yield batch


def _decode(plan: Sequence[tuple[FrameId, bytes]]) -> FrameBatch:
    images = []
    for frame, jpeg in plan:
        try:
            images += transforms.decode_each([jpeg])
        except UserError as error:
            raise UserError(f"clip {frame.clip_id}: {error}") from error
    return FrameBatch([frame for frame, _ in plan], transforms.stack(images))


def _detect_all(
    network: nn.Module, plans: Iterator[list[tuple[FrameId, bytes]]], device: torch.device
) -> Iterator[tuple[FrameId, dict[str, Tensor], int]]:
    """Each frame with its detections and its side in px."""
    for frames, images in loader.load(plans, _decode, device=device):
        detections = detect(network, images.to(device) / 255)
        yield from zip(frames, detections, repeat(images.shape[3]), strict=False)


def run(config: Detect, *, clips: Path, weights: Path, out: Path) -> None:
    """Detect on the frames of one shard's clips; memory does not grow with the shard."""
    network, categories = load(weights)
    device = pick_device(config.device, config.threads)
    network.to(device)
    batch_size = min(config.batch, CPU_BATCH) if device.type == "cpu" else config.batch
    plans = _batched(_frames(clips, config.frames), batch_size)
    found = _detect_all(network, plans, device)
    with tables.writer(out, schemas.DETECTIONS) as write:
        bar = progress(found, "detect", count_frames(clips, config.frames))
        for group in _batched(iter(bar), GROUP_FRAMES):
            frames, detections, sides = zip(*group, strict=True)
            write(**detection_columns(frames, detections, categories, sides[0]))


if __name__ == "__main__":
    stage.main(run)
