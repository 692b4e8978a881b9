"""Windows of videos: a row of a manifest that uses only the seconds from `start_s` to `end_s`.

All times are seconds of the original video. Rows whose addresses lead to the same video share one
download; they are in one shard.
"""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from spm.base.errors import UserError
from spm.corpus.ids import SHOWN_CHARS

WINDOW_COLUMNS = ("start_s", "end_s")
LONGEST_S = 1_000_000
YOUTUBE = "https://www.youtube.com/watch?v="
YOUTUBE_ID = re.compile(r"[\w-]{11}", re.ASCII)
YOUTUBE_ADDRESS = re.compile(
    r"(?:https?://)?(?:[a-z]+\.)?(?:youtube(?:-nocookie)?\.com/(?:watch/?\?(?:[^#]*&)?v="
    r"|embed/|shorts/|live/|v/)|youtu\.be/)(?P<id>[\w-]{11})(?![\w-])",
    re.ASCII,
)


class Window(NamedTuple):
    """A part of a video."""

    start_s: float
    end_s: float


def parse(start: str, end: str) -> Window | None:
    """The window that two cells of a row name; None when both are empty.

    Times are rounded to 1 ms, as ids and the names of clips have them.

    >>> parse("30", "40.5"), parse("", "")
    (Window(start_s=30.0, end_s=40.5), None)

    Raises
    ------
    UserError
        When a cell is not a time, only one of them is empty, or the end is not after the start.
    """
    if not start and not end:
        return None
    start_s, end_s = _seconds("start_s", start), _seconds("end_s", end)
    if end_s <= start_s:
        raise UserError(f"end_s {end!r}: expected more than start_s ({start})")
    return Window(start_s, end_s)


def _seconds(name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value <= LONGEST_S:
        raise UserError(
            f"{name} {cell[:SHOWN_CHARS]!r}: expected seconds from the start of the video, such as"
            " 30 or 12.5; for the whole video, leave start_s and end_s empty"
        )
    return round(value, 3)


def window_id(name: str, start_s: float) -> str:
    """The id of a window: the name of its video, and its start in ms.

    >>> window_id("jW_AuF6dQYY", 30)
    'jW_AuF6dQYY_30000'
    """
    return f"{name}_{round(1000 * start_s)}"


def source_of(url: str) -> str:
    """What the urls of the same video have in common: YouTube's address of it, or the url itself.

    >>> source_of("jW_AuF6dQYY") == source_of("youtu.be/jW_AuF6dQYY?t=30")
    True
    """
    if YOUTUBE_ID.fullmatch(url):
        return YOUTUBE + url
    match = YOUTUBE_ADDRESS.match(url)
    return YOUTUBE + match["id"] if match else url


def merge(windows: Iterable[Window], gap_s: float = 0.0) -> list[Window]:
    """Windows in order, where those that overlap or lie within `gap_s` are one.

    >>> merge([Window(30, 40), Window(0, 10), Window(35, 45)])
    [Window(start_s=0, end_s=10), Window(start_s=30, end_s=45)]
    """
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and window.start_s <= merged[-1].end_s + gap_s:
            merged[-1] = Window(merged[-1].start_s, max(merged[-1].end_s, window.end_s))
        else:
            merged.append(window)
    return merged
