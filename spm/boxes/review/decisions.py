"""Decisions of reviewers about boxes: a CSV file, and the agreement of reviewers.

A decision names its box as it was before review: `category x y w h` with four digits. So it can be
read and cited without any other file, and it applies whatever other boxes were detected.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from spm.base import spreadsheets
from spm.base.errors import UserError
from spm.base.spreadsheets import Spreadsheet
from spm.boxes.formats import checks, csv

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


class Parsed(NamedTuple):
    """The content of a file of decisions."""

    decisions: list[Decision]  # in the order of the file
    fragment: str  # an incomplete last line, which a killed process left


def read(path: Path) -> list[Decision]:
    """All decisions, in the order of the file; an incomplete last line is ignored.

    Raises
    ------
    UserError
        If a line is not a valid decision (names the line).
    """
    return parse(spreadsheets.read(path, COLUMNS)).decisions


def parse(sheet: Spreadsheet) -> Parsed:
    """The decisions of a file in any form that spreadsheet programs write.

    A last line without a line break is a decision if it is complete: editors leave such lines.
    """
    header, text = ",".join(COLUMNS), sheet.text.strip(spreadsheets.BLANKS)
    if header.startswith(text) and text != header:
        return Parsed([], sheet.text if text else "")  # not even a complete header
    try:
        return Parsed(list(parse_rows(sheet)), "")
    except UserError:
        end = max(sheet.text.rfind("\n"), sheet.text.rfind("\r")) + 1
        complete, fragment = sheet.text[:end], sheet.text[end:]
        if not fragment:
            raise
        return Parsed(list(parse_rows(replace(sheet, text=complete))), fragment)


def parse_rows(sheet: Spreadsheet) -> Iterator[Decision]:
    """The decisions of a file all of whose lines are complete."""
    for row in csv.rows_of(sheet, COLUMNS):
        with checks.named(f"{sheet.path}, line {row.line}"):
            texts = {name: row.values[name] for name in COLUMNS}
            numbers = {side: float(row.number_text(side)) for side in SIDES}
            values: dict[str, Any] = {**texts, "frame": int(texts["frame"]), **numbers}
            decision = Decision(**values)
            check(decision)
        yield decision


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


class ReviewerAgreement(NamedTuple):
    """The agreement of two reviewers on the boxes that both decided about."""

    reviewer: str
    other: str
    boxes: int
    agreed: float | None  # fraction of equal verdicts
    kappa: float | None  # Cohen's: 1 for full agreement, 0 for agreement by chance


def agreement(decisions: Sequence[Decision]) -> list[ReviewerAgreement]:
    """ReviewerAgreement of each pair of reviewers, by their names.

    Kappa is missing if both gave only one and the same verdict.
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
        rows.append(ReviewerAgreement(reviewer, other, len(common), agreed, kappa))
    return rows


def _kappa(verdicts: Sequence[str], other_verdicts: Sequence[str]) -> float | None:
    """Cohen, Educational and Psychological Measurement 20 (1960); None where it is 0 / 0."""
    if len({*verdicts, *other_verdicts}) == 1:
        return None
    # Imported only here: it takes a second, and the stages of boxes need no kappa.
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(verdicts, other_verdicts))
