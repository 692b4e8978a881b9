"""The names of videos: which are legal, how a file's becomes one, and how several stand together."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from unicodedata import normalize

from spm.base.config import UserError

ID_BYTES = 128
SHOWN = 80  # characters of what is wrong, in its message


def check_id(video_id: str) -> None:
    """Raise a `UserError` where an id is no name.

    It may start with a hyphen, as one in thirty of YouTube's does: the store never starts a name with it.
    """
    if not re.fullmatch(r"[\w.+-]+", video_id) or ".." in video_id or video_id == ".":
        raise UserError(
            f"video_id {video_id[:SHOWN]!r}: expected letters, digits and - _ + . without two dots in a row"
        )
    if len(video_id.encode()) > ID_BYTES:
        raise UserError(
            f"video_id {video_id[:SHOWN]!r}: {len(video_id.encode())} bytes long: expected at most {ID_BYTES}"
        )


def sanitize_id(name: str, at_most: int = 80) -> str:
    """A name as (part of) an id: what an id may not hold becomes an underscore, and `at_most` bytes are kept."""
    plain = re.sub(r"[^\w.+-]+|\.{2,}", "_", normalize("NFC", name))
    return plain.encode()[:at_most].decode(errors="ignore").strip("._") or "video"


def join_ids(video_ids: Iterable[str]) -> str:
    """What stands for the video of a mosaic: those of its tiles, with / between, which no id has.

    >>> together(["flute-01", "cello-02"])
    'cello-02/flute-01'
    """
    return "/".join(sorted(video_ids))


def split_ids(video_id: str) -> tuple[str, ...]:
    """The videos that a clip's is made of: itself, or those of a mosaic's tiles.

    >>> sources("flute-01"), sources("cello-02/flute-01")
    (('flute-01',), ('cello-02', 'flute-01'))
    """
    return tuple(video_id.split("/"))


def unique_ids(files: Sequence[Path]) -> list[str]:
    """An id for each file: its name; its folder's before it where two share it; a number where that is not enough."""
    often = Counter(sanitize_id(file.stem) for file in files)
    ids: dict[str, Path] = {}
    for file in files:
        name = sanitize_id(file.stem)
        stem = name if often[name] == 1 else f"{sanitize_id(file.parent.name, 40)}-{name}"
        numbered = (stem if n == 1 else f"{stem}-{n}" for n in range(1, len(files) + 1))
        ids[next(video_id for video_id in numbered if video_id not in ids)] = file
    return list(ids)
