"""Numbers of kept and rejected boxes as text, for the score tables and `spm score`."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from spm.base import csv_file
from spm.base.errors import UserError
from spm.boxes.statuses import BoxStatus

WARNING_FRACTION = 0.1  # of the boxes that are rejected
# A detector draws many boxes that nobody expects to count; they say nothing about its labels.
EXPECTED = {BoxStatus.LOW_SCORE, BoxStatus.OVERLAP, BoxStatus.SURPLUS}


def read(path: Path) -> Counter[str]:
    """Number of boxes per status, from the table of counts that the stage `annotations` writes.

    Raises
    ------
    UserError
        If the file is not such a table.
    """
    counts: Counter[str] = Counter()
    try:
        for row in csv_file.read_rows(path, ["status", "boxes"]):
            counts[row["status"]] += int(row["boxes"])
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not a table category,status,boxes ({type(error).__name__}: {error}): delete"
            " it and run again"
        ) from error
    return +counts


def line(counts: Mapping[str, int]) -> str:
    """Kept and rejected boxes, with the reasons, most frequent first.

    >>> line({"kept": 96, "other-category": 3, "unmatched": 1})
    '96 kept, 4 rejected: 3 other-category, 1 unmatched'
    """
    reasons = Counter(counts)
    kept = reasons.pop(BoxStatus.KEPT, 0)
    listed = ", ".join(f"{count} {status}" for status, count in reasons.most_common())
    return f"{kept} kept, {reasons.total()} rejected" + (f": {listed}" if listed else "")


def warning(box_source: str, counts: Mapping[str, int]) -> str:
    """A sentence if more than WARNING_FRACTION of the boxes are rejected; empty if not.

    Boxes with one of the EXPECTED statuses are left out.

    >>> warning("given", {"kept": 8, "other-category": 2})
    '2 of 10 given boxes are rejected: 2 other-category.'
    """
    counted = Counter({name: count for name, count in counts.items() if name not in EXPECTED})
    rejected = counted.total() - counted[BoxStatus.KEPT]
    if rejected <= WARNING_FRACTION * counted.total():
        return ""
    reasons = line(counted).partition(": ")[2]
    without = " (low scores, overlaps and surplus not counted)" if counted != counts else ""
    return f"{rejected} of {counted.total()} {box_source} boxes are rejected{without}: {reasons}."
