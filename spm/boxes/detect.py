"""Every detection on the frames of one shard, whatever its score: the threshold is a later decision.

python -m spm.boxes.detect --config '{}' --clips 0000.parquet --weights detector.safetensors --out 0000.parquet
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.base.progress import progress
from spm.boxes.network import build, detect
from spm.learn import batches, device, pictures, weights


class Detect(Section):
    """Which frames are looked at, by which detector."""

    weights: str | None = None  # safetensors with .json beside; null: the detector stage trains one on the given boxes
    frames: int | None = Field(None, ge=1)  # of each clip, the first ones; null: all
    batch: int = Field(32, ge=1)  # frames at once
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
        network = build(about.get("backend", "torchvision"), about["model"], about["categories"], about["size"])
        network.load_state_dict(tensors)
    except KeyError as error:
        raise UserError(f"{path.with_suffix('.json')}: {error} is missing: expected model, categories, size") from error
    except RuntimeError as error:
        what = f"{about['model']} of {len(about['categories'])} classes"
        raise UserError(f"{path} holds other weights than {what}, which is what its .json names: {error}") from error
    return network.eval(), about["categories"]


def rows_of(
    frame: Mapping[str, Any], found: Mapping[str, Tensor], categories: Sequence[str], side: int
) -> Iterator[dict[str, Any]]:
    """Rows of one frame's detections, boxes as fractions of the frame, best first."""
    for box, label, score in zip(found["boxes"] / side, found["labels"], found["scores"], strict=True):
        x, y, x2, y2 = box.clamp(0, 1).tolist()
        named = {"category": categories[int(label) - 1], "score": float(score)}
        yield {**frame, **named, "x": x, "y": y, "w": x2 - x, "h": y2 - y}


def _frames(clips: Path, most: int | None) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The clip, number and time of each frame, with its JPEG."""
    for batch in tables.batches(clips, ["clip_id", "frame_time_s", "frames"], rows=64):
        for clip in batch.to_pylist():
            for number, jpeg in enumerate(clip["frames"][:most]):
                yield {"clip_id": clip["clip_id"], "frame": number, "time_s": clip["frame_time_s"][number]}, jpeg


def _batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := [item for item, _ in zip(items, range(size), strict=False)]:
        yield batch


def _decoded(batch: list[tuple[dict[str, Any], bytes]]) -> tuple[list[tuple[dict[str, Any], bytes]], Tensor]:
    """The batch with its pictures (B, 3, side, side), uint8."""
    return batch, pictures.decode([jpeg for _, jpeg in batch])


def run(config: Detect, *, clips: Path, weights: Path, out: Path) -> None:
    """Detect on the frames of one shard's clips."""
    network, categories = load(weights)
    where = device.pick(config.device)
    network.to(where)
    with tables.writer(out, tables.DETECTIONS) as write:
        several = _batches(_frames(clips, config.frames), config.batch)
        for batch, images in progress(batches.ahead(map(_decoded, several)), "detect"):
            found = detect(network, images.to(where) / 255)
            side = images.shape[3]
            rows = [
                row for (frame, _), f in zip(batch, found, strict=True) for row in rows_of(frame, f, categories, side)
            ]
            write(**{name: [row[name] for row in rows] for name in tables.DETECTIONS.names})


if __name__ == "__main__":
    stage.main(run)
