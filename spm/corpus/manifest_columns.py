"""The columns of a manifest: their names in its header, and their cells in a row."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spm.base.errors import UserError
from spm.base.spreadsheets import BLANKS, Spreadsheet, is_blank
from spm.base.words import closest
from spm.corpus.ids import SHOWN_CHARS
from spm.corpus.windows import WINDOW_COLUMNS, YOUTUBE_ID

COLUMNS = ("video_id", "url", "kind", "categories")
KNOWN = (*COLUMNS, "split", *WINDOW_COLUMNS)
EXPECTED = f"expected {','.join(COLUMNS)}[,split][,start_s,end_s]"
CLOSE = 0.75  # similarity from which another name is taken for a mistyped one
# Names in other lists: without these columns, the rows would mean whole videos.
WINDOW = re.compile(r"(start|end)(_?(s|secs?|seconds?|times?))?")
# Around cells: the apostrophe with which spreadsheets mark text, and typographic quotes.
QUOTES = "'\u2018\u2019\u201c\u201d"


@dataclass(frozen=True)
class Columns:
    """The places of the known columns in the rows of one file; other columns are the user's."""

    places: Mapping[str, int]
    names: tuple[str, ...]  # all names of the header
    shortest: int  # number of cells that a row must have
    separator: str

    @classmethod
    def of(cls, sheet: Spreadsheet) -> "Columns":
        """Find the columns of a file, and check their names.

        Raises
        ------
        UserError
            When a column is missing, or occurs twice, or has a name that looks mistyped.
        """
        if not sheet.header:
            raise UserError(f"{sheet.path}: empty: {EXPECTED}")
        if fault := next(_faults(sheet.header), None):
            raise UserError(f"{sheet.path}, line {sheet.header_line}: {fault}")
        places = {name: sheet.header.index(name) for name in KNOWN if name in sheet.header}
        shortest = max(places[name] for name in COLUMNS) + 1
        return cls(places, sheet.header, shortest, sheet.separator)

    def values(self, cells: Sequence[str]) -> dict[str, str]:
        """The cells of the known columns.

        Spreadsheets leave out empty cells at the end of a row, and add others.

        Raises
        ------
        UserError
            When the row has another number of cells.
        """
        count = len(cells)
        if count < self.shortest or (
            count > len(self.names) and not is_blank("".join(cells[len(self.names) :]))
        ):
            shown, names = self.separator.join(cells), ",".join(self.names)
            raise UserError(
                f"{count} fields {shown[:SHOWN_CHARS]!r}: expected {len(self.names)}"
                f" ({names[:SHOWN_CHARS]})"
            )
        row = {}
        for name, place in self.places.items():
            cell = cells[place].strip(BLANKS) if place < count else ""
            row[name] = _unquoted(cell, name) if cell.startswith(tuple(QUOTES)) else cell
        return row


def _unquoted(cell: str, name: str) -> str:
    """A cell without quotes around it; in a path they are part of a name."""
    bare = cell.strip(QUOTES)
    is_address = bare.startswith(("http://", "https://")) or YOUTUBE_ID.fullmatch(bare)
    return bare if name != "url" or is_address else cell


def _faults(header: Sequence[str]) -> Iterator[str]:
    """What is wrong with the names of the columns."""
    for name in KNOWN:
        if header.count(name) > 1:
            yield f"column {name!r} occurs twice: expected once"
    for name in header:
        plain = re.sub(r"[\s-]+", "_", name.casefold())
        if name in KNOWN:
            continue
        candidates = [known for known in KNOWN if known not in header or known == plain]
        if close := closest(plain, candidates, CLOSE):
            yield f"column {name!r} is unknown: did you mean {close!r}? {EXPECTED}"
        if window := WINDOW.fullmatch(plain):
            yield f"column {name!r} is unknown: did you mean '{window[1]}_s'? {EXPECTED}"
    windows = [name for name in WINDOW_COLUMNS if name not in header]
    missing = [name for name in COLUMNS if name not in header]
    if missing := missing or (windows if len(windows) == 1 else []):
        listed = ",".join(header)[:SHOWN_CHARS]
        yield f"column {missing[0]!r} is missing from {listed!r}: {EXPECTED}"
