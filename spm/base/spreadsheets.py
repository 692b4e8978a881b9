"""CSV files that people write by hand or save from a spreadsheet.

Read are: UTF-8 and UTF-16, four separators, every form of line end, blank rows and empty columns.
"""

import codecs
import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from spm.base import file_kinds
from spm.base.errors import UserError

SEPARATORS = ",;\t|"
HEADER_CHARS = 100_000
LONGEST_CELL = 2**31 - 1  # characters
# Removed at both ends of a cell: spaces (non-breaking ones too), and characters without width.
BLANKS = (
    " \t\r\n\v\f\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
)
# The longer marks first: UTF-32's starts like UTF-16's.
ENCODINGS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


@dataclass(frozen=True)
class Spreadsheet:
    """The text of a CSV file, and how it is written."""

    path: Path
    text: str
    encoding: str  # without a byte order mark
    separator: str
    header: tuple[str, ...]  # names of the columns; empty ones at the end are left out
    header_line: int  # 1-based
    width: int  # number of columns, with empty ones at the end
    mark: bytes = b""  # byte order mark

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells, as written, of every row after the header that is not blank.

        Raises
        ------
        UserError
            When the quotes of a line are wrong.
        """
        lines = StringIO(self.text, newline="")
        reader = _reader(lines, self.separator)
        line = 1  # where the row starts; a quoted cell may have several lines
        try:
            for cells in reader:
                if line > self.header_line and not is_blank("".join(cells)):
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise UserError(
                f"{self.path}, line {line}: not CSV ({error}): correct the quotes of this line"
            ) from error

    def format(self, rows: Sequence[Sequence[str]]) -> bytes:
        """Rows as bytes to append to the file: in its encoding, with its separator and line end."""
        start = self._newline() if self.text and not self.text.endswith(("\n", "\r")) else ""
        return (start + self._format_rows(rows)).encode(self.encoding, "surrogatepass")

    def edit(
        self, changed: Mapping[int, Sequence[str] | None], added: Sequence[Sequence[str]]
    ) -> bytes:
        """The content of the file with some rows changed; all other lines stay as they are.

        Parameters
        ----------
        changed : mapping
            New cells of rows by their line, as `rows` numbers them; None removes the row.
        added : sequence
            Cells of new rows, which come last.
        """
        lines = list(StringIO(self.text, newline=""))
        reader = _reader(lines, self.separator)
        parts, start = [], 0
        for _ in reader:
            cells = changed.get(start + 1)
            if cells is not None:
                parts.append(self._format_rows([cells]))
            elif start + 1 not in changed:
                parts += lines[start : reader.line_num]
            start = reader.line_num
        text = "".join(parts)
        if added and text and not text.endswith(("\n", "\r")):
            text += self._newline()
        text += self._format_rows(added)
        return self.mark + text.encode(self.encoding, "surrogatepass")

    def _format_rows(self, rows: Sequence[Sequence[str]]) -> str:
        """Rows as text, with the file's separator and line end."""
        text = StringIO()
        writer = csv.writer(text, delimiter=self.separator, lineterminator=self._newline())
        writer.writerows(rows)
        return text.getvalue()

    def _newline(self) -> str:
        """The line end of the file."""
        match = re.search(r"\r\n|\r|\n", self.text)
        return match[0] if match else "\n"


def _reader(lines: Iterable[str], separator: str) -> Any:
    csv.field_size_limit(LONGEST_CELL)  # of all readers of this process; else 131,072
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)


def is_blank(text: str) -> bool:
    """Whether a line or a row has nothing but spaces and separators."""
    return not text.strip(BLANKS + SEPARATORS)


def read(path: Path, columns: Collection[str]) -> Spreadsheet:
    """Read a CSV file; its first line that is not blank is the header.

    Parameters
    ----------
    path : Path
        The file.
    columns : collection of str
        Names that the header may have. They decide which separator the file has.

    Raises
    ------
    UserError
        When the file can't be read, or has another encoding.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}): expected a CSV file"
        ) from error
    return parse(path, content, columns)


def parse(path: Path, content: bytes, columns: Collection[str]) -> Spreadsheet:
    """The content of a CSV file, as `read` reads it; `path` is for messages."""
    if kind := file_kinds.unless_text(content):
        remedy = ": save it as CSV UTF-8" if "Excel" in kind or "LibreOffice" in kind else ""
        raise UserError(f"{path}: {kind}; expected a CSV file{remedy}")
    text, encoding, mark = _decode(path, content)
    number, header = _header_line(text)
    expected = set(columns)
    names = {name: _split(header[:HEADER_CHARS], name) for name in SEPARATORS}
    separator = max(SEPARATORS, key=lambda name: len(expected.intersection(names[name])))
    cells = names[separator]
    width = len(cells)
    while cells and not cells[-1]:
        cells.pop()
    return Spreadsheet(path, text, encoding, separator, tuple(cells), number, width, mark)


def _header_line(text: str) -> tuple[int, str]:
    """Number and text of the first line that is not blank; Excel may write `sep=;` before it."""
    for number, line in enumerate(StringIO(text, newline=""), start=1):
        if not is_blank(line.replace('"', "")) and not line.startswith("sep="):
            return number, line
    return 1, ""


def _split(line: str, separator: str) -> list[str]:
    """The names in a header."""
    cells: list[str] = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return [cell.strip(BLANKS) for cell in cells]


def _decode(path: Path, content: bytes) -> tuple[str, str, bytes]:
    """The text of a file, its encoding, and its byte order mark."""
    mark = next((mark for mark in ENCODINGS if content.startswith(mark)), b"")
    encoding = ENCODINGS.get(mark) or _without_mark(content[:2])
    try:
        return content[len(mark) :].decode(encoding), encoding, mark
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, errors="ignore")
        byte = error.object[error.start : error.start + 1]
        line = len(re.findall(r"\r\n|\r|\n", before)) + 1
        western = byte.decode("cp1252", errors="ignore")
        shown = f", where it is {western!r}" if western else ""
        raise UserError(
            f"{path}, line {line}: byte {byte[0]:#04x}: expected {encoding.upper()}, but the file"
            f" has another encoding (Windows-1252 or Latin-1{shown}?): save it as CSV UTF-8"
        ) from error


def _without_mark(start: bytes) -> str:
    """The encoding of a file without a byte order mark; the names of columns are ASCII."""
    if len(start) == 2 and start.count(0) == 1:
        return "utf-16-be" if start[0] == 0 else "utf-16-le"
    return "utf-8"
