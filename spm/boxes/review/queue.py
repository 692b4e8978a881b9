"""Boxes in the order of their review, the most uncertain first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from spm.base import tables
from spm.base.errors import UserError
from spm.boxes.formats.frames import BoxRow
from spm.boxes.review.decision_log import DecisionLog
from spm.boxes.review.decisions import (
    SIDES,
    BoxKey,
    Decision,
    ReviewerAgreement,
    ReviewVerdict,
    agreement,
    box_name,
)
from spm.boxes.statuses import BoxStatus

FILTER_COLUMNS = ("category", "status", "video_id")
SCORE_MARGIN = 1e-6  # scores are stored as float32
REVIEWED = ("category", "x", "y", "w", "h")  # columns that a decision can change
UNCERTAIN_SCORE = 0.9  # the paper's threshold: a box with this score is the most uncertain one


class DecidedBy(StrEnum):
    """Which boxes a reviewer asks for, by who already decided about them."""

    NOBODY = "nobody"
    NOT_ME = "not-me"
    ME = "me"
    ALL = "all"  # all boxes, whether decided or not


@dataclass(frozen=True)
class Filter:
    """Which boxes a reviewer asks for; None: any."""

    decided_by: str = DecidedBy.NOBODY
    category: str | None = None
    status: str | None = None
    video_id: str | None = None
    min_score: float = 0.0
    max_score: float = 1.0


class CurrentDecisions(NamedTuple):
    """The current decisions about a box."""

    anyone: Decision | None  # of all reviewers
    own: Decision | None  # of the reviewer of this queue


class Queue:
    """Boxes sorted for review; a box is identified by its number in this order."""

    def __init__(self, boxes: Sequence[BoxRow], log: DecisionLog, reviewer: str) -> None:
        self.boxes = sorted(boxes, key=_uncertainty_order)
        self.log, self.reviewer = log, reviewer
        self.columns = {name: self._column(name) for name in FILTER_COLUMNS}
        self.scores = self._column("score")
        self.number_of = {box_key(box): n for n, box in enumerate(self.boxes)}
        self.current: dict[int, CurrentDecisions] = {}
        self.by_others: list[int] = []  # numbers, in the order in which others decided
        self.lock = Lock()
        self.in_frame: dict[tuple[str, int], list[int]] = {}
        for n, box in enumerate(self.boxes):
            self.in_frame.setdefault((box["clip_id"], box["frame"]), []).append(n)

    def _column(self, name: str) -> np.ndarray:
        return np.array([box[name] for box in self.boxes])

    def decided(self) -> dict[int, CurrentDecisions]:
        """Current decisions, by number, of the boxes that have one."""
        with self.lock:
            for key in self.log.refresh() & self.number_of.keys():
                current = CurrentDecisions(
                    self.log.current(key), self.log.current(key, self.reviewer)
                )
                self.current[self.number_of[key]] = current
                if any(other.reviewer != self.reviewer for other in self.log.by_key[key]):
                    self.by_others.append(self.number_of[key])
            return {
                number: current
                for number, current in self.current.items()
                if current.anyone or current.own
            }

    def numbers(self, selection: Filter) -> list[int]:
        """Numbers of the boxes that pass a filter, the most uncertain first."""
        mask = self.scores >= selection.min_score - SCORE_MARGIN
        mask &= self.scores <= selection.max_score + SCORE_MARGIN
        for column in FILTER_COLUMNS:
            value = getattr(selection, column)
            if value is not None:
                mask &= self.columns[column] == value
        passing = np.flatnonzero(mask).tolist()
        decided = self.decided()
        anyone = {number for number, current in decided.items() if current.anyone}
        own = {number for number, current in decided.items() if current.own}
        match DecidedBy(selection.decided_by):
            case DecidedBy.NOBODY:
                return [number for number in passing if number not in anyone]
            case DecidedBy.NOT_ME:
                return [number for number in passing if number not in own]
            case DecidedBy.ME:
                return [number for number in passing if number in own]
            case DecidedBy.ALL:
                return passing

    def progress(self) -> dict[str, int]:
        """Number of boxes, of those with a decision, and of those with the reviewer's own one."""
        decided = self.decided().values()
        return {
            "boxes": len(self.boxes),
            "decided": sum(current.anyone is not None for current in decided),
            "own": sum(current.own is not None for current in decided),
        }

    def agreement(self) -> list[ReviewerAgreement]:
        """The agreement of the reviewer with each other one."""
        pairs = agreement(self.log.parsed.decisions)
        own = [pair for pair in pairs if self.reviewer in (pair.reviewer, pair.other)]
        return [pair for pair in own if pair.boxes]

    def describe(self, number: int) -> dict[str, Any]:
        """A box after the reviewer's own decision, and the other boxes of its frame, for the page.

        Decisions of others are left out, so that reviewers decide independently.
        """
        box = self.boxes[number]
        current = self.decided().get(number)
        decision = current.own if current else None
        reviewed = decision or as_decision(box)
        in_frame = self.in_frame[box["clip_id"], box["frame"]]
        return {
            **box,
            **{key: getattr(reviewed, key) for key in REVIEWED},
            "number": number,
            "verdict": decision and decision.verdict,
            "others": [{**_outline(self.boxes[n]), "number": n} for n in in_frame if n != number],
        }


def _outline(box: BoxRow) -> dict[str, Any]:
    """The columns that the page needs of the other boxes of a frame."""
    return {key: box[key] for key in (*REVIEWED, "status", "score")}


def _uncertainty_order(box: BoxRow) -> tuple[Any, ...]:
    return round(abs(box["score"] - UNCERTAIN_SCORE), 6), box["clip_id"], box["frame"]


def box_key(box: BoxRow) -> BoxKey:
    """The key of a box in decisions."""
    return box["clip_id"], box["frame"], box["box"]


def as_decision(box: BoxRow) -> Decision:
    """A decision that accepts the box as it is, without a reviewer."""
    sides = {side: box[side] for side in "xywh"}
    accept = ReviewVerdict.ACCEPT.value
    return Decision(*box_key(box), verdict=accept, category=box["category"], **sides, reviewer="")


def decide(queue: Queue, number: int, verdict: str, changes: dict[str, Any]) -> Decision:
    """A decision about a box.

    A box that is not rejected is accepted as it is, relabeled, or redrawn, perhaps with another
    category too: `changes` has its category and its sides, which tell what was changed. The other
    verdicts leave the box as it was before.
    """
    accepted = as_decision(queue.boxes[number])
    if verdict in (ReviewVerdict.REJECT, ReviewVerdict.UNDO):
        return replace(accepted, verdict=verdict, reviewer=queue.reviewer)
    decision = replace(accepted, **changes, reviewer=queue.reviewer)
    # The name of a box has its sides before any review.
    drawn = box_name({"category": "", **{side: getattr(decision, side) for side in SIDES}})
    if not accepted.box.endswith(drawn):
        return replace(decision, verdict=ReviewVerdict.REDRAW.value)
    is_renamed = decision.category != accepted.category
    return replace(decision, verdict=ReviewVerdict.RELABEL.value) if is_renamed else decision


def load(annotations: Path, index: Path, sample: int | None = None) -> list[BoxRow]:
    """Boxes on frames of the indexed clips, with shard, row and categories of their clips.

    Parameters
    ----------
    annotations, index : Path
        Tables of these stages.
    sample : int, optional
        Number of boxes, drawn by a checksum of their names: every reviewer gets the same boxes,
        so that agreement can be measured.

    Raises
    ------
    UserError
        If a table is missing, or there is no box.
    """
    if missing := next((path for path in (annotations, index) if not path.exists()), None):
        raise UserError(
            f"there is no {missing}: run the workflow first, with snakemake {annotations} --cores 2"
            " and the config of your videos. To draw boxes without a detector: spm review --draw"
        )
    columns = ["clip_id", "shard", "row", "categories"]
    clips = {row["clip_id"]: row for row in tables.read(index, columns).to_pylist()}
    found = [row for row in tables.read(annotations).to_pylist() if row["clip_id"] in clips]
    rows = [row for row in found if row["status"] != BoxStatus.NOTHING_SOUNDS]
    if not rows:
        raise UserError(
            f"{annotations} has no box on a frame of {index}: there is nothing to review"
        )
    if sample is not None:
        rows = sorted(rows, key=lambda row: crc32(repr(box_key(row)).encode()))[:sample]
    return [{**row, **clips[row["clip_id"]]} for row in rows]
