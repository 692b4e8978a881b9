"""Names of exported frames, and the frame that an image of another tool shows.

An exported frame is named `VIDEO_0001250ms.jpg`: the video, and the time in ms. Other tools keep
these letters, digits and signs, but they add folders, prefixes and suffixes. `KnownFrames` finds
the frame all the same, from the list that is written beside an export, or from the index. It also
reads the older form `VIDEO@1.250.jpg`, whose `@` some tools drop.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote

import pandas as pd

from spm.base import tables
from spm.base.constants import CLIP_S
from spm.base.errors import UserError
from spm.boxes.formats import csv
from spm.boxes.formats.checks import named, parse_number

FrameTime = tuple[str, float]  # video_id, time in s from the start of the video
LIST_NAME = "frames.csv"
LIST_COLUMNS = ("file_name", "video_id", "time_s")
# Label Studio cuts names to 70 characters, and drops all characters but letters, digits and - _ .
PLAIN_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,47}")
NAME = re.compile(r"(?P<video_id>.+)(?:_(?P<ms>\d{7,})ms|@(?P<time_s>\d+\.\d+))\.(?:jpe?g|png)")
# What follows the video in a name that a tool changed, up to the tool's own suffix.
TIME = re.compile(r"(?:_(?P<ms>\d{7,})ms|[@_-]?(?P<time_s>\d+\.\d{3}))(?![0-9A-Za-z])")
# Label Studio adds them: 6f69a740-VIDEO_0001250ms.jpg, c15a12c9__6f69a740-VIDEO_0001250ms.jpg
PREFIX = re.compile(r"[0-9a-f]{4,}(?:-|__)")
EXTENSION = re.compile(r"\.(?:jpe?g|png|webp|bmp|gif|tiff?)$", re.IGNORECASE)
EXAMPLE = "VIDEO_0001250ms.jpg"


def image_name(row: Mapping[str, Any]) -> str:
    """File name of the frame that a box lies on, for `video_id` and `time_s`.

    >>> image_name({"video_id": "cello-01", "time_s": 1.25})
    'cello-01_0001250ms.jpg'
    """
    return f"{_id_in_name(row['video_id'])}_{_milliseconds(row['time_s']):07d}ms.jpg"


def _id_in_name(video_id: str) -> str:
    """The id; or, if a tool would change it, its plain characters and a digest."""
    if PLAIN_ID.fullmatch(video_id):
        return video_id
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", video_id)[:39]
    return f"{plain}-{sha256(video_id.encode()).hexdigest()[:8]}"


def _milliseconds(time_s: float) -> int:
    return round(time_s * 1000)


def parse_image_name(name: str) -> FrameTime:
    """Video and time in the file name of an exported frame, in the present or the older form.

    Raises
    ------
    ValueError
        If the name has another form, or a tool put a prefix in front of it.

    >>> parse_image_name("train/a_b_0001250ms.jpg"), parse_image_name("a@b@1.250.jpg")
    (('a_b', 1.25), ('a@b', 1.25))
    """
    match = NAME.fullmatch(_last_part(name))
    if match is None or re.match("[0-9a-f]{8}(-|__)", match["video_id"]):
        raise ValueError(
            f"image {name!r}: expected a name like {EXAMPLE}. A tool that changes names needs the"
            f" list of the export (--frames-list {LIST_NAME}) or --index clips.parquet"
        )
    return match["video_id"], _time_s(match)


def _last_part(name: str) -> str:
    """A file name without the folders or the address that tools write in front of it."""
    return re.split(r"[/\\]|\?d=", normalize("NFC", unquote(name)))[-1]


def _time_s(match: re.Match[str]) -> float:
    return int(match["ms"]) / 1000 if match["ms"] else float(match["time_s"])


@dataclass(frozen=True)
class KnownFrames:
    """Frames that an image of another tool can show."""

    source: str  # file that lists them, for messages
    by_name: Mapping[str, set[FrameTime]]  # by listed file name, with and without extension
    by_id: Mapping[str, set[str]]  # ids of videos, by each of their spellings
    times_s: Mapping[tuple[str, int], float]  # listed times, by video and ms
    clip_starts_ms: Mapping[str, Sequence[int]]  # of the index; empty for a list

    def find(self, name: str) -> FrameTime:
        """Video and time of the frame that an image shows.

        Raises
        ------
        ValueError
            If no known frame, or more than one, can have this name.
        """
        for text in _without_prefixes(_last_part(name)):
            found = (
                self.by_name.get(text)
                or self.by_name.get(EXTENSION.sub("", text))
                or self._parse(text)
            )
            if len(found) == 1:
                return next(iter(found))
            if found:
                frames = " or ".join(
                    f"{video} at {time_s:.3f} s" for video, time_s in sorted(found)
                )
                raise ValueError(
                    f"image {name!r} can be {frames}: expected one frame; add a row with this"
                    f" file_name to a list ({','.join(LIST_COLUMNS)}) and pass it by --frames-list"
                )
        raise ValueError(
            f"image {name!r} is no frame of {self.source}: expected a name like {EXAMPLE} of a"
            f" listed frame; name it in a list ({','.join(LIST_COLUMNS)}), --frames-list"
        )

    def _parse(self, text: str) -> set[FrameTime]:
        """Each known frame whose video and time the text starts with."""
        found = set()
        for end in range(1, len(text)):
            match = TIME.match(text, end)
            if match is None:
                continue
            for video_id in self.by_id.get(text[:end], ()):
                time_s = self._known_time(video_id, _time_s(match))
                if time_s is not None:
                    found.add((video_id, time_s))
        return found

    def _known_time(self, video_id: str, time_s: float) -> float | None:
        """The time as it is listed, or of a clip of the index; None if there is none."""
        ms = _milliseconds(time_s)
        starts = self.clip_starts_ms.get(video_id, ())
        if any(start <= ms < start + CLIP_S * 1000 for start in starts):
            return time_s
        return self.times_s.get((video_id, ms))


def _without_prefixes(text: str) -> Iterator[str]:
    """The text, then the text without the first prefix, without the first two, and so on."""
    yield text
    while match := PREFIX.match(text):
        text = text[match.end() :]
        yield text


def _spellings(text: str) -> set[str]:
    """A text as it is, and with its uncommon characters dropped or replaced, as tools do."""
    text = normalize("NFC", text)
    uncommon = (r"[^\w.-]", r"[^A-Za-z0-9._-]")
    return {text, *(re.sub(*change, text) for change in product(uncommon, ("", "_", "-")))}


def _ids_by_spelling(video_ids: Iterable[str]) -> dict[str, set[str]]:
    ids: dict[str, set[str]] = {}
    for video_id in set(video_ids):
        for text in {*_spellings(video_id), _id_in_name(video_id)}:
            ids.setdefault(text, set()).add(video_id)
    return ids


def read_list(path: Path) -> KnownFrames:
    """Frames of a list, `file_name,video_id,time_s`, such as the one beside an export.

    Raises
    ------
    UserError
        If it can't be read, lacks a column, or has a row that names no frame (names the line).
    """
    names: dict[str, set[FrameTime]] = {}
    times_s: dict[tuple[str, int], float] = {}
    for row in csv.read_rows(path, LIST_COLUMNS):
        file_name, frame = _last_part(row.values["file_name"]), _listed_frame(row, path)
        times_s[frame[0], _milliseconds(frame[1])] = frame[1]
        for text in _spellings(file_name) | _spellings(EXTENSION.sub("", file_name)):
            names.setdefault(text, set()).add(frame)
    ids = _ids_by_spelling(video_id for video_id, _ in times_s)
    return KnownFrames(str(path), names, ids, times_s, {})


def _listed_frame(row: csv.CsvRow, path: Path) -> FrameTime:
    try:
        time_s = parse_number("time_s", row.number_text("time_s"))
        if time_s < 0 or not row.values["video_id"] or not row.values["file_name"]:
            raise ValueError("expected a file_name, a video_id and a time_s from 0")
    except ValueError as error:
        raise UserError(f"{path}, line {row.line}: {error}") from error
    return row.values["video_id"], time_s


def read_index(path: Path) -> KnownFrames:
    """Frames of the clips of an index.

    Raises
    ------
    UserError
        If there is no such file, or it is another table.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}: expected the workflow's clips.parquet")
    starts_ms: dict[str, list[int]] = {}
    with named(str(path)):  # another table lacks these columns
        for row in tables.read(path, ["video_id", "start_s"]).to_pylist():
            starts_ms.setdefault(row["video_id"], []).append(_milliseconds(row["start_s"]))
    return KnownFrames(str(path), {}, _ids_by_spelling(starts_ms), {}, starts_ms)


def write_list(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add frames to a list; the rows and columns that it has stay as they are.

    Raises
    ------
    UserError
        If there is a file with other columns.
    """
    listed = []
    for row in csv.read_rows(path, LIST_COLUMNS) if path.exists() else ():
        listed.append({**row.values, "time_s": row.number_text("time_s")})
    names = {row["file_name"] for row in listed}
    new = {image_name(row): (row["video_id"], row["time_s"]) for row in rows}
    added = [
        dict(zip(LIST_COLUMNS, (name, *frame), strict=True))
        for name, frame in sorted(new.items())
        if name not in names
    ]
    if added:
        with tables.atomic_write(path) as part:
            table = pd.DataFrame([*listed, *added])
            table.to_csv(part, index=False)
