"""The file of decisions while people review: lines are added, and none that was stored gets lost.

A decision is on the disk when `DecisionLog.append` returns. Several servers may append to one file:
a lock separates their lines. An editor or a spreadsheet program does not know the lock, so the file
is compared with what was read before, and read again after each line that is added. If such a
program saves what it read earlier, the decisions that were stored in the meantime are added again.
Before anything of the file is removed, and if it is no longer a file of decisions, its earlier
content is copied to `<name>.bak-<n>`.
"""

import errno
import fcntl
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from threading import RLock
from typing import IO

from spm.base import spreadsheets
from spm.base.errors import UserError
from spm.base.spreadsheets import Spreadsheet
from spm.base.words import count
from spm.boxes.formats.csv import rows_of
from spm.boxes.review.decisions import (
    COLUMNS,
    SIDES,
    BoxKey,
    Decision,
    Parsed,
    parse,
    parse_rows,
    resolve,
)
from spm.boxes.review.file_state import Signature, back_up, is_same_file, signature_of, sync_folder

ATTEMPTS = 20  # to add a line while another program keeps changing the file
SETTLE_S = 0.1  # for which the content stays the same after another program has written it
NEWLINES = ("\n", "\r")


class DecisionLog:
    """The decisions of a file that other processes may change; each line is read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = RLock()
        self.signature: Signature | None = None
        self.content = b""
        self.sheet = spreadsheets.parse(path, b"", COLUMNS)
        self.parsed = Parsed([], "")
        self.by_key: defaultdict[BoxKey, list[Decision]] = defaultdict(list)
        self.changed: set[BoxKey] = set()  # since refresh() returned them
        self.own: Counter[Decision] = Counter()  # decisions that this object has stored
        self.lost: list[Decision] = []  # own ones that another program has removed
        self.notices: list[str] = []  # what a reviewer should know about the file
        self.backup: Path | None = None
        self.has_decimal_comma = False

    def current(self, key: BoxKey, reviewer: str | None = None) -> Decision | None:
        """The current decision about a box: of all reviewers, or of one reviewer."""
        decisions = [d for d in self.by_key.get(key, []) if reviewer in (None, d.reviewer)]
        return resolve(decisions).get(key)

    def refresh(self) -> set[BoxKey]:
        """Read what is new; returns the boxes that it is about.

        Raises
        ------
        UserError
            If the file is not one of decisions any more.
        """
        with self.lock:
            self._read()
            changed, self.changed = self.changed, set()
            return changed

    def _read(self) -> None:
        """Take over the content of the file, if it has changed."""
        signature = signature_of(self.path)
        if signature == self.signature:
            return
        content = self._settled_content()
        if content != self.content:
            self._update(content)
        self.signature = signature

    def _settled_content(self) -> bytes:
        """The content of the file, but not while another program replaces it part by part."""
        content = _content(self.path)
        for _ in range(ATTEMPTS):
            before = content
            if content.startswith(self.content):
                break
            time.sleep(SETTLE_S)
            content = _content(self.path)
            if content == before:
                break
        return content

    def _update(self, content: bytes) -> None:
        before = self.parsed.decisions
        try:
            added = self._parse_added(content)
        except UserError as error:
            if not before:
                raise
            copy = self._back_up()
            raise UserError(f"{error}; {copy} has the decisions before that") from error
        if added is None:  # not only longer: another program has written the file
            self._note_lost(before)
            self.by_key.clear()
            self.changed |= {decision.key for decision in before}
            added = self.parsed.decisions
        for decision in added:
            self.by_key[decision.key].append(decision)
        self.changed |= {decision.key for decision in added}
        self.content = content

    def _parse_added(self, content: bytes) -> list[Decision] | None:
        """The decisions after those that are known; None if all of the content was read again."""
        if content.startswith(self.content) and self.sheet.text.endswith(NEWLINES):
            with suppress(UserError, UnicodeDecodeError):  # or else with the right line number
                text = content[len(self.content) :].decode(self.sheet.encoding)
                if text.endswith(NEWLINES):
                    added = list(parse_rows(replace(self.sheet, text=text, header_line=0)))
                    self.sheet = replace(self.sheet, text=self.sheet.text + text)
                    self.parsed = Parsed([*self.parsed.decisions, *added], "")
                    return added
        sheet = spreadsheets.parse(self.path, content, COLUMNS)
        parsed = parse(sheet)
        self.parsed, self.sheet = parsed, sheet
        self.has_decimal_comma = bool(parsed.decisions) and _has_decimal_comma(sheet)
        return None

    def _note_lost(self, before: Sequence[Decision]) -> None:
        """Note own decisions that another program has removed, because it did not know them.

        Such a program lacks all of the last own decisions. One that a person deletes before them,
        or replaces by another one about the same box, is not lost.
        """
        missing, new = Counter(before), Counter(self.parsed.decisions)
        missing, new = missing - new, new - missing
        replaced = {(decision.key, decision.reviewer) for decision in new}
        lost = []
        for decision in [d for d in reversed(before) if self.own[d]]:
            if not missing[decision]:
                break
            missing[decision] -= 1
            if (decision.key, decision.reviewer) not in replaced:
                lost.append(decision)
        if lost:
            self.lost += reversed(lost)
            self.own -= Counter(lost)
            self.notices.append(
                f"{self.path}: another program has saved it without {count(len(lost), 'decision')}"
                f" of yours; they are added again, and {self._back_up()} has the earlier content"
            )

    def _back_up(self) -> str:
        """Copy the known content, if the last copy has another one; the name of the copy."""
        if self.backup is None or _content(self.backup) != self.content:
            self.backup = back_up(self.path, self.content)
        return self.backup.name

    def append(self, decision: Decision) -> None:
        """Add a decision; it is on the disk when this returns.

        Raises
        ------
        UserError
            If the file is not one of decisions any more, can't be written, or another program does
            not stop to write it.
        """
        with self.lock:
            self._store([decision])

    def close(self) -> None:
        """Add the decisions again that another program has removed since the last one."""
        with self.lock:
            self._read()
            if self.lost:
                self._store([])

    def _store(self, decisions: Sequence[Decision]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for _ in range(ATTEMPTS):
                with _locked(self.path) as file:
                    self._read()
                    rows = [*self.lost, *decisions]
                    data = self._format(rows)
                    _write(file, self._complete_length(), data)
                    self._read()
                    if self.content.endswith(data):
                        self.own.update(self.parsed.decisions[-len(rows) :])
                        self.lost.clear()
                        return
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror})") from error
        raise UserError(f"{self.path}: another program writes it all the time: close that program")

    def _complete_length(self) -> int:
        """Number of bytes of the complete lines; the others are copied before they are removed."""
        fragment = self.parsed.fragment.encode(self.sheet.encoding)
        if fragment:
            self.notices.append(
                f"{self.path}: its last line was incomplete and is removed;"
                f" {self._back_up()} has the earlier content"
            )
        return len(self.content) - len(fragment)

    def _format(self, decisions: Sequence[Decision]) -> bytes:
        """Lines in the form of the file; the first ones of an empty file have its header."""
        complete = self.sheet.text[: len(self.sheet.text) - len(self.parsed.fragment)]
        is_empty = spreadsheets.is_blank(complete)
        header = COLUMNS if is_empty else self.sheet.header
        rows = [header] if is_empty else []
        rows += [_cells(decision, header, self.has_decimal_comma) for decision in decisions]
        return replace(self.sheet, text=complete).format(rows)


def _content(path: Path) -> bytes:
    """The content of a file; empty if there is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _has_decimal_comma(sheet: Spreadsheet) -> bool:
    """Whether numbers of a file are written 0,5."""
    return sheet.separator != "," and any(
        "," in row.values[side] for row in rows_of(sheet, COLUMNS) for side in SIDES
    )


def _cells(decision: Decision, header: Sequence[str], has_decimal_comma: bool) -> list[str]:
    """A line; columns that are not of a decision stay empty."""
    sides = {side: f"{getattr(decision, side):.4f}" for side in SIDES}
    if has_decimal_comma:
        sides = {side: text.replace(".", ",") for side, text in sides.items()}
    values = {**asdict(decision), **sides}
    return [str(values.get(name, "")) for name in header]


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """The file, open and locked; it is created if it does not exist."""
    while True:
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_same_file(path, file.fileno()):  # no editor has replaced it in the meantime
                yield file
                return


def _write(file: IO[bytes], length: int, data: bytes) -> None:
    """Add data after the first `length` bytes; all of it is on the disk when this returns."""
    before = os.fstat(file.fileno()).st_size
    try:
        if length < before:
            file.truncate(length)
        written = file.write(data)
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())
    except OSError:
        file.truncate(min(length, before))  # no part of a line stays
        raise
    if not before:
        sync_folder(Path(file.name).parent)


def append(path: Path, decision: Decision) -> None:
    """Add a decision to a file; see `DecisionLog.append`."""
    DecisionLog(path).append(decision)
