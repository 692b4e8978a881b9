"""CSV files of this project: `category,x,y,w,h` with `video_id,time_s`, or with `key`.

A row without category and sides says that nothing in its frame makes the sound. The workflow and
`spm score` read the files with the same checks. spm/base/spreadsheets.py says which encodings and
separators are accepted.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from spm.base import spreadsheets, tables
from spm.base.errors import UserError
from spm.base.spreadsheets import Spreadsheet
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
    return [row for row in read_answers(path) if row["category"]]


def read_answers(path: Path) -> list[BoxRow]:
    """Given boxes, and frames where nothing sounds: category and sides of such a row are None.

    Raises
    ------
    UserError
        As `read`.
    """
    return [as_row(box) for _, box in parse_answers(spreadsheets.read(path, COLUMNS))]


def parse_answers(sheet: Spreadsheet) -> Iterator[tuple[int, KeyedBox]]:
    """Number of the line, and content, of every row of a file with videos and times.

    Raises
    ------
    UserError
        As `read`.
    """
    return _checked(sheet, COLUMNS, _timed_box)


def as_row(box: KeyedBox) -> BoxRow:
    """A box as a row of COLUMNS."""
    sides = box.sides or (None,) * 4
    values = (box.video_id, box.time_s, box.category or None, *sides)
    return dict(zip(COLUMNS, values, strict=True))


def read_frames(path: Path) -> BenchmarkBoxes:
    """Boxes by key, from a column `key` or as `<video_id>/<time_s>`.

    Raises
    ------
    UserError
        As `read`.
    """
    sheet = spreadsheets.read(path, BOX_COLUMNS)
    boxes = [box for _, box in _checked(sheet, BOX_COLUMNS, _keyed_box)]
    return group_by_key(boxes, "xywh")


def _checked(
    sheet: Spreadsheet, columns: Sequence[str], parse: Callable[[CsvRow], KeyedBox]
) -> Iterator[tuple[int, KeyedBox]]:
    """The rows of a file with their lines; each must differ from every earlier one."""
    first_line: dict[KeyedBox, int] = {}
    line_of: dict[tuple[str, bool], int] = {}  # key, and whether nothing sounds there
    for row in rows_of(sheet, columns):
        with checks.named(f"{sheet.path}, line {row.line}"):
            box = parse(row)
            if (first := first_line.setdefault(box, row.line)) != row.line:
                raise ValueError(f"the same box as in line {first}: delete one of the two lines")
            is_empty = box.sides is None
            line_of.setdefault((box.key, is_empty), row.line)
            if other := line_of.get((box.key, not is_empty)):
                raise ValueError(
                    f"its frame has a box in one line and none in another (line {other}): delete"
                    " one of the two lines"
                )
        yield row.line, box


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


def _content(row: CsvRow) -> tuple[str, Sides | None]:
    """Category and sides; without both, nothing sounds in the frame."""
    if not any(row.values[name] for name in BOX_COLUMNS):
        return "", None
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
    return rows_of(spreadsheets.read(path, required), required)


def rows_of(sheet: Spreadsheet, required: Sequence[str]) -> Iterator[CsvRow]:
    """The rows of a CSV file that was read, as `read_rows`."""
    header, path = sheet.header, sheet.path
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
