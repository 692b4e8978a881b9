"""CSV files that people write by hand or save from a spreadsheet.

Read are: UTF-8 and UTF-16, four separators, every form of line end, blank rows and empty columns.
"""

import codecs
import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from spm.base.errors import UserError

SEPARATORS = ",;\t|"
HEADER_CHARS = 100_000  # csv refuses longer cells
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

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells, as written, of every row after the header that is not blank.

        Raises
        ------
        UserError
            When the quotes of a line are wrong.
        """
        lines = StringIO(self.text, newline="")
        reader = csv.reader(lines, delimiter=self.separator, skipinitialspace=True, strict=True)
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
        match = re.search(r"\r\n|\r|\n", self.text)
        newline = match[0] if match else "\n"
        text = StringIO()
        csv.writer(text, delimiter=self.separator, lineterminator=newline).writerows(rows)
        start = "" if self.text.endswith(("\n", "\r")) else newline
        return (start + text.getvalue()).encode(self.encoding, "surrogatepass")


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
    text, encoding = _decode(path)
    number, header = _header_line(text)
    expected = set(columns)
    names = {mark: _split(header[:HEADER_CHARS], mark) for mark in SEPARATORS}
    separator = max(SEPARATORS, key=lambda mark: len(expected.intersection(names[mark])))
    cells = names[separator]
    width = len(cells)
    while cells and not cells[-1]:
        cells.pop()
    return Spreadsheet(path, text, encoding, separator, tuple(cells), number, width)


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


def _decode(path: Path) -> tuple[str, str]:
    """The text of a file, and its encoding."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}): expected a CSV file"
        ) from error
    mark = next((mark for mark in ENCODINGS if content.startswith(mark)), b"")
    encoding = ENCODINGS.get(mark) or _without_mark(content[:2])
    try:
        return content[len(mark) :].decode(encoding), encoding
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
