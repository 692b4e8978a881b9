"""Parts of Markdown tables: their first lines, and scores with intervals."""

from collections.abc import Sequence
from typing import Any

import pandas as pd


def head(columns: Sequence[str]) -> list[str]:
    """The first two lines of a Markdown table whose first column has no title."""
    return ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]


def signed(value: float, low: Any, high: Any, digits: int) -> str:
    """A difference with its sign and, if it has one, its interval.

    >>> signed(0.0304, -0.01, 0.07, 3), signed(-0.0001, None, None, 3)
    ('+0.030 [-0.010, +0.070]', '+0.000')
    """
    difference = f"{value:+z.{digits}f}"  # z: a difference that rounds to 0 is +0
    if pd.isna(low) or pd.isna(high):
        return difference
    return f"{difference} [{low:+z.{digits}f}, {high:+z.{digits}f}]"
