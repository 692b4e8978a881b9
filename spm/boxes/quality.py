"""Precision and recall per class of a detector's kept boxes, against given boxes.

python -m spm.boxes.quality --config '{}' --given given.parquet --detected detector.parquet
    --index clips.parquet --out quality.csv
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.optimize import linear_sum_assignment

from spm.base import stage, tables
from spm.base.config import Section
from spm.boxes.formats.frames import BoxRow
from spm.boxes.geometry import iou
from spm.boxes.statuses import BoxStatus

FrameKey = tuple[str, int]  # clip, frame number
COLUMNS = ["split", "category", "drawn", "detected", "matched", "precision", "recall", "mean_iou"]
ALL = "all"  # categories together


class Quality(Section):
    """Comparison of a detector's boxes with given boxes.

    Used only if `corpus.boxes` names both sources.
    """

    min_iou: float = Field(
        0.5,
        gt=0,
        le=1,
        description="IoU from which on a detected box and a given box are the same.",
    )


class Comparison(NamedTuple):
    """The boxes of one category on one frame."""

    split: str
    category: str
    drawn: int
    detected: int
    ious: list[float]  # of each matched pair


@dataclass
class Totals:
    """Sums over frames."""

    drawn: int = 0
    detected: int = 0
    ious: list[float] = field(default_factory=list)

    def add(self, comparison: Comparison) -> None:
        """Add one frame."""
        self.drawn += comparison.drawn
        self.detected += comparison.detected
        self.ious += comparison.ious

    def values(self) -> tuple[float | None, ...]:
        """Drawn, detected, matched, precision, recall, mean IoU; None where it is 0 / 0."""
        matched = len(self.ious)
        mean_iou = float(np.mean(self.ious)) if self.ious else None
        rates = _ratio(matched, self.detected), _ratio(matched, self.drawn)
        return self.drawn, self.detected, matched, *rates, mean_iou


def _ratio(count: int, total: int) -> float | None:
    return count / total if total else None


def kept_by_frame(rows: Iterable[BoxRow]) -> dict[FrameKey, list[BoxRow]]:
    """Kept boxes of each frame."""
    frames: defaultdict[FrameKey, list[BoxRow]] = defaultdict(list)
    for row in rows:
        if row["status"] == BoxStatus.KEPT:
            frames[row["clip_id"], row["frame"]].append(row)
    return frames


def matched_ious(
    drawn: Sequence[BoxRow], detected: Sequence[BoxRow], min_iou: float
) -> list[float]:
    """IoU of each matched pair of a drawn and a detected box; a box is in at most one pair."""
    overlap = iou(_sides(drawn), _sides(detected))  # (drawn, detected)
    values = overlap[linear_sum_assignment(overlap * (overlap >= min_iou), maximize=True)]
    return [float(value) for value in values if value >= min_iou]


def _sides(boxes: Sequence[BoxRow]) -> np.ndarray:
    rows = [(box["x"], box["y"], box["w"], box["h"]) for box in boxes]
    return np.array(rows, float).reshape(-1, 4)  # (boxes, 4)


def compare(
    given: Sequence[BoxRow],
    detections: Sequence[BoxRow],
    split: Mapping[str, str],
    min_iou: float,
) -> Iterator[Comparison]:
    """Compare each frame that has given boxes and that the detector processed, per category."""
    # With detect.frames the detector processes only the first frames of each clip.
    processed = {row["frame"] for row in detections}
    detected_boxes = kept_by_frame(detections)
    for (clip, number), drawn in kept_by_frame(given).items():
        if number not in processed:
            continue
        detected = detected_boxes.get((clip, number), [])
        for category in sorted({box["category"] for box in (*drawn, *detected)}):
            drawn_boxes = [box for box in drawn if box["category"] == category]
            found_boxes = [box for box in detected if box["category"] == category]
            ious = matched_ious(drawn_boxes, found_boxes, min_iou)
            yield Comparison(split[clip], category, len(drawn_boxes), len(found_boxes), ious)


def table(
    given: Sequence[BoxRow],
    detections: Sequence[BoxRow],
    split: Mapping[str, str],
    min_iou: float,
) -> pd.DataFrame:
    """Precision, recall and mean IoU of matched pairs, per split and category, and for ALL."""
    totals: defaultdict[tuple[str, str], Totals] = defaultdict(Totals)
    for comparison in compare(given, detections, split, min_iou):
        totals[comparison.split, comparison.category].add(comparison)
        totals[comparison.split, ALL].add(comparison)
    keys = sorted(totals, key=lambda key: (key[0], key[1] == ALL, key[1]))
    return pd.DataFrame([(*key, *totals[key].values()) for key in keys], columns=COLUMNS)


def run(config: Quality, *, given: Path, detected: Path, index: Path, out: Path) -> None:
    """Compare two tables of annotations on the frames that have given boxes."""
    split = dict(zip(*tables.read(index, ["clip_id", "split"]).to_pydict().values(), strict=True))
    given_rows, detected_rows = tables.read(given).to_pylist(), tables.read(detected).to_pylist()
    with tables.atomic_write(out) as part:
        quality = table(given_rows, detected_rows, split, config.min_iou)
        quality.to_csv(part, index=False, float_format="%.4f")


if __name__ == "__main__":
    stage.main(run)
