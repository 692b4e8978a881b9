"""What the file of boxes says about each frame, and the rows that an answer of a person changes."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from spm.boxes import ground_truth
from spm.boxes.formats import checks
from spm.boxes.formats.frames import BoxRow, Sides
from spm.boxes.ground_truth import ClipRow
from spm.boxes.review.box_file import Answer, Contents, Edit

SIDE_DIGITS = 4
TIME_DIGITS = 3
MAX_NAME = 100  # characters of a category
FrameId = tuple[str, int]  # clip, frame


class DrawnBox(BaseModel):
    """A box of the page; `row` is its place among the stored boxes of the frame."""

    model_config = ConfigDict(extra="forbid")
    row: int | None
    category: str = Field(min_length=1, max_length=MAX_NAME)
    x: float
    y: float
    w: float
    h: float


class FrameAnswer(BaseModel):
    """All boxes of a frame; none and not `nothing_sounds`: the frame has no answer any more."""

    model_config = ConfigDict(extra="forbid")
    number: int
    version: str  # of the rows that the page knew
    nothing_sounds: bool
    boxes: list[DrawnBox]


class FrameRows(NamedTuple):
    """The rows of a frame."""

    boxes: Sequence[Answer]
    empty: Sequence[Answer]  # that say that nothing sounds

    @property
    def version(self) -> str:
        """Changes if a box of the frame does."""
        contents = [row.box for row in (*self.boxes, *self.empty)]
        return hashlib.sha256(repr(contents).encode()).hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """The boxes for the page, in the order of the file."""
        boxes = []
        for number, row in enumerate(self.boxes):
            sides = dict(zip("xywh", row.box.sides or (), strict=True))
            boxes.append({"row": number, "category": row.box.category, **sides})
        nothing_sounds = bool(self.empty) and not boxes
        return {"version": self.version, "boxes": boxes, "nothing_sounds": nothing_sounds}


NO_ROWS = FrameRows((), ())


class Conflict(Exception):
    """The rows of a frame are not those that the page knew."""


def by_frame(answers: Iterable[Answer], clips: Sequence[ClipRow]) -> dict[FrameId, FrameRows]:
    """The rows of each frame; a row belongs to the nearest frame, as in the stage `annotations`.

    Parameters
    ----------
    clips : sequence
        With `clip_id`, `video_id` and `frame_time_s`.
    """
    rows = [
        {"video_id": answer.box.video_id, "time_s": answer.box.time_s, "answer": answer}
        for answer in answers
    ]
    frames = {}
    for clip, frame, found in ground_truth.nearest_frames(ground_truth.group_by_video(rows), clips):
        of_frame = [row["answer"] for row in found]
        frames[clip["clip_id"], frame] = FrameRows(
            [row for row in of_frame if row.box.sides],
            [row for row in of_frame if not row.box.sides],
        )
    return frames


def plan_edit(answer: FrameAnswer, frame: BoxRow, stored: FrameRows, contents: Contents) -> Edit:
    """The rows that an answer changes.

    Rows of boxes that stay as they are keep their lines, and changed ones their other columns.

    Raises
    ------
    Conflict
        If the page knew other boxes of this frame.
    ValueError
        If a box is not valid.
    """
    if answer.version != stored.version:
        raise Conflict
    if answer.nothing_sounds and answer.boxes:
        raise ValueError("nothing_sounds: expected no boxes with it")
    rows = [box.row for box in answer.boxes if box.row is not None]
    if len(set(rows)) < len(rows):
        raise ValueError(f"rows {rows}: expected each row once")
    changed: dict[int, Sequence[str] | None] = {}
    kept = {box.row: box for box in answer.boxes if box.row is not None}
    for number, row in enumerate(stored.boxes):
        box = kept.pop(number, None)
        if box is None:
            changed[row.line] = None
        elif (box.category, (box.x, box.y, box.w, box.h)) != (row.box.category, row.box.sides):
            changed[row.line] = contents.row(_values(box, contents), contents.cells[row.line])
    if kept:
        raise ValueError(f"row {max(kept)}: the frame has {len(stored.boxes)} boxes")
    if not answer.nothing_sounds:
        changed |= {row.line: None for row in stored.empty}
    place = _place(frame, stored, contents)
    new = [{**place, **_values(box, contents)} for box in answer.boxes if box.row is None]
    if answer.nothing_sounds and not stored.empty:
        new.append(place)
    return Edit(changed, [contents.row(values) for values in new])


def _values(box: DrawnBox, contents: Contents) -> dict[str, str]:
    """Category and sides as cells."""
    category = box.category.strip()
    if not category or not category.isprintable():
        raise ValueError(f"category {category!r}: expected a name on one line")
    sides = rounded(checks.parse_sides((box.x, box.y, box.w, box.h)))
    texts = [contents.number_text(side, SIDE_DIGITS) for side in sides]
    return {"category": category, **dict(zip("xywh", texts, strict=True))}


def rounded(sides: Sides) -> Sides:
    """A box with rounded edges, inside the frame.

    >>> rounded((0.123449, -1e-7, 0.876551, 0.5))
    (0.1234, 0.0, 0.8766, 0.5)
    """
    x, y, w, h = sides
    edges = [round(min(max(edge, 0.0), 1.0), SIDE_DIGITS) for edge in (x, y, x + w, y + h)]
    left, top, right, bottom = edges
    return left, top, round(right - left, SIDE_DIGITS), round(bottom - top, SIDE_DIGITS)


def _place(frame: BoxRow, stored: FrameRows, contents: Contents) -> dict[str, str]:
    """Video and time as cells: those of the frame's first row, so that its boxes stay together."""
    first = next(iter((*stored.boxes, *stored.empty)), None)
    if first is None:
        time_s = contents.number_text(frame["time_s"], TIME_DIGITS)
        return {"video_id": frame["video_id"], "time_s": time_s}
    cells = dict(zip(contents.sheet.header, contents.cells[first.line], strict=False))
    return {name: cells[name] for name in ("video_id", "time_s")}


def progress(frames: Sequence[BoxRow], stored: Mapping[FrameId, FrameRows]) -> dict[str, int]:
    """Number of frames, of those with an answer, and of boxes."""
    found = [stored.get((frame["clip_id"], frame["frame"]), NO_ROWS) for frame in frames]
    boxed = [rows for rows in found if rows.boxes]
    return {
        "frames": len(frames),
        "boxed": len(boxed),
        "empty": sum(bool(rows.empty) and not rows.boxes for rows in found),
        "boxes": sum(len(rows.boxes) for rows in boxed),
    }
