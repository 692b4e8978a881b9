"""Progress bar on a terminal; in a log file, a line every few seconds."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
TERMINAL_INTERVAL_S = 0.2
LOG_INTERVAL_S = 10


def progress(
    items: Iterable[Item],
    label: str,
    total: int | None = None,
    *,
    bar_format: str | None = None,
    quiet: bool = False,
    initial: int = 0,
) -> "tqdm[Item]":
    """Iterate over items with a progress bar.

    Parameters
    ----------
    items : iterable
        What is counted.
    label : str
        Text before the bar.
    total : int, optional
        Number of items, if `items` has no length.
    bar_format : str, optional
        Format of the bar, as in tqdm.
    quiet : bool
        Show nothing.
    initial : int
        Number of items that were done before.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        items,
        desc=label,
        total=total,
        mininterval=TERMINAL_INTERVAL_S if terminal else LOG_INTERVAL_S,
        ascii=not terminal,
        dynamic_ncols=terminal,
        bar_format=bar_format,
        disable=quiet,
        initial=initial,
    )
