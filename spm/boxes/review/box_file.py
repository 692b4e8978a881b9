"""The file of given boxes while people draw: rows of a frame change, all other lines stay.

A change is on the disk when `BoxFile.replace` returns. Several processes may write to one file: a
lock separates them. An editor does not know the lock, so the file is compared before it is
replaced: if somebody else has changed it, the change is computed again from its new content.
"""

import fcntl
import glob
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import NamedTuple

from spm.base import spreadsheets
from spm.base.errors import UserError
from spm.base.spreadsheets import Spreadsheet
from spm.boxes.formats import csv
from spm.boxes.formats.frames import COLUMNS, KeyedBox
from spm.boxes.review.file_state import (
    Signature,
    back_up,
    is_same_file,
    signature_of,
    sync_folder,
)

NUMBERS = ("time_s", "x", "y", "w", "h")  # columns
ATTEMPTS = 20  # to write while another program keeps changing the file


class Answer(NamedTuple):
    """A row of the file: a box, or a frame where nothing sounds."""

    line: int
    box: KeyedBox


class Edit(NamedTuple):
    """Rows to write: new cells by line (None removes the row), and cells of new rows."""

    changed: Mapping[int, Sequence[str] | None]
    added: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Contents:
    """The content of the file at one moment."""

    sheet: Spreadsheet
    answers: Sequence[Answer]
    signature: Signature | None  # None: there is no file

    @cached_property
    def boxes(self) -> set[KeyedBox]:
        """The content of the rows."""
        return {answer.box for answer in self.answers}

    @cached_property
    def cells(self) -> dict[int, list[str]]:
        """The cells of each row by its line, as written."""
        return dict(self.sheet.rows())

    @cached_property
    def has_decimal_comma(self) -> bool:
        """Whether numbers of the file are written 0,5."""
        columns = [self.sheet.header.index(name) for name in NUMBERS]
        for cells in self.cells.values():
            if any("," in cells[column] for column in columns):
                return self.sheet.separator != ","
        return False

    def row(self, values: Mapping[str, str], cells: Sequence[str] | None = None) -> list[str]:
        """Cells of a row with new values; the cells of other columns are kept."""
        new = list(cells) if cells else [""] * self.sheet.width
        for name, value in values.items():
            new[self.sheet.header.index(name)] = value
        return new

    def number_text(self, number: float, digits: int) -> str:
        """A number as a cell of the file."""
        text = f"{number:.{digits}f}".rstrip("0").rstrip(".")
        return text.replace(".", ",") if self.has_decimal_comma else text


class BoxFile:
    """A file of given boxes, which may not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.target = path.resolve()  # of a link, the file that it leads to is replaced
        self.thread_lock = Lock()
        self.cached: Contents | None = None
        self.stored: set[KeyedBox] = set()  # rows that this object has written

    def load(self) -> Contents:
        """The content of the file; it is read again only if it has changed.

        Raises
        ------
        UserError
            If it is not a file of given boxes (names the line).
        """
        signature = signature_of(self.target)
        with self.thread_lock:
            if self.cached is None or self.cached.signature != signature:
                before, self.cached = self.cached, self._read(self.target, signature)
                if before is not None:
                    self._back_up_lost(before, self.cached)
            return self.cached

    def _back_up_lost(self, before: Contents, now: Contents) -> None:
        """Copy the earlier content if another program has removed rows of several frames.

        An editor does so that saves what it has read earlier. Another page changes one frame at a
        time.
        """
        lost = (self.stored & before.boxes) - now.boxes
        frames = {(box.video_id, box.time_s) for box in lost}
        if len(frames) > 1:
            copy = back_up(self.path, before.sheet.edit({}, []))
            print(
                f"spm review: {self.path}: another program has saved it without your boxes of"
                f" {len(frames)} frames; {copy.name} has the earlier content",
                file=sys.stderr,
            )

    def _read(self, path: Path, signature: Signature | None) -> Contents:
        """Read and check the file, or a later version of it."""
        if signature is None or signature[1] == 0:
            header = ",".join(COLUMNS) + "\n"
            sheet = Spreadsheet(self.path, header, "utf-8", ",", tuple(COLUMNS), 1, len(COLUMNS))
            return Contents(sheet, [], signature)
        sheet = spreadsheets.read(path, COLUMNS)
        return Contents(sheet, [Answer(*row) for row in csv.parse_answers(sheet)], signature)

    def replace(self, plan: Callable[[Contents], Edit]) -> Contents:
        """Change rows; the new content is on the disk when this returns.

        Parameters
        ----------
        plan : callable
            The change, from the content that it applies to. It is called again if the file has
            changed in the meantime. An error in it leaves the file as it is.

        Raises
        ------
        UserError
            If the file has a fault, can't be written, or another program does not stop to write it.
        """
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.target):
                for _ in range(ATTEMPTS):
                    contents = self.load()
                    edit = plan(contents)
                    if not (edit.changed or edit.added):
                        return contents
                    if self._commit(contents, contents.sheet.edit(edit.changed, edit.added)):
                        return self.load()
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror})") from error
        raise UserError(f"{self.path}: another program writes it all the time: close that program")

    def _commit(self, old: Contents, content: bytes) -> bool:
        """Replace the file by a new content, unless somebody else has changed it."""
        folder, name = self.target.parent, f".{self.target.name}"
        for leftover in folder.glob(f"{glob.escape(name)}.*.part"):
            leftover.unlink()  # of a killed process: nobody else has the lock
        part = folder / f"{name}.{token_hex(4)}.part"
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new = self._read(part, signature_of(part))  # a file with a fault is never written
            if signature_of(self.target) != old.signature:
                return False
            if old.signature:
                shutil.copymode(self.target, part)
            part.replace(self.target)
        except UserError as error:
            raise UserError(str(error).replace(str(part), str(self.path))) from error
        finally:
            part.unlink(missing_ok=True)
        sync_folder(folder)
        with self.thread_lock:
            self.cached = new
            self.stored |= new.boxes - old.boxes
        return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file: a hidden file beside it, which is deleted at the end."""
    lock = path.with_name(f".{path.name}.lock")
    while True:
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not is_same_file(lock, file.fileno()):
                continue  # its last holder has deleted it
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return
