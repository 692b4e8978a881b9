"""What people decided about boxes: a CSV that only grows, and how far two people agree.

A box is named by what the detector gave, `category x y w h` with four digits, so that a decision can be read, cited and
disputed without any other file, and holds for the same box whatever is detected around it.
"""

import csv
import fcntl
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import cohen_kappa_score

from spm.base.config import UserError

VERDICTS = ("accept", "reject", "relabel", "redraw", "undo")
SIDES = ("x", "y", "w", "h")
SLACK = 1e-3  # a side may leave the frame by so much: digits are cut
BoxKey = tuple[str, int, str]  # clip, frame, box


@dataclass(frozen=True)
class Decision:
    """One line of the file; category and sides are what the box is from then on."""

    clip_id: str
    frame: int
    box: str  # as it was given
    verdict: str
    category: str
    x: float
    y: float
    w: float
    h: float
    reviewer: str

    @property
    def place(self) -> BoxKey:
        """What was decided about."""
        return self.clip_id, self.frame, self.box


COLUMNS = [field.name for field in fields(Decision)]


def name_of(box: Mapping[str, Any]) -> str:
    """A box by what it is.

    >>> name_of({"category": "cello", "x": 0.25, "y": 0, "w": 0.5, "h": 1 / 3})
    'cello 0.2500 0.0000 0.5000 0.3333'
    """
    return " ".join([str(box["category"]), *(f"{box[side]:.4f}" for side in SIDES)])


def check(decision: Decision) -> None:
    """Refuse what is no decision.

    Raises
    ------
    ValueError
        That says what was expected.
    """
    sides = (decision.x, decision.y, decision.w, decision.h)
    if decision.verdict not in VERDICTS:
        raise ValueError(f"verdict {decision.verdict!r}: expected one of {', '.join(VERDICTS)}")
    names = (decision.clip_id, decision.box, decision.category, decision.reviewer)
    if not all(name.strip() and name.isprintable() for name in names):
        raise ValueError(
            f"clip_id, box, category, reviewer {names}: expected a name each, on one line"
        )
    x, y, w, h = sides
    inside = min(sides) >= -SLACK and max(x + w, y + h) <= 1 + SLACK and min(w, h) > 0
    if not (all(math.isfinite(side) for side in sides) and inside):
        raise ValueError(f"x, y, w, h {sides}: expected a box inside the frame, with an area")


def _decision(row: Mapping[str, str]) -> Decision:
    numbers = {side: float(row[side]) for side in SIDES}
    found = Decision(**{**row, "frame": int(row["frame"]), **numbers})  # type: ignore[arg-type]
    check(found)
    return found


def read(path: Path) -> list[Decision]:
    """Every decision, in the order in which it was taken; a last line that a kill cut short is left out.

    Raises
    ------
    UserError
        Naming the line that is no decision.
    """
    text = path.read_text(encoding="utf-8")
    return _parsed(text[: text.rfind("\n") + 1], path)


def _parsed(text: str, path: Path) -> list[Decision]:
    reader = csv.DictReader(text.splitlines())
    if reader.fieldnames != COLUMNS:
        raise UserError(
            f"{path}: the columns are {reader.fieldnames}; expected {','.join(COLUMNS)}"
        )
    found = []
    for line, row in enumerate(reader, 2):
        try:
            found.append(_decision(row))
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}, line {line}: {error}") from error
    return found


class DecisionLog:
    """The decisions of a file that others may be writing to as well: each line is read once."""

    def __init__(self, path: Path) -> None:
        self.path, self.read_bytes = path, 0
        self.by_place: defaultdict[BoxKey, list[Decision]] = defaultdict(list)

    def refresh(self) -> set[BoxKey]:
        """Read what was added since; the boxes that it is about."""
        if not self.path.exists() or self.path.stat().st_size == self.read_bytes:
            return set()
        with self.path.open("rb") as file:
            file.seek(self.read_bytes)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]
        head = "" if self.read_bytes == 0 else ",".join(COLUMNS) + "\n"
        added = _parsed(head + new.decode(), self.path) if new else []
        for decision in added:
            self.by_place[decision.place].append(decision)
        self.read_bytes += len(new)
        return {decision.place for decision in added}

    def of(self, place: BoxKey, reviewer: str | None = None) -> Decision | None:
        """The decision that stands for a box: of everybody, or of one reviewer alone."""
        given = [d for d in self.by_place.get(place, []) if reviewer in (None, d.reviewer)]
        return resolve(given).get(place)


def append(path: Path, decision: Decision) -> None:
    """Add a decision; when this returns it is on the disk, whatever happens to the machine.

    Several processes may append to one file: a lock keeps their lines apart.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", newline="", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if _mend(file) == 0:
            writer.writeheader()
        sides = {side: f"{getattr(decision, side):.4f}" for side in SIDES}
        writer.writerow({**asdict(decision), **sides})
        file.flush()
        os.fsync(file.fileno())


def _mend(file: Any) -> int:
    """Cut off a last line that was never finished; the length that is left."""
    file.seek(0)
    text = file.read()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.truncate(len(whole.encode()))
        file.seek(0, os.SEEK_END)
    return len(whole)


def resolve(decisions: Iterable[Decision]) -> dict[BoxKey, Decision]:
    """The decision that stands for each box: the last one, of those that nobody took back.

    `undo` takes back the same reviewer's last decision on the box.
    """
    stacks: defaultdict[BoxKey, list[Decision]] = defaultdict(list)
    for decision in decisions:
        stack = stacks[decision.place]
        if decision.verdict != "undo":
            stack.append(decision)
            continue
        mine = [n for n, earlier in enumerate(stack) if earlier.reviewer == decision.reviewer]
        if mine:
            del stack[mine[-1]]
    return {place: stack[-1] for place, stack in stacks.items() if stack}


def by_reviewer(decisions: Sequence[Decision]) -> dict[str, dict[BoxKey, Decision]]:
    """What stands of each reviewer's own decisions."""
    names = sorted({decision.reviewer for decision in decisions})
    return {name: resolve(d for d in decisions if d.reviewer == name) for name in names}


def agreement(decisions: Sequence[Decision]) -> pd.DataFrame:
    """How far each two reviewers agree on the boxes that both decided about.

    Returns
    -------
    DataFrame with the columns reviewer, other, boxes, agreed (fraction of equal verdicts) and kappa: Cohen's, 1 for
    agreement, 0 for what chance gives; no value where both gave one verdict alone, as chance then agrees too.
    """
    rows = []
    for (one, mine), (other, theirs) in combinations(by_reviewer(decisions).items(), 2):
        both = sorted(mine.keys() & theirs.keys())
        verdicts = [(mine[place].verdict, theirs[place].verdict) for place in both]
        same = [a == b for a, b in verdicts]
        kappa = _kappa(*zip(*verdicts, strict=True)) if both else None
        rows.append((one, other, len(both), sum(same) / len(same) if same else None, kappa))
    return pd.DataFrame(rows, columns=["reviewer", "other", "boxes", "agreed", "kappa"])


def _kappa(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Cohen, Educational and Psychological Measurement 20 (1960); None where it is 0 / 0."""
    return None if len({*one, *other}) == 1 else float(cohen_kappa_score(one, other))
