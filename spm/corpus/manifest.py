"""The manifest: a CSV of the videos, checked completely before any of it is used.

A manifest has the columns `video_id,url,kind,categories[,split][,start_s,end_s]`, and others that
its user adds. It is written by hand, in a spreadsheet, or by `spm manifest` (manifest_sources.py).
"""

import csv
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field

from spm.base import spreadsheets
from spm.base.config import UNIQUE, Section, Text
from spm.base.errors import UserError
from spm.base.statuses import Kind, Split
from spm.base.words import did_you_mean
from spm.corpus import windows
from spm.corpus.ids import SHOWN_CHARS, check_id
from spm.corpus.kinds import check_categories, kind_of
from spm.corpus.manifest_columns import COLUMNS, KNOWN, Columns
from spm.corpus.windows import YOUTUBE, YOUTUBE_ID, Window

ManifestRow = Sequence[str]  # the values of COLUMNS, or of the columns that are named beside it
Group = tuple[str, frozenset[str]]  # kind and categories of a video
BoxSources = Annotated[tuple[Literal["given", "detector"], ...], Field(json_schema_extra=UNIQUE)]


class Corpus(Section):
    """Which videos are used, where their media are stored, and which boxes maps are scored with."""

    manifest: Text = Field(
        description="CSV of the videos: `video_id,url,kind,categories[,split][,start_s,end_s]`. A"
        " relative path starts at the current folder, or else at the Snakefile's."
    )
    shards: int = Field(
        ge=1,
        le=10_000,
        description="Number of jobs per stage. Another number computes every table again.",
    )
    store: Text = Field(
        "store",
        description="Folder of the downloaded media. The workflow never deletes it.",
    )
    boxes: BoxSources | None = Field(
        ("detector",),
        description="Boxes that maps are scored with: given (a file), detector, both, or none ([])."
        " null: given if the file exists, otherwise none. Without boxes, networks are trained and"
        " maps are drawn, but not scored.",
    )
    reviews: Text | None = Field(
        None,
        description="CSV of reviewers' decisions about boxes, relative to the manifest; null:"
        " reviews.csv beside the manifest, if it exists.",
    )
    given_boxes: Text | None = Field(
        None,
        description="CSV of boxes (video_id,time_s,category,x,y,w,h), relative to the manifest;"
        " null: boxes.csv beside the manifest.",
    )


@dataclass(frozen=True)
class Video:
    """One row of a manifest."""

    video_id: str
    url: str  # as written; `address` resolves it
    kind: Kind
    categories: tuple[str, ...]  # in the order of the manifest; none: nobody says what sounds
    split: Split | None  # None: by position
    position: int  # 0-based, among the listed videos of the same kind and categories
    flaw: str = ""  # why it can't be fetched: an invalid id or an invalid url
    start_s: float | None = None  # the window that is used; None: the whole video
    end_s: float | None = None

    @property
    def window(self) -> Window | None:
        """The part of the video that is used; None: all of it."""
        if self.start_s is None or self.end_s is None:
            return None
        return Window(self.start_s, self.end_s)

    @property
    def shard_key(self) -> str:
        """What its shard is computed from.

        Windows of one video are in one shard, which downloads the video once.
        """
        return self.video_id if self.window is None else windows.source_of(self.url)


def address(video: Video, manifest: Path) -> str:
    """The location of a video: an http(s) address, or the absolute path of a file.

    Parameters
    ----------
    video : Video
        Its url is an http(s) or file address, a YouTube id of 11 characters, or a path.
    manifest : Path
        The CSV with this row; a relative path starts at its folder.

    Raises
    ------
    UserError
        When the address has another scheme, or no host.
    """
    return resolve_url(video.url, manifest)


def resolve_url(url: str, manifest: Path) -> str:
    """The location of the url of a row; see `address`."""
    if YOUTUBE_ID.fullmatch(url):  # a file with such a name is written ./name
        return YOUTUBE + url
    if re.match(r"(www\.|m\.)?(youtube\.com|youtu\.be)/", url):
        return f"https://{url}"
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]+(?=:)", url)
    if not scheme:
        return os.path.realpath(manifest.parent / _without_nul(url, url))
    with suppress(ValueError):  # brackets without an IPv6 address
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.netloc:
            return url
        if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
            return _without_nul(unquote(parts.path), url)
    raise UserError(
        f"url {url[:SHOWN_CHARS]!r}: expected http://, https:// or file:///, a YouTube id, or a"
        " path (write ./ in front of a path with a colon)"
    )


def _without_nul(path: str, url: str) -> str:
    if "\0" in path:
        raise UserError(f"url {url[:SHOWN_CHARS]!r}: expected a path without a zero byte")
    return path


def is_remote(location: str) -> bool:
    """Whether a location, as given by `address`, has to be downloaded."""
    return location.startswith(("http://", "https://"))


def read(path: Path, wanted: Callable[[str], bool] = lambda key: True) -> list[Video]:
    """Read a manifest; all returned rows are checked first.

    An invalid id or url does not stop the run: it becomes the `flaw` of its video.

    Parameters
    ----------
    path : Path
        The CSV.
    wanted : callable
        Says for a `shard_key` whether its row is checked and returned. Rows that are not wanted
        count for the positions of the others.

    Raises
    ------
    UserError
        One line with the file, the line, the field, its value, and the expected value.
    """
    first_line: dict[str, int] = {}
    count: Counter[Group] = Counter()
    videos = []
    sheet = spreadsheets.read(path, KNOWN)
    columns = Columns.of(sheet)
    for line, cells in sheet.rows():
        try:
            row = columns.values(cells)
            if not wanted(_shard_key(row)):
                count[kind_of(row["kind"]), frozenset(row["categories"].split())] += 1
                continue
            video = _video(row, path, count)
            if (first := first_line.setdefault(video.video_id, line)) != line:
                raise UserError(_same_id(video, first))
        except UserError as error:
            raise UserError(f"{path}, line {line}: {error}") from error
        videos.append(video)
    if not count:
        raise UserError(f"{path}: no videos: expected at least one line after the header")
    return videos


def _shard_key(row: dict[str, str]) -> str:
    """`Video.shard_key` of a row that is not checked."""
    return windows.source_of(row["url"]) if row.get("start_s") else row["video_id"]


def _same_id(video: Video, first: int) -> str:
    remedy = ""
    if video.start_s is not None:
        name = windows.window_id(video.video_id, video.start_s)
        remedy = f"; name windows by their start in ms, such as {name[-SHOWN_CHARS:]}"
    shown = repr(video.video_id[:SHOWN_CHARS])
    return f"video_id {shown}: expected once, but line {first} has it too{remedy}"


def _video(row: dict[str, str], path: Path, count: Counter[Group]) -> Video:
    """One row, checked; `count` counts the videos above it with the same kind and categories."""
    categories, split = tuple(row["categories"].split()), row.get("split")
    if not row["video_id"]:
        raise UserError("video_id '': expected a name")
    check_categories(row["kind"], categories)
    if split and split not in tuple(Split):
        expected = f"{', '.join(Split)}, or nothing{did_you_mean(split, Split)}"
        raise UserError(f"split {split[:SHOWN_CHARS]!r}: expected {expected}")
    window = windows.parse(row.get("start_s", ""), row.get("end_s", ""))
    kind = Kind(kind_of(row["kind"]))
    group = (kind, frozenset(categories))
    video = Video(
        video_id=row["video_id"],
        url=row["url"],
        kind=kind,
        categories=categories,
        split=Split(split) if split else None,
        position=count[group],
        start_s=window and window.start_s,
        end_s=window and window.end_s,
    )
    count[group] += 1
    return replace(video, flaw=_flaw(video, path))


def _flaw(video: Video, path: Path) -> str:
    """Why a video can't be fetched; empty when it can."""
    try:
        check_id(video.video_id)
        if not video.url or re.search(r"[\x00-\x1f\x7f]", video.url):
            raise UserError(
                f"url {video.url[:SHOWN_CHARS]!r}: expected an http(s) address, a YouTube id, or a"
                " path"
            )
        address(video, path)
    except UserError as error:
        return str(error)
    return ""


def write(path: Path, rows: Iterable[ManifestRow], columns: Sequence[str] = COLUMNS) -> list[Video]:
    """Write a manifest and read it back; the file appears only when no row has a flaw."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return commit(path, text.getvalue().encode(errors="surrogatepass"))


def commit(path: Path, content: bytes, kept: Container[str] = ()) -> list[Video]:
    """Give a manifest a new content, if that can be read; a part of a content is never seen.

    Parameters
    ----------
    path : Path
        The manifest; where it is a link, the file that it leads to is replaced.
    content : bytes
        The whole file.
    kept : container of str
        Ids of videos that may have flaws: their rows were there before.

    Raises
    ------
    UserError
        When the content is no manifest, or the file can't be written. The old content remains.
    """
    file = path.resolve()
    part = file.with_name(file.name + ".part")
    try:
        part.write_bytes(content)
        videos = read(part)
        new = (video for video in videos if video.video_id not in kept)
        if flawed := next((video for video in new if video.flaw), None):
            raise UserError(f"{path}: {flawed.flaw}")
        if file.exists():
            shutil.copymode(file, part)
        part.replace(file)
    except UserError as error:
        raise UserError(str(error).replace(str(part), str(path))) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        part.unlink(missing_ok=True)
    return videos
