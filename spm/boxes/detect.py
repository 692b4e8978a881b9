"""Every detection on the frames of one shard, whatever its score: the threshold is a later decision.

python -m spm.boxes.detect --config '{}' --clips 0000.parquet --weights detector.safetensors --out 0000.parquet
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.base.progress import progress
from spm.boxes.network import build, detect
from spm.learn import dataloading, device, transforms, weights

Frame = dict[str, Any]  # clip_id, frame, time_s
NAMES = ("boxes", "labels", "scores")
CPU_BATCH = 8  # frames at once; of more, feature maps leave the caches (benchmarks/detect.py)


class Detect(Section):
    """Which frames are looked at, by which detector."""

    weights: str | None = (
        None  # safetensors with .json beside; null: the detector stage trains one on the given boxes
    )
    frames: int | None = Field(None, ge=1)  # of each clip, the first ones; null: all
    batch: int = Field(32, ge=1)  # frames at once on a GPU
    device: str = "auto"


def load(path: Path) -> tuple[nn.Module, list[str]]:
    """A trained detector and its categories; label n + 1 is the n-th.

    Raises
    ------
    UserError
        When the file is not whole, or its tensors are not those of the detector and classes named beside it.
    """
    tensors, about = weights.load(path)
    try:
        network = build(
            about.get("backend", "torchvision"), about["model"], about["categories"], about["size"]
        )
        network.load_state_dict(tensors)
    except KeyError as error:
        raise UserError(
            f"{path.with_suffix('.json')}: {error} is missing: expected model, categories, size"
        ) from error
    except RuntimeError as error:
        what = f"{about['model']} of {len(about['categories'])} classes"
        raise UserError(
            f"{path} holds other weights than {what}, which is what its .json names: {error}"
        ) from error
    return network.eval(), about["categories"]


def columns_of(
    frames: Sequence[Frame],
    found: Sequence[Mapping[str, Tensor]],
    categories: Sequence[str],
    side: int,
) -> dict[str, Any]:
    """The table's columns for the detections on some frames: boxes as fractions of the frame, the best first."""
    at = np.repeat(np.arange(len(frames)), [len(each["scores"]) for each in found])
    boxes, labels, scores = (
        np.concatenate([each[name].numpy() for each in found]) for name in NAMES
    )
    x, y, x2, y2 = (boxes.astype(float) / side).clip(0, 1).T
    named = {
        name: [frames[n][name] for n in at.tolist()] for name in ("clip_id", "frame", "time_s")
    }
    category = np.array(categories, object)[labels - 1]
    return {
        **named,
        "category": category,
        "score": scores,
        "x": x,
        "y": y,
        "w": x2 - x,
        "h": y2 - y,
    }


def _frames(clips: Path, most: int | None) -> Iterator[tuple[Frame, bytes]]:
    """The clip, number and time of each frame, with its JPEG."""
    for batch in tables.batches(clips, ["clip_id", "frame_time_s", "frames"], rows=64):
        for clip in batch.to_pylist():
            for number, jpeg in enumerate(clip["frames"][:most]):
                yield (
                    {
                        "clip_id": clip["clip_id"],
                        "frame": number,
                        "time_s": clip["frame_time_s"][number],
                    },
                    jpeg,
                )


def _batches(
    frames: Iterator[tuple[Frame, bytes]], size: int
) -> Iterator[tuple[list[Frame], Tensor]]:
    """So many frames at a time, and their pictures (B, 3, side, side), uint8."""
    while batch := list(islice(frames, size)):
        yield [frame for frame, _ in batch], transforms.decode([jpeg for _, jpeg in batch])


def run(config: Detect, *, clips: Path, weights: Path, out: Path) -> None:
    """Detect on the frames of one shard's clips."""
    network, categories = load(weights)
    where = device.pick(config.device)
    network.to(where)
    with tables.writer(out, tables.DETECTIONS) as write:
        at_once = min(config.batch, CPU_BATCH) if where.type == "cpu" else config.batch
        several = _batches(_frames(clips, config.frames), at_once)
        for frames, images in progress(dataloading.prefetch(several), "detect"):
            found = detect(network, images.to(where) / 255)
            write(**columns_of(frames, found, categories, images.shape[3]))


if __name__ == "__main__":
    stage.main(run)
