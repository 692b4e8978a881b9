"""How good the boxes are that stand in for drawn ones: precision and recall of a detector's kept boxes, per class.

python -m spm.boxes.quality --config '{}' --given given.parquet --detected detector.parquet --index clips.parquet
    --out quality.csv
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.optimize import linear_sum_assignment

from spm.base import stage, tables
from spm.base.config import Section
from spm.boxes.geometry import iou

Row = dict[str, Any]
Frame = tuple[str, int]  # clip, number
COLUMNS = ["split", "category", "drawn", "detected", "matched", "precision", "recall", "mean_iou"]


class Quality(Section):
    """When a detected box is a drawn one."""

    min_iou: float = Field(0.5, gt=0, le=1)


def by_frame(rows: Iterable[Row]) -> dict[Frame, list[Row]]:
    """Kept boxes of each frame."""
    found: defaultdict[Frame, list[Row]] = defaultdict(list)
    for row in rows:
        if row["status"] == "kept":
            found[row["clip_id"], row["frame"]].append(row)
    return found


def overlaps(drawn: Sequence[Row], detected: Sequence[Row], min_iou: float) -> list[float]:
    """IoU of each pair of a drawn and a detected box that are the same, each box in one pair at most."""
    sides = ([[box[side] for side in "xywh"] for box in boxes] for boxes in (drawn, detected))
    overlap = iou(*sides)  # (drawn, detected)
    values = overlap[linear_sum_assignment(overlap * (overlap >= min_iou), maximize=True)]
    return [float(value) for value in values if value >= min_iou]


def compare(
    given: Sequence[Row], found: Sequence[Row], split: Mapping[str, str], min_iou: float
) -> Iterator[tuple[str, str, int, int, list[float]]]:
    """For each frame that somebody drew boxes on and the detector looked at, and each category there.

    Yields
    ------
    tuple
        Split, category, boxes drawn, boxes detected, and the IoU of each pair that is one.
    """
    looked_at = {
        row["frame"] for row in found
    }  # detect.frames may have it look at the first ones of each clip alone
    detected = by_frame(found)
    for (clip, number), drawn in by_frame(given).items():
        if number not in looked_at:
            continue
        there = detected.get((clip, number), [])
        for category in sorted({box["category"] for box in (*drawn, *there)}):
            one, other = (
                [box for box in boxes if box["category"] == category] for boxes in (drawn, there)
            )
            yield split[clip], category, len(one), len(other), overlaps(one, other, min_iou)


def table(
    given: Sequence[Row], found: Sequence[Row], split: Mapping[str, str], min_iou: float
) -> pd.DataFrame:
    """Precision, recall and mean IoU of the matched, per split and category, and of all categories together."""
    sums: defaultdict[tuple[str, str], list[Any]] = defaultdict(lambda: [0, 0, []])
    for where, category, drawn, detected, pairs in compare(given, found, split, min_iou):
        for name in (category, "all"):
            total = sums[where, name]
            total[0] += drawn
            total[1] += detected
            total[2] += pairs
    rows = [
        (*key, drawn, detected, *_rates(drawn, detected, pairs))
        for key, (drawn, detected, pairs) in sums.items()
    ]
    return pd.DataFrame(
        sorted(rows, key=lambda row: (row[0], row[1] == "all", row[1])), columns=COLUMNS
    )


def _rates(
    drawn: int, detected: int, pairs: Sequence[float]
) -> tuple[int, float | None, float | None, float | None]:
    """Matched, precision, recall, mean IoU; no value where it is 0 / 0."""
    count = len(pairs)
    mean = float(np.mean(pairs)) if pairs else None
    return count, count / detected if detected else None, count / drawn if drawn else None, mean


def run(config: Quality, *, given: Path, detected: Path, index: Path, out: Path) -> None:
    """Compare the two tables of annotations on the frames that have boxes in the given one."""
    split = dict(zip(*tables.read(index, ["clip_id", "split"]).to_pydict().values(), strict=True))
    drawn, found = (tables.read(path).to_pylist() for path in (given, detected))
    with tables.atomic_write(out) as part:
        table(drawn, found, split, config.min_iou).to_csv(part, index=False, float_format="%.4f")


if __name__ == "__main__":
    stage.main(run)
