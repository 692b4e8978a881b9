"""Decisions of reviewers about boxes: an append-only CSV file, and the agreement of reviewers.

A decision names its box as it was before review: `category x y w h` with four digits. So it can be
read and cited without any other file, and it applies whatever other boxes were detected.
"""

import csv
import fcntl
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import cohen_kappa_score

from spm.base.errors import UserError

SIDES = ("x", "y", "w", "h")
MARGIN = 1e-3  # by which a side may leave the frame: sides are rounded to four digits
BoxKey = tuple[str, int, str]  # clip, frame, name of the box


class ReviewVerdict(StrEnum):
    """What a reviewer can decide about a box."""

    ACCEPT = "accept"
    REJECT = "reject"
    RELABEL = "relabel"
    REDRAW = "redraw"
    UNDO = "undo"  # withdraws the same reviewer's last decision about the box


@dataclass(frozen=True)
class Decision:
    """One line of the file; category and sides are those of the box after review."""

    clip_id: str
    frame: int
    box: str  # its name: the box before review
    verdict: str
    category: str
    x: float
    y: float
    w: float
    h: float
    reviewer: str

    @property
    def key(self) -> BoxKey:
        """The box that the decision is about."""
        return self.clip_id, self.frame, self.box


COLUMNS = [field.name for field in fields(Decision)]


def box_name(box: Mapping[str, Any]) -> str:
    """The name of a box: its category and sides.

    >>> box_name({"category": "cello", "x": 0.25, "y": 0, "w": 0.5, "h": 1 / 3})
    'cello 0.2500 0.0000 0.5000 0.3333'
    """
    return " ".join([str(box["category"]), *(f"{box[side]:.4f}" for side in SIDES)])


def check(decision: Decision) -> None:
    """Check the values of a decision.

    Raises
    ------
    ValueError
        If one is not valid (names it, and what was expected).
    """
    sides = (decision.x, decision.y, decision.w, decision.h)
    if decision.verdict not in list(ReviewVerdict):
        verdicts = ", ".join(ReviewVerdict)
        raise ValueError(f"verdict {decision.verdict!r}: expected one of {verdicts}")
    names = (decision.clip_id, decision.box, decision.category, decision.reviewer)
    if not all(name.strip() and name.isprintable() for name in names):
        raise ValueError(
            f"clip_id, box, category, reviewer {names}: expected non-empty names on one line"
        )
    x, y, w, h = sides
    inside = min(sides) >= -MARGIN and max(x + w, y + h) <= 1 + MARGIN and min(w, h) > 0
    if not (all(math.isfinite(side) for side in sides) and inside):
        raise ValueError(f"x, y, w, h {sides}: expected a box inside the frame, with an area")


def _parse_row(row: Mapping[str, str]) -> Decision:
    numbers = {side: float(row[side]) for side in SIDES}
    decision = Decision(**{**row, "frame": int(row["frame"]), **numbers})  # type: ignore[arg-type]
    check(decision)
    return decision


def read(path: Path) -> list[Decision]:
    """All decisions, in the order of the file; an incomplete last line is ignored.

    Raises
    ------
    UserError
        If a line is not a valid decision (names the line).
    """
    text = path.read_text(encoding="utf-8")
    return _parse(text[: text.rfind("\n") + 1], path)


def _parse(text: str, path: Path) -> list[Decision]:
    reader = csv.DictReader(text.splitlines())
    if reader.fieldnames != COLUMNS:
        raise UserError(
            f"{path}: the columns are {reader.fieldnames}; expected {','.join(COLUMNS)}"
        )
    decisions = []
    for line, row in enumerate(reader, 2):
        try:
            decisions.append(_parse_row(row))
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}, line {line}: {error}") from error
    return decisions


class DecisionLog:
    """The decisions of a file that other processes may append to; each line is read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes_read = 0
        self.by_key: defaultdict[BoxKey, list[Decision]] = defaultdict(list)

    def refresh(self) -> set[BoxKey]:
        """Read new lines; returns the boxes that they are about."""
        if not self.path.exists() or self.path.stat().st_size == self.bytes_read:
            return set()
        with self.path.open("rb") as file:
            file.seek(self.bytes_read)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]
        header = "" if self.bytes_read == 0 else ",".join(COLUMNS) + "\n"
        added = _parse(header + new.decode(), self.path) if new else []
        for decision in added:
            self.by_key[decision.key].append(decision)
        self.bytes_read += len(new)
        return {decision.key for decision in added}

    def current(self, key: BoxKey, reviewer: str | None = None) -> Decision | None:
        """The current decision about a box: of all reviewers, or of one reviewer."""
        decisions = [d for d in self.by_key.get(key, []) if reviewer in (None, d.reviewer)]
        return resolve(decisions).get(key)


def append(path: Path, decision: Decision) -> None:
    """Append a decision; it is on the disk when this returns.

    Several processes may append to one file: a lock separates their lines.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", newline="", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if _drop_incomplete_line(file) == 0:
            writer.writeheader()
        sides = {side: f"{getattr(decision, side):.4f}" for side in SIDES}
        writer.writerow({**asdict(decision), **sides})
        file.flush()
        os.fsync(file.fileno())


def _drop_incomplete_line(file: Any) -> int:
    """Remove a last line without a line break (of a killed process); returns the length left."""
    file.seek(0)
    text = file.read()
    complete = text[: text.rfind("\n") + 1]
    if complete != text:
        file.truncate(len(complete.encode()))
        file.seek(0, os.SEEK_END)
    return len(complete)


def resolve(decisions: Iterable[Decision]) -> dict[BoxKey, Decision]:
    """The current decision about each box: the last one that was not withdrawn by `undo`.

    `undo` withdraws the same reviewer's last decision about the box.
    """
    stacks: defaultdict[BoxKey, list[Decision]] = defaultdict(list)
    for decision in decisions:
        stack = stacks[decision.key]
        if decision.verdict != ReviewVerdict.UNDO:
            stack.append(decision)
            continue
        own = [n for n, earlier in enumerate(stack) if earlier.reviewer == decision.reviewer]
        if own:
            del stack[own[-1]]
    return {key: stack[-1] for key, stack in stacks.items() if stack}


def by_reviewer(decisions: Sequence[Decision]) -> dict[str, dict[BoxKey, Decision]]:
    """Each reviewer's own current decisions."""
    reviewers = sorted({decision.reviewer for decision in decisions})
    return {name: resolve(filter_reviewer(decisions, name)) for name in reviewers}


def filter_reviewer(decisions: Sequence[Decision], reviewer: str) -> list[Decision]:
    """The decisions of one reviewer."""
    return [decision for decision in decisions if decision.reviewer == reviewer]


def agreement(decisions: Sequence[Decision]) -> pd.DataFrame:
    """Agreement of each pair of reviewers on the boxes that both decided about.

    Returns
    -------
    DataFrame with the columns reviewer, other, boxes, agreed, kappa
        `agreed` is the fraction of equal verdicts. `kappa` is Cohen's: 1 for full agreement, 0 for
        agreement by chance; it is missing if both gave only one and the same verdict.
    """
    rows = []
    for (reviewer, own), (other, others) in combinations(by_reviewer(decisions).items(), 2):
        common = sorted(own.keys() & others.keys())
        verdicts = [own[key].verdict for key in common]
        other_verdicts = [others[key].verdict for key in common]
        agreed, kappa = None, None
        if common:
            equal = [a == b for a, b in zip(verdicts, other_verdicts, strict=True)]
            agreed = sum(equal) / len(equal)
            kappa = _kappa(verdicts, other_verdicts)
        rows.append((reviewer, other, len(common), agreed, kappa))
    return pd.DataFrame(rows, columns=["reviewer", "other", "boxes", "agreed", "kappa"])


def _kappa(verdicts: Sequence[str], other_verdicts: Sequence[str]) -> float | None:
    """Cohen, Educational and Psychological Measurement 20 (1960); None where it is 0 / 0."""
    if len({*verdicts, *other_verdicts}) == 1:
        return None
    return float(cohen_kappa_score(verdicts, other_verdicts))
