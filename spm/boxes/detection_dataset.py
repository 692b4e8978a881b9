"""Images with boxes to train a detector on: frames of the corpus, or images of Open Images."""

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from PIL import Image
from torch import Tensor

from spm.base import tables
from spm.base.errors import UserError
from spm.base.pictures import open_picture
from spm.boxes import box_counts, ground_truth
from spm.boxes.formats import csv
from spm.boxes.formats.frames import BoxRow
from spm.boxes.statuses import BoxStatus, ImageBoxStatus, ImageStatus
from spm.corpus import clip_reader
from spm.learn import clip_files, dataloading, transforms
from spm.learn.clip_files import ClipColumn

Target = dict[str, Tensor]  # boxes (n, 4), two corners in px; labels (n,) from 1
Batch = tuple[Tensor, list[Target]]


class CorpusFrame(NamedTuple):
    """A frame of a clip."""

    clip: int  # row of the column of frames
    frame: int


class BatchPlan(NamedTuple):
    """The images of a batch."""

    indices: list[int]
    mirrored: Tensor  # (B,) bool


@dataclass(frozen=True)
class DetectionDataset:
    """Images with their boxes; an image is read when it is used."""

    places: Sequence[Any]  # of the images: what `read` takes
    read: Callable[[Any], bytes]  # gives the JPEG at a place
    boxes: list[np.ndarray]  # (n, 4) x, y, w, h of each image, in fractions
    categories: list[list[str]]
    side: int | None = None  # px, images are resized to squares of it; None: they are squares

    def __len__(self) -> int:
        return len(self.boxes)

    def subsample(self, limit: int | None) -> "DetectionDataset":
        """At most `limit` images, spread evenly over the data set; None: all images."""
        count = min(limit or len(self), len(self))
        indices = np.unique(np.linspace(0, len(self) - 1, count).astype(int)).tolist()
        return replace(
            self,
            places=[self.places[n] for n in indices],
            boxes=[self.boxes[n] for n in indices],
            categories=[self.categories[n] for n in indices],
        )

    def images(self, indices: Sequence[int]) -> Tensor:
        """Decoded images: (B, 3, side, side), uint8.

        Raises
        ------
        UserError
            If an image is missing or damaged.
        """
        places = [self.places[n] for n in indices]
        if self.side is None:
            return transforms.decode([self.read(place) for place in places])
        squares = []
        for place in places:
            try:
                squares.append(decode_square(self.read(place), self.side))
            except (OSError, ValueError) as error:
                raise UserError(
                    f"{place} is not a complete image ({error}): delete it and run the stage"
                    " openimages again"
                ) from error
        return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


class Datasets(NamedTuple):
    """Images to train on and images to measure average precision on."""

    train: DetectionDataset
    test: DetectionDataset


def _read_frame(frames: ClipColumn, place: CorpusFrame) -> bytes:
    return frames.frame(place.clip, place.frame)


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing, but the stage openimages listed it: run that stage again"
        ) from error


def decode_square(jpeg: bytes, side: int) -> np.ndarray:
    """Decode an image of any size, resized to a square: (side, side, 3), uint8."""
    with open_picture(io.BytesIO(jpeg)) as image:
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


def corpus_dataset(
    rows: pa.Table, clips: Path, boxes: Sequence[BoxRow], mapped: Path | None = None
) -> DetectionDataset:
    """Every frame of the rows' clips that has given boxes.

    `mapped` is the folder of memory-mapped clips (`spm.learn.clip_files`).
    """
    given = ground_truth.group_by_video(boxes)
    has_boxes = [video_id in given for video_id in rows["video_id"].to_pylist()]
    rows = rows.filter(pa.array(has_boxes, pa.bool_()))
    if not rows.num_rows:
        return DetectionDataset([], _read_file, [], [])
    frames = clip_files.open_column(rows, clips, "frames", mapped)
    number = {clip_id: n for n, clip_id in enumerate(rows["clip_id"].to_pylist())}
    timed = rows.append_column("frame_time_s", [clip_reader.frame_times(rows, clips)]).to_pylist()
    boxed = list(ground_truth.nearest_frames(given, timed))
    return DetectionDataset(
        [CorpusFrame(number[item.clip["clip_id"]], item.frame) for item in boxed],
        partial(_read_frame, frames),
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
        [Path(row["path"]) for row in rows],
        _read_file,
        [_sides(group) for group in image_boxes],
        [_categories(group) for group in image_boxes],
        side,
    )


def given_datasets(index: Path, clips: Path, boxes: Path, mapped: Path | None = None) -> Datasets:
    """Frames with given boxes, of training and of test videos."""
    drawn = listed_boxes(index, csv.read(boxes))
    train, test = (
        corpus_dataset(clip_reader.select(index, split=split, audible=False), clips, drawn, mapped)
        for split in ("train", "test")
    )
    if not len(train):
        raise UserError(
            f"{boxes} has no box on a frame of a training video: there is nothing to train a"
            " detector on"
        )
    return Datasets(train, test)


def openimages_datasets(images: Path, boxes: Path, side: int) -> Datasets:
    """Open Images: its test set measures average precision, all other subsets train."""
    train, test = (
        openimages_dataset(images, boxes, test=is_test, side=side) for is_test in (False, True)
    )
    if not len(train):
        raise UserError(
            f"openimages.subsets: {images} lists only images of the subset test: expected train or"
            " validation too"
        )
    return Datasets(train, test)


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


def plan_batches(count: int, size: int, generator: torch.Generator) -> Iterator[BatchPlan]:
    """All images in random order, in batches of `size`; half of them are mirrored."""
    for indices in dataloading.shuffled_batches(count, size, generator):
        yield BatchPlan(indices.tolist(), torch.rand(len(indices), generator=generator) < 0.5)


def make_batch(dataset: DetectionDataset, categories: Sequence[str], plan: BatchPlan) -> Batch:
    """Images (B, 3, side, side) uint8 with their targets."""
    images = dataset.images(plan.indices)
    side = images.shape[3]
    mirrored = torch.where(plan.mirrored[:, None, None, None], images.flip(3), images)
    plain = targets(dataset, plan.indices, categories, side)
    return mirrored, [
        mirror(target, side) if flipped else target
        for target, flipped in zip(plain, plan.mirrored.tolist(), strict=True)
    ]
