"""What a detector learns from: pictures with boxes, of the corpus' own frames or of Open Images."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from PIL import Image
from torch import Tensor

from spm.base import tables
from spm.base.config import UserError
from spm.boxes import ground_truth
from spm.corpus import clip_reader
from spm.learn import transforms

Target = dict[str, Tensor]  # boxes (n, 4), corner to corner in pixels; labels (n,) from 1
Batch = tuple[Tensor, list[Target]]


class Files(Sequence[bytes]):
    """Pictures that are read when they are looked at: more of them than fit in memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: Any) -> Any:
        try:
            return self.paths[at].read_bytes()
        except FileNotFoundError as error:
            raise UserError(
                f"{self.paths[at]} is gone since openimages listed it: run that stage again"
            ) from error


@dataclass(frozen=True)
class DetectionDataset:
    """Pictures with their boxes."""

    jpegs: Sequence[bytes]
    boxes: list[np.ndarray]  # (n, 4) x, y, w, h of each, as fractions
    categories: list[list[str]]
    side: int | None = (
        None  # px, squeezed to squares of this side as clips' frames are; None: squares already
    )

    def __len__(self) -> int:
        return len(self.boxes)

    def thinned(self, most: int | None) -> "DetectionDataset":
        """At most so many pictures, spread evenly over all."""
        keep = np.unique(
            np.linspace(0, len(self) - 1, min(most or len(self), len(self))).astype(int)
        ).tolist()
        jpegs = (
            Files([self.jpegs.paths[n] for n in keep]) if isinstance(self.jpegs, Files) else None
        )
        return replace(
            self,
            jpegs=jpegs or [self.jpegs[n] for n in keep],
            boxes=[self.boxes[n] for n in keep],
            categories=[self.categories[n] for n in keep],
        )

    def images(self, at: Sequence[int]) -> Tensor:
        """Some of the pictures, decoded: (B, 3, side, side), uint8."""
        jpegs = [self.jpegs[n] for n in at]
        return transforms.decode(jpegs) if self.side is None else resize_square(jpegs, self.side)


def resize_square(jpegs: Sequence[bytes], side: int) -> Tensor:
    """Decode pictures of any size to squares: (B, 3, side, side), uint8."""
    return torch.from_numpy(np.stack([_squeeze(jpeg, side) for jpeg in jpegs])).permute(0, 3, 1, 2)


def _squeeze(jpeg: bytes, side: int) -> np.ndarray:
    """One picture; a large JPEG is decoded at half or a quarter of its size where that is still larger than asked."""
    with Image.open(io.BytesIO(jpeg)) as image:
        image.draft("RGB", (side, side))
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))


def of_corpus(rows: pa.Table, clips: Path, boxes: Sequence[ground_truth.Row]) -> DetectionDataset:
    """Every frame of the rows' clips that somebody drew boxes on."""
    given = ground_truth.by_video(boxes)
    rows = rows.filter(
        pa.array([video in given for video in rows["video_id"].to_pylist()], pa.bool_())
    )
    if not rows.num_rows:
        return DetectionDataset([], [], [])
    jpegs = dict(zip(rows["clip_id"].to_pylist(), clip_reader.frames(rows, clips), strict=True))
    timed = rows.append_column("frame_time_s", [clip_reader.frame_times(rows, clips)]).to_pylist()
    found = list(ground_truth.nearest_frames(given, timed))
    return DetectionDataset(
        [jpegs[clip["clip_id"]][frame] for clip, frame, _ in found],
        [np.array([[box[side] for side in "xywh"] for box in drawn]) for _, _, drawn in found],
        [[box["category"] for box in drawn] for _, _, drawn in found],
    )


def of_openimages(images: Path, boxes: Path, *, test: bool, side: int) -> DetectionDataset:
    """Pictures of Open Images with the boxes that were kept, of its test set or of all other subsets."""
    there = tables.read(images).filter(pc.field("status") == "ok")
    kept = tables.read(boxes).filter(pc.field("status") == "kept")
    drawn: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for box in kept.to_pylist():
        drawn.setdefault((box["subset"], box["image_id"]), []).append(box)
    rows = [row for row in there.to_pylist() if (row["subset"] == "test") == test]
    several = [drawn[row["subset"], row["image_id"]] for row in rows]
    return DetectionDataset(
        Files([Path(row["path"]) for row in rows]),
        [np.array([[box[edge] for edge in "xywh"] for box in part]) for part in several],
        [[box["category"] for box in part] for part in several],
        side,
    )


def targets(
    examples: DetectionDataset, at: Sequence[int], categories: Sequence[str], side: int
) -> list[Target]:
    """What detectors learn from: boxes in pixels, corner to corner, and labels from 1."""
    label = {name: number for number, name in enumerate(categories, 1)}
    corners = [
        np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1)
        for box in (examples.boxes[n] for n in at)
    ]
    return [
        {
            "boxes": torch.tensor(box * side, dtype=torch.float32),
            "labels": torch.tensor([label[c] for c in names]),
        }
        for box, names in zip(corners, (examples.categories[n] for n in at), strict=True)
    ]


def mirror(target: Target, side: int) -> Target:
    """The boxes of a mirrored picture `side` pixels wide."""
    x, y, x2, y2 = target["boxes"].unbind(1)
    return {**target, "boxes": torch.stack([side - x2, y, side - x, y2], 1)}


def batch(
    examples: DetectionDataset,
    at: Sequence[int],
    categories: Sequence[str],
    random: torch.Generator,
) -> Batch:
    """Pictures (B, 3, side, side) uint8 with their targets, half of them mirrored."""
    images = examples.images(at)
    wanted = targets(examples, at, categories, images.shape[3])
    flip = torch.rand(len(at), generator=random) < 0.5
    mirrored = torch.where(flip[:, None, None, None], images.flip(3), images)
    return mirrored, [
        mirror(t, images.shape[3]) if f else t for t, f in zip(wanted, flip.tolist(), strict=True)
    ]
