"""Progress on the terminal, or a line now and then in a log."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(
    items: Iterable[Item],
    what: str,
    total: int | None = None,
    *,
    form: str | None = None,
    quiet: bool = False,
) -> "tqdm[Item]":
    """Iterate with a bar that names what is counted and when it will be done.

    `form` is tqdm's `bar_format`; a quiet bar says nothing.
    """
    live = sys.stderr.isatty()
    return tqdm(
        items, desc=what, total=total, mininterval=0.2 if live else 10, ascii=not live, dynamic_ncols=live,
        bar_format=form, disable=quiet,
    )  # fmt: skip
