"""Ids of videos: which are valid, how a file name becomes one, and the ids of mosaics."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from unicodedata import normalize

from spm.base.errors import UserError

ID_BYTES = 128
SHOWN_CHARS = 80  # of a wrong value in an error message


def check_id(video_id: str) -> None:
    """Raise a `UserError` when an id is not valid.

    It may start with a hyphen, like one in thirty of YouTube's: the store never starts a file name
    with the id.
    """
    shown = repr(video_id[:SHOWN_CHARS])
    if not re.fullmatch(r"[\w.+-]+", video_id) or ".." in video_id or video_id == ".":
        raise UserError(
            f"video_id {shown}: expected letters, digits and - _ + . without two dots in a row"
        )
    if (size := len(video_id.encode())) > ID_BYTES:
        raise UserError(f"video_id {shown}: {size} bytes long: expected at most {ID_BYTES}")


def sanitize_id(name: str, most_bytes: int = 80) -> str:
    """A name as an id, or as a part of one.

    Characters that are not allowed become underscores, and the first `most_bytes` are kept.
    """
    text = re.sub(r"[^\w.+-]+|\.{2,}", "_", normalize("NFC", name))
    return text.encode()[:most_bytes].decode(errors="ignore").strip("._") or "video"


def join_ids(video_ids: Iterable[str]) -> str:
    """The video id of a mosaic: the ids of its tiles, separated by / (which no id contains).

    >>> join_ids(["flute-01", "cello-02"])
    'cello-02/flute-01'
    """
    return "/".join(sorted(video_ids))


def split_ids(video_id: str) -> tuple[str, ...]:
    """The videos that a clip is made of: its own video, or the videos of a mosaic's tiles.

    >>> split_ids("flute-01"), split_ids("cello-02/flute-01")
    (('flute-01',), ('cello-02', 'flute-01'))
    """
    return tuple(video_id.split("/"))


def unique_ids(files: Sequence[Path], taken: Collection[str] = ()) -> list[str]:
    """A different id for each file, and none of the ids that are taken.

    It is made of the file name; where several files share it, or where it is taken, the folder's
    name is added in front, and a number at the end where the ids are still equal.
    """
    names = [sanitize_id(file.stem) for file in files]
    count = Counter([*names, *taken])
    used = set(taken)
    ids = []
    for file, name in zip(files, names, strict=True):
        stem = name if count[name] == 1 else f"{sanitize_id(file.parent.name, 40)}-{name}"
        ids.append(next(video_id for video_id in _numbered(stem) if video_id not in used))
        used.add(ids[-1])
    return ids


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1
