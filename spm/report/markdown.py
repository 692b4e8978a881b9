"""Parts of Markdown tables: their first lines, and scores with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd


def head(columns: Sequence[str]) -> list[str]:
    """The first two lines of a Markdown table whose first column has no title."""
    return ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]


def cell(row: Mapping[Any, Any], score: str, digits: int) -> str:
    """A score with its interval; a dash where the row does not have this score.

    >>> cell({"auc": 0.5, "auc low": 0.4, "auc high": 0.6}, "auc", 2)
    '0.50 [0.40, 0.60]'
    """
    if pd.isna(row[score]):  # the no-sounding area needs a map per category
        return "–"
    bounds = [row.get(f"{score} {side}") for side in ("low", "high")]
    if pd.isna(bounds).any():
        return f"{row[score]:.{digits}f}"
    return f"{row[score]:.{digits}f} [{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"


def signed(value: float, low: Any, high: Any, digits: int) -> str:
    """A difference with its sign and, if it has one, its interval.

    >>> signed(0.0304, -0.01, 0.07, 3), signed(-0.0001, None, None, 3)
    ('+0.030 [-0.010, +0.070]', '+0.000')
    """
    difference = f"{value:+z.{digits}f}"  # z: a difference that rounds to 0 is +0
    if pd.isna(low) or pd.isna(high):
        return difference
    return f"{difference} [{low:+z.{digits}f}, {high:+z.{digits}f}]"
