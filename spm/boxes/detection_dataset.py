"""Images with boxes to train a detector on: frames of the corpus, or images of Open Images."""

import io
import sys
from collections.abc import Iterable, Sequence
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
from spm.base.errors import UserError
from spm.boxes import box_counts, ground_truth
from spm.boxes.formats.frames import BoxRow
from spm.boxes.statuses import BoxStatus, ImageBoxStatus, ImageStatus
from spm.corpus import clip_reader
from spm.learn import transforms

Target = dict[str, Tensor]  # boxes (n, 4), two corners in px; labels (n,) from 1
Batch = tuple[Tensor, list[Target]]


class ImageFiles(Sequence[bytes]):
    """Images that are read when they are used, because memory can't hold all of them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        path = self.paths[index]
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise UserError(
                f"{path} is missing, but the stage openimages listed it: run that stage again"
            ) from error


@dataclass(frozen=True)
class DetectionDataset:
    """Images with their boxes."""

    jpegs: Sequence[bytes]
    boxes: list[np.ndarray]  # (n, 4) x, y, w, h of each image, in fractions
    categories: list[list[str]]
    side: int | None = None  # px, images are resized to squares of it; None: they are squares

    def __len__(self) -> int:
        return len(self.boxes)

    def subsample(self, limit: int | None) -> "DetectionDataset":
        """At most `limit` images, spread evenly over the data set; None: all images."""
        count = min(limit or len(self), len(self))
        indices = np.unique(np.linspace(0, len(self) - 1, count).astype(int)).tolist()
        jpegs: Sequence[bytes]
        if isinstance(self.jpegs, ImageFiles):
            jpegs = ImageFiles([self.jpegs.paths[n] for n in indices])
        else:
            jpegs = [self.jpegs[n] for n in indices]
        return replace(
            self,
            jpegs=jpegs,
            boxes=[self.boxes[n] for n in indices],
            categories=[self.categories[n] for n in indices],
        )

    def images(self, indices: Sequence[int]) -> Tensor:
        """Decoded images: (B, 3, side, side), uint8."""
        jpegs = [self.jpegs[n] for n in indices]
        return transforms.decode(jpegs) if self.side is None else resize_square(jpegs, self.side)


def resize_square(jpegs: Sequence[bytes], side: int) -> Tensor:
    """Decode images of any size, resized to squares: (B, 3, side, side), uint8."""
    squares = np.stack([_decode_square(jpeg, side) for jpeg in jpegs])  # (B, side, side, 3)
    return torch.from_numpy(squares).permute(0, 3, 1, 2)


def _decode_square(jpeg: bytes, side: int) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as image:
        # Decodes a large JPEG at 1/2, 1/4 or 1/8 of its size, which is faster, if that is enough.
        image.draft("RGB", (side, side))
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))


def listed_boxes(index: Path, boxes: Iterable[BoxRow]) -> list[BoxRow]:
    """Given boxes whose category the manifest lists for their video; the log counts the others."""
    listed = {
        row["video_id"]: row["categories"]
        for row in tables.read(index, ["video_id", "categories"]).to_pylist()
    }
    rows = []
    for box in boxes:
        if box["video_id"] in listed:
            is_listed = box["category"] in listed[box["video_id"]]
            status = BoxStatus.KEPT if is_listed else BoxStatus.OTHER_CATEGORY
            rows.append({**box, "status": status})
    print(f"detector: given boxes: {box_counts.summary(rows)}", file=sys.stderr)
    return [row for row in rows if row["status"] == BoxStatus.KEPT]


def corpus_dataset(rows: pa.Table, clips: Path, boxes: Sequence[BoxRow]) -> DetectionDataset:
    """Every frame of the rows' clips that has given boxes."""
    given = ground_truth.group_by_video(boxes)
    has_boxes = [video_id in given for video_id in rows["video_id"].to_pylist()]
    rows = rows.filter(pa.array(has_boxes, pa.bool_()))
    if not rows.num_rows:
        return DetectionDataset([], [], [])
    frames = dict(zip(rows["clip_id"].to_pylist(), clip_reader.frames(rows, clips), strict=True))
    timed = rows.append_column("frame_time_s", [clip_reader.frame_times(rows, clips)]).to_pylist()
    boxed = list(ground_truth.nearest_frames(given, timed))
    return DetectionDataset(
        [frames[item.clip["clip_id"]][item.frame] for item in boxed],
        [_sides(item.boxes) for item in boxed],
        [_categories(item.boxes) for item in boxed],
    )


def openimages_dataset(images: Path, boxes: Path, *, test: bool, side: int) -> DetectionDataset:
    """Open Images with their kept boxes, of its test set or of all other subsets."""
    usable = tables.read(images).filter(pc.field("status") == ImageStatus.OK.value)
    kept = tables.read(boxes).filter(pc.field("status") == ImageBoxStatus.KEPT.value)
    by_image: dict[tuple[str, str], list[BoxRow]] = {}
    for box in kept.to_pylist():
        by_image.setdefault((box["subset"], box["image_id"]), []).append(box)
    rows = [row for row in usable.to_pylist() if (row["subset"] == "test") == test]
    image_boxes = [by_image[row["subset"], row["image_id"]] for row in rows]
    return DetectionDataset(
        ImageFiles([Path(row["path"]) for row in rows]),
        [_sides(group) for group in image_boxes],
        [_categories(group) for group in image_boxes],
        side,
    )


def _sides(boxes: Sequence[BoxRow]) -> np.ndarray:
    return np.array([(box["x"], box["y"], box["w"], box["h"]) for box in boxes])  # (n, 4)


def _categories(boxes: Sequence[BoxRow]) -> list[str]:
    return [box["category"] for box in boxes]


def targets(
    dataset: DetectionDataset, indices: Sequence[int], categories: Sequence[str], side: int
) -> list[Target]:
    """Training targets of images: boxes as two corners in px, and labels from 1."""
    label = {name: number for number, name in enumerate(categories, 1)}
    made = []
    for n in indices:
        box = dataset.boxes[n]
        corners = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1)
        target = {
            "boxes": torch.tensor(corners * side, dtype=torch.float32),
            "labels": torch.tensor([label[name] for name in dataset.categories[n]]),
        }
        made.append(target)
    return made


def mirror(target: Target, side: int) -> Target:
    """The boxes of a horizontally mirrored image `side` pixels wide."""
    x, y, x2, y2 = target["boxes"].unbind(1)
    return {**target, "boxes": torch.stack([side - x2, y, side - x, y2], 1)}


def batch(
    dataset: DetectionDataset,
    indices: Sequence[int],
    categories: Sequence[str],
    generator: torch.Generator,
) -> Batch:
    """Images (B, 3, side, side) uint8 with their targets; half of them are mirrored."""
    images = dataset.images(indices)
    side = images.shape[3]
    flip = torch.rand(len(indices), generator=generator) < 0.5
    mirrored = torch.where(flip[:, None, None, None], images.flip(3), images)
    flipped_targets = [
        mirror(target, side) if flipped else target
        for target, flipped in zip(
            targets(dataset, indices, categories, side), flip.tolist(), strict=True
        )
    ]
    return mirrored, flipped_targets
