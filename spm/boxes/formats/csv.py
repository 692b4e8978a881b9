"""CSV files of this project: `category,x,y,w,h` with `video_id,time_s`, or with `key`."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from spm.base import tables
from spm.base.errors import UserError
from spm.boxes.formats.frames import (
    COLUMNS,
    BenchmarkBoxes,
    BoxRow,
    KeyedBox,
    frame_key,
    group_by_key,
)


def read(path: Path) -> list[BoxRow]:
    """Given boxes, `video_id,time_s,category,x,y,w,h`; the sides are fractions of the frame.

    Raises
    ------
    UserError
        If a column is missing, or a box lies outside the frame or has no area (names the line).
    """
    if not path.is_file():
        raise UserError(f"corpus.given_boxes: there is no file {path}")
    table = pd.read_csv(path, dtype={"video_id": str, "category": str}, keep_default_na=False)
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise UserError(
            f"{path}: the columns {','.join(missing)} are missing; expected {','.join(COLUMNS)}"
        )
    numeric = ["time_s", "x", "y", "w", "h"]
    table[numeric] = table[numeric].apply(pd.to_numeric, errors="coerce")
    valid = _valid(table[numeric])
    if not valid.all():
        line = int(np.argmin(valid)) + 2
        raise UserError(
            f"{path}, line {line}: expected 0 <= x, x + w <= 1 and w > 0 (likewise y, h),"
            " and time_s >= 0"
        )
    columns = [table[name].tolist() for name in COLUMNS]
    return [dict(zip(COLUMNS, values, strict=True)) for values in zip(*columns, strict=True)]


def _valid(numbers: pd.DataFrame) -> pd.Series:
    """Whether each box lies inside the frame and has an area."""
    positive = (numbers >= 0).all(axis=1) & (numbers[["w", "h"]] > 0).all(axis=1)
    inside = (numbers.x + numbers.w <= 1 + 1e-6) & (numbers.y + numbers.h <= 1 + 1e-6)
    return numbers.notna().all(axis=1) & positive & inside


def write(path: Path, rows: Sequence[BoxRow] | pd.DataFrame) -> None:
    """Write given boxes, in the order of the rows."""
    with tables.atomic_write(path) as part:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(part, index=False)


def read_frames(path: Path) -> BenchmarkBoxes:
    """Boxes by key, from a column `key` or as `<video_id>/<time_s>`.

    Raises
    ------
    KeyError, ValueError
        If a column is missing or a number can't be read.
    """
    return group_by_key(_keyed_boxes(path), "xywh")


def _keyed_boxes(path: Path) -> Iterator[KeyedBox]:
    for row in dict_rows(path):
        sides = [row[name] for name in "xywh"]
        if row.get("key"):
            video_id = row.get("video_id") or row["key"]
            yield KeyedBox(row["key"], video_id, None, row["category"], sides)
        else:
            time_s = float(row["time_s"])
            key = frame_key(row["video_id"], time_s)
            yield KeyedBox(key, row["video_id"], time_s, row["category"], sides)


def dict_rows(path: Path) -> Iterator[dict[str, str]]:
    """The lines of a CSV file, by column."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)
