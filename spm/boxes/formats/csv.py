"""CSV files of this project: `category,x,y,w,h` with `video_id,time_s`, or with `key`.

The workflow and `spm score` read them with the same checks. spm/base/spreadsheets.py says which
encodings and separators are accepted.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from spm.base import spreadsheets, tables
from spm.base.errors import UserError
from spm.boxes.formats import checks
from spm.boxes.formats.frames import (
    COLUMNS,
    BenchmarkBoxes,
    BoxRow,
    KeyedBox,
    Sides,
    frame_key,
    group_by_key,
)

BOX_COLUMNS = ("category", "x", "y", "w", "h")


class CsvRow(NamedTuple):
    """One line of a CSV file."""

    line: int  # its number in the file, from 1
    values: dict[str, str]  # by column, without blanks at their ends
    decimal_comma: bool  # whether its numbers may be written 0,5

    def number_text(self, column: str) -> str:
        """The text of a number, with a decimal point."""
        text = self.values[column]
        return text.replace(",", ".") if self.decimal_comma else text


def read(path: Path) -> list[BoxRow]:
    """Given boxes, `video_id,time_s,category,x,y,w,h`; the sides are fractions of the frame.

    Raises
    ------
    UserError
        If the file can't be read, a column is missing, or a line is not a box (names the line).
    """
    return [
        dict(zip(COLUMNS, (box.video_id, box.time_s, box.category, *box.sides), strict=True))
        for box in _checked(path, COLUMNS, _timed_box)
    ]


def read_frames(path: Path) -> BenchmarkBoxes:
    """Boxes by key, from a column `key` or as `<video_id>/<time_s>`.

    Raises
    ------
    UserError
        As `read`.
    """
    return group_by_key(_checked(path, BOX_COLUMNS, _keyed_box), "xywh")


def _checked(
    path: Path, columns: Sequence[str], parse: Callable[[CsvRow], KeyedBox]
) -> Iterator[KeyedBox]:
    """The boxes of a file; each line must be a box that no earlier line has."""
    first_line: dict[KeyedBox, int] = {}
    for row in read_rows(path, columns):
        with checks.named(f"{path}, line {row.line}"):
            box = parse(row)
            if (first := first_line.setdefault(box, row.line)) != row.line:
                raise ValueError(f"the same box as in line {first}: delete one of the two lines")
        yield box


def _keyed_box(row: CsvRow) -> KeyedBox:
    """A line with a key; without one, its video and time are the key."""
    key, video_id = row.values.get("key", ""), row.values.get("video_id", "")
    if not key:
        return _timed_box(row)
    time_s = _time_s(row) if row.values.get("time_s") else None
    return KeyedBox(key, video_id or key, time_s, *_content(row))


def _timed_box(row: CsvRow) -> KeyedBox:
    """A line with a video and a time."""
    if missing := [name for name in ("video_id", "time_s") if not row.values.get(name)]:
        raise ValueError(f"no {' and no '.join(missing)}; expected {','.join(COLUMNS)}")
    video_id, time_s = row.values["video_id"], _time_s(row)
    return KeyedBox(frame_key(video_id, time_s), video_id, time_s, *_content(row))


def _time_s(row: CsvRow) -> float:
    time_s = checks.parse_number("time_s", row.number_text("time_s"))
    if time_s < 0:
        raise ValueError(f"time_s is {time_s:g}: expected 0 or more")
    return time_s


def _content(row: CsvRow) -> tuple[str, Sides]:
    """Category and sides."""
    if not row.values["category"]:
        raise ValueError("category is empty: expected the name of the object in the box")
    return row.values["category"], checks.parse_sides([row.number_text(name) for name in "xywh"])


def read_rows(path: Path, required: Sequence[str]) -> Iterator[CsvRow]:
    """The rows of a CSV file that are not blank; columns that are not required are read too.

    Raises
    ------
    UserError
        If the file can't be read, lacks a column or names it twice, or a row has more or fewer
        fields than the header (names the line).
    """
    sheet = spreadsheets.read(path, required)
    header = sheet.header
    if missing := [name for name in required if name not in header]:
        raise UserError(
            f"{path}: the columns {','.join(missing)} are missing from {','.join(header)!r};"
            f" expected {','.join(required)}"
        )
    if repeated := [name for name in required if header.count(name) > 1]:
        raise UserError(f"{path}: the column {repeated[0]} occurs twice; expected it once")
    for line, cells in sheet.rows():
        cells = [cell.strip(spreadsheets.BLANKS) for cell in cells]
        if len(cells) < len(header) or any(cells[len(header) :]):
            raise UserError(
                f"{path}, line {line}: {len(cells)} fields; expected {len(header)}, as in the"
                " header"
            )
        values = dict(zip(header, cells, strict=False))
        yield CsvRow(line, values, decimal_comma=sheet.separator != ",")


def write(path: Path, rows: Sequence[BoxRow] | pd.DataFrame) -> None:
    """Write given boxes, in the order of the rows; a box that stands twice is written once."""
    with tables.atomic_write(path) as part:
        pd.DataFrame(rows, columns=COLUMNS).drop_duplicates().to_csv(part, index=False)
