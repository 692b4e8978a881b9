"""What a reviewer looks at: boxes, the most doubtful first, filtered; with their frames and sounds."""

import io
import wave
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spm.base import tables
from spm.base.config import UserError
from spm.base.shards import table_of
from spm.boxes.review.decisions import BoxKey, Decision, DecisionLog
from spm.corpus.media.cut import RATE_HZ

GROUPS_HELD = 6  # row groups of clips kept in memory: a group is a video's
Row = dict[str, Any]


@dataclass(frozen=True)
class Filter:
    """Which boxes a reviewer asks for; None: any."""

    whose: str = (
        "nobody"  # decided by nobody yet, not by me, by me, or all: nobody, others, mine, all
    )
    category: str | None = None
    status: str | None = None
    video: str | None = None
    low: float = 0.0  # score
    high: float = 1.0


class Queue:
    """Boxes in the order in which they are looked at; a box is known by its number in it."""

    def __init__(
        self, boxes: Sequence[Row], following: DecisionLog, reviewer: str, around: float = 0.9
    ) -> None:
        order = sorted(
            boxes,
            key=lambda box: (round(abs(box["score"] - around), 6), box["clip_id"], box["frame"]),
        )
        self.boxes, self.following, self.reviewer = order, following, reviewer
        self.columns = {
            name: np.array([box[name] for box in order])
            for name in ("category", "status", "video_id")
        }
        self.scores = np.array([box["score"] for box in order])
        self.number_of: dict[BoxKey, int] = {place_of(box): n for n, box in enumerate(order)}
        self.pairs: dict[int, tuple[Decision | None, Decision | None]] = {}
        self.lock = Lock()
        self.in_frame: dict[tuple[str, int], list[int]] = {}
        for n, box in enumerate(order):
            self.in_frame.setdefault((box["clip_id"], box["frame"]), []).append(n)

    def decided(self) -> dict[int, tuple[Decision | None, Decision | None]]:
        """Everybody's and one's own standing decision, of the boxes that have one."""
        with self.lock:
            for place in self.following.refresh() & self.number_of.keys():
                pair = self.following.of(place), self.following.of(place, self.reviewer)
                self.pairs[self.number_of[place]] = pair
            return {number: pair for number, pair in self.pairs.items() if pair != (None, None)}

    def numbers(self, wanted: Filter) -> list[int]:
        """The boxes asked for, the most doubtful first."""
        named = {"category": wanted.category, "status": wanted.status, "video_id": wanted.video}
        mask = (self.scores >= wanted.low - 1e-6) & (self.scores <= wanted.high + 1e-6)
        for column, value in named.items():
            mask &= True if value is None else self.columns[column] == value
        pairs = self.decided()
        skipped = {
            "nobody": {n for n, (anyone, _) in pairs.items() if anyone},
            "others": {n for n, (_, me) in pairs.items() if me},
            "mine": set(range(len(self.boxes))) - {n for n, (_, me) in pairs.items() if me},
            "all": set(),
        }[wanted.whose]
        return [n for n in np.flatnonzero(mask).tolist() if n not in skipped]

    def progress(self) -> dict[str, int]:
        """How many boxes there are, how many somebody decided about, and how many oneself."""
        pairs = self.decided().values()
        return {
            "boxes": len(self.boxes),
            "decided": sum(anyone is not None for anyone, _ in pairs),
            "mine": sum(me is not None for _, me in pairs),
        }

    def describe(self, number: int) -> Row:
        """A box as the page shows it: as one's own decision left it, with what else is in its frame.

        What others decided is not said: two reviewers should not lean on each other.
        """
        box = self.boxes[number]
        _, decision = self.decided().get(number, (None, None))
        beside = [self.boxes[n] for n in self.in_frame[box["clip_id"], box["frame"]] if n != number]
        now = {
            key: getattr(decision or as_decision(box), key)
            for key in ("category", "x", "y", "w", "h")
        }
        others = [
            {key: other[key] for key in ("category", "status", "score", "x", "y", "w", "h")}
            for other in beside
        ]
        return {
            **box,
            **now,
            "number": number,
            "verdict": decision and decision.verdict,
            "others": others,
        }


def place_of(box: Row) -> BoxKey:
    """What a decision about the box is about."""
    return box["clip_id"], box["frame"], box["box"]


def as_decision(box: Row) -> Decision:
    """The box as it is, to be changed into a decision."""
    sides = {side: box[side] for side in "xywh"}
    return Decision(
        *place_of(box), verdict="accept", category=box["category"], **sides, reviewer=""
    )


def decide(queue: Queue, number: int, verdict: str, changed: Row) -> Decision:
    """A decision about a box; undone, it is the box that the tables have."""
    base = as_decision(queue.boxes[number])
    return replace(
        base, **({} if verdict == "undo" else changed), verdict=verdict, reviewer=queue.reviewer
    )


def load(annotations: Path, index: Path, sample: int | None = None) -> list[Row]:
    """Boxes on frames of the indexed clips, with shard, row and categories of their clips.

    Parameters
    ----------
    annotations, index : Path
        What these stages left.
    sample : int, optional
        So many of them, drawn by their names: the same for every reviewer, so that agreement can be measured.
    """
    columns = ["clip_id", "shard", "row", "categories"]  # what the video is listed as playing
    clips = {row["clip_id"]: row for row in tables.read(index, columns).to_pylist()}
    rows = [row for row in tables.read(annotations).to_pylist() if row["clip_id"] in clips]
    if not rows:
        raise UserError(
            f"{annotations} has no box on a frame of {index}: there is nothing to review"
        )
    if sample is not None:
        rows = sorted(rows, key=lambda row: crc32(repr(place_of(row)).encode()))[:sample]
    return [{**row, **clips[row["clip_id"]]} for row in rows]


class Media:
    """Frames and sounds of clips, read from the shards' tables; the last few videos stay in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, Lock()
        self.held: OrderedDict[tuple[int, int, str], pa.ChunkedArray] = OrderedDict()
        self.starts: dict[int, list[int]] = {}  # first row of each row group, of each shard

    def frame(self, box: Row) -> bytes:
        """The JPEG of the box's frame."""
        jpeg: bytes = self._value(box, "frames")[box["frame"]].as_py()
        return jpeg

    def sound(self, box: Row) -> bytes:
        """The second of sound around the box's frame, as a WAV file."""
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(self._value(box, "pcm").as_py())
        return out.getvalue()

    def _value(self, box: Row, column: str) -> Any:
        with self.lock:
            file = pq.ParquetFile(table_of(self.folder, box["shard"]))
            starts = self.starts.setdefault(box["shard"], _starts(file))
            group = bisect_right(starts, box["row"]) - 1
            key = (box["shard"], group, column)
            if key not in self.held:
                self.held[key] = file.read_row_group(group, [column])[column]
            self.held.move_to_end(key)
            while len(self.held) > GROUPS_HELD:
                self.held.popitem(last=False)
            return self.held[key][box["row"] - starts[group]]


def _starts(file: pq.ParquetFile) -> list[int]:
    lengths = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    return list(accumulate(lengths, initial=0))[:-1]
