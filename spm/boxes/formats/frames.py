"""The types that the readers of box files return.

A reader of given boxes (csv, coco) returns a list of `BoxRow`: boxes by video and time. A reader of
a published data set returns `BenchmarkBoxes`: frames by key, because published maps are matched by
key; `to_table` turns them into rows of given boxes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

T = TypeVar("T")
BoxRow = dict[str, Any]  # at least COLUMNS
COLUMNS = ["video_id", "time_s", "category", "x", "y", "w", "h"]
Sides = tuple[float, float, float, float]
Form = Literal["xywh", "xyxy"]  # corner and size, or two corners
SIDE_PX = 256  # width and height of exported frames whose images are not read


class Box(NamedTuple):
    """One box."""

    category: str
    sides: Sides  # fractions of the frame, in the form of its data set


class MaskSource(Protocol):
    """The pixels of a frame that sound; they are read when they are needed."""

    def read(self) -> NDArray[np.bool_]:
        """The mask (h, w), in the size in which it is stored."""


@dataclass(frozen=True)
class Frame:
    """The boxes of one frame; a frame without boxes was annotated and shows nothing that sounds."""

    boxes: tuple[Box, ...]
    video_id: str
    time_s: float | None = None  # from the start of the video; None: a still image
    mask: MaskSource | None = None
    sound: str = ""  # id of the clip whose sound the frame is shown with, if it is not its own


@dataclass(frozen=True)
class BenchmarkBoxes:
    """Frames of a data set by their published keys, and the form of their boxes."""

    frames: Mapping[str, Frame] = field(default_factory=dict)
    form: Form = "xywh"
    annotators: int = 1  # boxes that must agree on a pixel; Flickr-SoundNet's consensus needs two
    silent: bool = False  # whether nothing visible sounds in frames without boxes


class KeyedBox(NamedTuple):
    """One box of a file that has one line per box, or a frame where nothing sounds."""

    key: str
    video_id: str
    time_s: float | None
    category: str  # empty if nothing sounds
    sides: Sides | None  # checked, in the form of the data set; None: nothing in the frame sounds


def spread(items: Sequence[T], count: int) -> list[T]:
    """The middle of each of `count` parts of equal length; all items if there are no more.

    >>> spread(range(9), 3)
    [1, 4, 7]
    """
    count = min(count, len(items))
    return [items[(2 * part + 1) * len(items) // (2 * count)] for part in range(count)]


def frame_key(video_id: str, time_s: float) -> str:
    """The key of a frame whose data set gives it none; the time is rounded to 1 ms."""
    return f"{video_id}/{time_s:.3f}"


def group_by_key(boxes: Iterable[KeyedBox], form: Form) -> BenchmarkBoxes:
    """Collect the boxes of each frame; the first box of a key gives its time.

    Raises
    ------
    ValueError
        If boxes with the same key are of several videos (names the key).
    """
    groups: dict[str, list[KeyedBox]] = {}
    for box in boxes:
        groups.setdefault(box.key, []).append(box)
    frames = {}
    for key, group in groups.items():
        if len(videos := sorted({box.video_id for box in group})) > 1:
            raise ValueError(f"key {key}: of the videos {', '.join(videos)}; expected one video")
        boxes_of_key = tuple(Box(box.category, box.sides) for box in group if box.sides)
        frames[key] = Frame(boxes_of_key, group[0].video_id, group[0].time_s)
    return BenchmarkBoxes(frames, form)


def to_table(benchmark: BenchmarkBoxes) -> pd.DataFrame:
    """Given boxes: x, y, w, h clipped to the frame; a still image is a video, its box at time 0."""
    rows = [
        (*_place(key, frame), box.category, *_clip(box.sides, benchmark.form))
        for key, frame in benchmark.frames.items()
        for box in frame.boxes
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table[(table["w"] > 0) & (table["h"] > 0)].sort_values(COLUMNS, ignore_index=True)


def _place(key: str, frame: Frame) -> tuple[str, float]:
    """Video and time; two still images of one picture, with different sounds, stay apart."""
    return (key, 0.0) if frame.time_s is None else (frame.video_id, frame.time_s)


def _clip(sides: Sides, form: Form) -> Sides:
    """Corner and size of the part of a box that lies in the frame."""
    x, y, w, h = sides
    if form == "xyxy":
        w, h = w - x, h - y
    left, top = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
    return left, top, min(w - (left - x), 1 - left), min(h - (top - y), 1 - top)


def to_pixels(row: Mapping[str, Any], side: int) -> list[float]:
    """x, y, w, h in pixels of an image `side` pixels wide and high."""
    return [round(row[name] * side, 3) for name in "xywh"]
