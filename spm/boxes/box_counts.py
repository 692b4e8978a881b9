"""Numbers of kept boxes, and of rejected boxes per reason."""

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from spm.boxes import status_counts
from spm.boxes.formats.frames import BoxRow
from spm.boxes.statuses import BoxStatus

SHOWN = 3  # names of a reason
# Statuses that are best understood with the values of a column.
NAMED_BY = {BoxStatus.OTHER_CATEGORY: "category", BoxStatus.UNKNOWN_VIDEO: "video_id"}


def table(
    rows: Sequence[BoxRow], categories: Iterable[str], detectable: Iterable[str]
) -> pd.DataFrame:
    """Number of boxes per category and status; categories that no box can have are not scorable."""
    boxes = pd.DataFrame(rows, columns=["category", "status"]).value_counts().sort_index()
    kept = {row["category"] for row in rows if row["status"] == BoxStatus.KEPT}
    not_scorable = pd.DataFrame(
        {
            "category": sorted(set(categories) - set(detectable) - kept),
            "status": BoxStatus.NOT_SCORABLE.value,
            "boxes": 0,
        }
    )
    rows_of_both = pd.concat([boxes.rename("boxes").reset_index(), not_scorable], ignore_index=True)
    return rows_of_both.sort_values(["category", "status"], ignore_index=True)


def summary(rows: Sequence[BoxRow]) -> str:
    """One line, such as `120 kept, 15 rejected: 12 other-category (person), 3 unmatched`."""
    numbers = Counter(str(row["status"]) for row in rows)
    return status_counts.line(
        {f"{status}{_names(rows, status)}": number for status, number in numbers.items()}
    )


def _names(rows: Sequence[BoxRow], status: str) -> str:
    """The most frequent names of a rejected status in brackets; empty if its name says enough."""
    column = NAMED_BY.get(BoxStatus(status))
    if column is None:
        return ""
    names = Counter(row[column] for row in rows if row["status"] == status)
    shown = [name for name, _ in names.most_common(SHOWN)]
    return f" ({', '.join(shown)}{', …' if len(names) > SHOWN else ''})"
