"""The tables of the workflow that scoring reads: maps, boxes and clips."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spm.base import tables
from spm.base.errors import UserError
from spm.base.statuses import Split
from spm.boxes.formats.frames import Box
from spm.boxes.statuses import BoxStatus
from spm.corpus import ids
from spm.score import map_streams, map_tables
from spm.score.evaluation import Predictions
from spm.score.map_tables import TableRow
from spm.score.metrics import Doubles


class FrameKey(NamedTuple):
    """A frame of a clip."""

    clip_id: str
    frame: int

    def __str__(self) -> str:
        """The frame in an error."""
        return f"clip {self.clip_id!r}, frame {self.frame}"


def read_maps(path: Path) -> Predictions:
    """Maps of every frame, sorted by (clip_id, frame); also of each class if the run has such.

    Raises
    ------
    UserError
        If the table is not one of maps; `map_tables.read` lists the checks.
    """
    table = map_tables.read(
        path, lambda row: FrameKey(row["clip_id"], row["frame"]), FrameKey._fields
    )
    videos = [ids.split_ids(row["video_id"]) for row in table.frames.values()]
    return Predictions(
        list(table.frames), videos, table.frame_maps, table.class_maps, table.classes
    )


def on_frames_of(predictions: Predictions, path: Path) -> Predictions:
    """The maps of a table on the frames of `predictions`, in their order.

    Raises
    ------
    UserError
        If one of these frames has no map.
    """
    found = read_maps(path)
    if found.keys == predictions.keys:
        return found
    numbers = {key: number for number, key in enumerate(found.keys)}
    if missing := [key for key in predictions.keys if key not in numbers]:
        raise UserError(
            f"{path}: no map of {missing[0]}; expected the frames of the run: run the workflow"
            " again"
        )
    wanted = [numbers[key] for key in predictions.keys]
    return replace(
        found,
        keys=predictions.keys,
        videos=predictions.videos,
        frame_maps=map_streams.select(found.frame_maps, wanted),
        class_maps=map_streams.select(found.class_maps, wanted),
    )


def by_frame(annotations: Sequence[TableRow]) -> dict[FrameKey, list[TableRow]]:
    """Annotations of each frame, whatever their status."""
    frames = defaultdict(list)
    for row in annotations:
        frames[FrameKey(row["clip_id"], row["frame"])].append(row)
    return dict(frames)


def kept_boxes(annotated: dict[FrameKey, list[TableRow]]) -> dict[FrameKey, list[Box]]:
    """The boxes that count, of the frames that have such boxes."""
    boxes: dict[FrameKey, list[Box]] = defaultdict(list)
    for key, rows in annotated.items():
        for row in rows:
            if row["status"] == BoxStatus.KEPT:
                sides = (row["x"], row["y"], row["w"], row["h"])
                boxes[key].append(Box(row["category"], sides))
    return dict(boxes)


def read_clips(index: Path, maps: Path, predictions: Predictions) -> dict[str, TableRow]:
    """The clips of the index by their ids; each clip with maps must be one of them."""
    table = tables.read(index, ["clip_id", "kind", "split", "categories"])
    clips = {row["clip_id"]: row for row in table.to_pylist()}
    if unknown := sorted({clip_id for clip_id, _ in predictions.keys} - set(clips)):
        raise UserError(f"{maps}: clip {unknown[0]!r} is not in {index}; expected indexed clips")
    return clips


def training_boxes(boxes: dict[FrameKey, list[Box]], clips: dict[str, TableRow]) -> Doubles:
    """Kept boxes (k, 4) of the training clips."""
    sides = []
    for (clip_id, _), frame_boxes in boxes.items():
        if clip_id in clips and clips[clip_id]["split"] == Split.TRAIN:
            sides += [box.sides for box in frame_boxes]
    return np.array(sides, np.float64).reshape(-1, 4)
