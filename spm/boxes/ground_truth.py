"""Boxes that somebody drew, by time, and the frames of the clips that they belong to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spm.base.config import UserError

Row = dict[str, Any]
COLUMNS = ["video_id", "time_s", "category", "x", "y", "w", "h"]
FRAME_MATCH_S = 0.15  # a box drawn further from any frame is not used: things move


def read(path: Path) -> list[Row]:
    """Boxes of a CSV with the columns `video_id,time_s,category,x,y,w,h`; sides are fractions of the frame.

    Raises
    ------
    UserError
        When a column is missing, or a box lies outside the frame or has no area; the line is named.
    """
    if not path.is_file():
        raise UserError(f"corpus.given_boxes: there is no file {path}")
    table = pd.read_csv(path, dtype={"video_id": str, "category": str}, keep_default_na=False)
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise UserError(
            f"{path}: the columns {','.join(missing)} are missing; expected {','.join(COLUMNS)}"
        )
    numbers = table[COLUMNS[1:2] + COLUMNS[3:]].apply(pd.to_numeric, errors="coerce")
    inside = (
        numbers.notna().all(axis=1) & (numbers >= 0).all(axis=1) & (numbers[["w", "h"]] > 0).all(axis=1)
        & (numbers.x + numbers.w <= 1 + 1e-6) & (numbers.y + numbers.h <= 1 + 1e-6)
    )  # fmt: skip
    if not inside.all():
        line = int(np.argmin(inside)) + 2
        raise UserError(
            f"{path}, line {line}: expected 0 <= x, x + w <= 1 and w > 0 (likewise y, h), and time_s >= 0"
        )
    columns = {name: (numbers if name in numbers else table)[name].tolist() for name in COLUMNS}
    return [dict(zip(COLUMNS, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def nearest_frames(
    boxes: Mapping[str, Sequence[Row]], clips: Iterable[Row]
) -> Iterator[tuple[Row, int, list[Row]]]:
    """Frames that have boxes: (clip, frame number, boxes), each box at the frame nearest in time.

    Parameters
    ----------
    boxes : mapping of video_id to boxes
        With `time_s`, from the start of the video.
    clips : iterable
        With `video_id`, `start_s` and `frame_time_s`.
    """
    for clip in clips:
        times = np.array(clip["frame_time_s"])
        by_frame: dict[int, list[Row]] = {}
        for box in boxes.get(clip["video_id"], []):
            distance = np.abs(times - box["time_s"])
            if (
                clip["start_s"] <= box["time_s"] < clip["start_s"] + 1
                and distance.min() <= FRAME_MATCH_S
            ):
                by_frame.setdefault(int(distance.argmin()), []).append(box)
        yield from ((clip, frame, found) for frame, found in sorted(by_frame.items()))


def by_video(boxes: Iterable[Row]) -> dict[str, list[Row]]:
    """The boxes of each video, in their order."""
    found: dict[str, list[Row]] = {}
    for box in boxes:
        found.setdefault(box["video_id"], []).append(box)
    return found
