"""Sizes from which a picture or an array is absurd: such a file is refused by its header.

A file of a few megabytes can contain gigabytes of equal values.
"""

from spm.base.errors import UserError

MOST_PIXELS = 36_000_000  # of a picture or a map: a frame of 8K video has 33 million
MOST_BYTES = 4_000_000_000  # of an array in memory, and of one in a file that MOST_RATIO exceeds
MOST_RATIO = 250  # unpacked by packed bytes; zeros reach 1,000
MOST_ROWS = 50_000_000  # of a table


class AbsurdSize(UserError, ValueError):
    """A size that no useful file has."""


def check_pixels(width: int, height: int) -> None:
    """Raise `AbsurdSize` for a picture or a map that is too large to be useful."""
    if width * height > MOST_PIXELS:
        raise AbsurdSize(f"{width} × {height} px: expected at most {MOST_PIXELS:,} px")


def check_packed(unpacked_bytes: int, packed_bytes: int, most_bytes: int = MOST_BYTES) -> None:
    """Raise `AbsurdSize` for data that are too large and too regular to be useful.

    Parameters
    ----------
    unpacked_bytes, packed_bytes : int
        Sizes in memory and in the file.
    most_bytes : int
        Up to this size, data may be as regular as they like.
    """
    if unpacked_bytes > max(most_bytes, MOST_RATIO * packed_bytes):
        raise AbsurdSize(
            f"{packed_bytes:,} bytes contain {unpacked_bytes:,} bytes: expected at most"
            f" {MOST_RATIO} times as many"
        )
