"""The list of videos: one CSV, checked whole before anything is done with it.

A manifest has the columns `video_id,url,kind,categories[,split]`. It is written by hand, or made:

python -m spm.corpus.manifest --music MUSIC_dataset --out workflow/manifests    from the published lists
python -m spm.corpus.manifest --folder videos                                   from videos/<category>/<name>.mp4
"""

import argparse
import csv
import json
import os
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field

from spm.base.config import Section, UserError
from spm.corpus.ids import SHOWN, check_id, sanitize_id, unique_ids

COLUMNS = ("video_id", "url", "kind", "categories")
KINDS = {"solo": 1, "duet": 2}  # categories of each
SPLITS = ("train", "val", "test")
EXTENSIONS = (
    ".avi",
    ".flv",
    ".m2ts",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".mts",
    ".ogv",
    ".webm",
    ".wmv",
)
WATCH = "https://www.youtube.com/watch?v="


class Corpus(Section):
    """Which videos there are, where their media is kept, and what their maps are scored against."""

    manifest: str  # CSV of the videos
    shards: int = Field(ge=1, le=10_000)  # jobs a stage; another number cuts everything anew
    store: str = "store"  # folder of the downloaded media; never deleted by the workflow
    boxes: tuple[
        Literal["given", "detector"], ...
    ] = ()  # truths to score against; none: train only
    reviews: str | None = (
        None  # CSV of decisions about boxes, relative to the manifest; null: reviews.csv beside it
    )
    given_boxes: str | None = None  # CSV of boxes, relative to the manifest


@dataclass(frozen=True)
class Video:
    """One row of a manifest."""

    video_id: str
    url: str  # as it is written; `address` says where that is
    kind: str  # solo, duet
    categories: tuple[str, ...]  # in the order of the manifest
    split: str | None  # train, val, test; None: by position
    position: int  # 0-based among the videos of this kind and these categories, available or not
    flaw: str = (
        ""  # why it can't be asked for: an id that is no name, an address that leads nowhere
    )


def address(video: Video, manifest: Path) -> str:
    """Where a video is: an http(s) address, or the absolute path of a file.

    Parameters
    ----------
    video : Video
        Its url is an http(s) or file address, a bare YouTube id of 11 characters, or a path.
    manifest : Path
        The CSV that names it; a relative path starts at its folder.

    Raises
    ------
    UserError
        When the address has another scheme, or no host.
    """
    url = video.url
    if re.fullmatch(r"[\w-]{11}", url, re.ASCII):  # a file of such a name is written ./name
        return WATCH + url
    if re.match(r"(www\.|m\.)?(youtube\.com|youtu\.be)/", url):
        return f"https://{url}"
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]+(?=:)", url)
    if not scheme:
        return os.path.realpath(manifest.parent / url)
    with suppress(ValueError):  # of brackets that hold no address
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.netloc:
            return url
        if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
            return unquote(parts.path)
    expected = (
        "http://, https:// or file:///, a YouTube id, or a path (./ before one that holds a colon)"
    )
    raise UserError(f"url {url[:SHOWN]!r}: expected {expected}")


def is_remote(place: str) -> bool:
    """Whether what `address` answered has to be downloaded."""
    return place.startswith(("http://", "https://"))


def read(path: Path, wanted: Callable[[str], bool] = lambda video_id: True) -> list[Video]:
    """Read a manifest; every row is checked before the first is returned, or those whose ids are wanted.

    A list may come from strangers: an id or an address that can't be used is its video's `flaw`, and stops nobody.

    Raises
    ------
    UserError
        One line naming the file, the line, the field, its value, and what was expected.
    """
    seen: dict[str, int] = {}
    before: Counter[tuple[str, frozenset[str]]] = Counter()
    videos = []
    for line, header, cells in _lines(path):
        try:
            row = _fields(header, cells)
            if not wanted(row["video_id"]):
                before[row["kind"], frozenset(row["categories"].split())] += 1
                continue
            video = _video(row, path, before)
            if (first := seen.setdefault(video.video_id, line)) != line:
                raise UserError(
                    f"video_id {video.video_id!r}: expected once, but line {first} has it too"
                )
        except UserError as error:
            raise UserError(f"{path}, line {line}: {error}") from error
        videos.append(video)
    if not before:
        raise UserError(f"{path}: no videos: expected at least one line after the header")
    return videos


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: byte {error.object[error.start]:#04x}: expected UTF-8"
        ) from error
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}): expected the CSV of the videos"
        ) from error


def _lines(path: Path) -> Iterator[tuple[int, list[str], list[str]]]:
    """Number, header and cells of every line that is not blank."""
    lines = csv.reader(StringIO(_text(path), newline=""), strict=True)
    try:
        header = _header(next(lines, []), path)
        yield from ((lines.line_num, header, cells) for cells in lines if cells)
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: not CSV ({error})") from error


def _header(cells: Sequence[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    expected = f"expected {','.join(COLUMNS)}[,split]"
    if not names:
        raise UserError(f"{path}: empty: {expected}")
    if missing := [name for name in COLUMNS if name not in names]:
        raise UserError(
            f"{path}, line 1: column {missing[0]!r} is missing from {','.join(names)!r}: {expected}"
        )
    if unknown := [name for name in names if name not in (*COLUMNS, "split")]:
        raise UserError(f"{path}, line 1: column {unknown[0]!r} is unknown: {expected}")
    if len(set(names)) < len(names):
        raise UserError(f"{path}, line 1: a column stands twice in {','.join(names)!r}: {expected}")
    return names


def _fields(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise UserError(
            f"{len(cells)} fields {','.join(cells)!r}: expected {len(header)} ({','.join(header)})"
        )
    return dict(zip(header, (cell.strip(" \t") for cell in cells), strict=True))


def _video(row: dict[str, str], path: Path, before: Counter[tuple[str, frozenset[str]]]) -> Video:
    """One row, checked; `before` counts the videos above it of the same kind and categories."""
    kind, categories, split = row["kind"], tuple(row["categories"].split()), row.get("split")
    if not row["video_id"]:
        raise UserError("video_id '': expected a name")
    _check_categories(kind, categories)
    if split and split not in SPLITS:
        raise UserError(f"split {split!r}: expected {', '.join(SPLITS)}, or nothing")
    video = Video(
        row["video_id"],
        row["url"],
        kind,
        categories,
        split or None,
        before[kind, frozenset(categories)],
    )
    before[kind, frozenset(categories)] += 1
    return replace(video, flaw=flaw) if (flaw := _flaw(video, path)) else video


def _flaw(video: Video, path: Path) -> str:
    try:
        check_id(video.video_id)
        _check_url(video, path)
    except UserError as error:
        return str(error)
    return ""


def _check_url(video: Video, path: Path) -> None:
    if not video.url or re.search(r"[\x00-\x1f\x7f]", video.url):
        raise UserError(
            f"url {video.url[:SHOWN]!r}: expected an http(s) address, a YouTube id, or a path"
        )
    address(video, path)


def _check_categories(kind: str, categories: Sequence[str]) -> None:
    if kind not in KINDS:
        raise UserError(f"kind {kind!r}: expected {' or '.join(KINDS)}")
    if len(set(categories)) != len(categories) or len(categories) != KINDS[kind]:
        count = {1: "one category", 2: "two different categories, separated by a space"}[
            KINDS[kind]
        ]
        raise UserError(f"categories {' '.join(categories)!r}: expected {count} for a {kind}")
    if odd := [name for name in categories if not re.fullmatch(r"\w[\w.-]*", name)]:
        raise UserError(
            f"categories {odd[0]!r}: expected a letter or digit, then letters, digits and - _ ."
        )


Row = tuple[str, str, str, str]  # the columns of a manifest


def write(path: Path, rows: Iterable[Row]) -> list[Video]:
    """Write a manifest and read it back; it takes its name only when it is a legal one, without a flaw."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
        videos = read(part)
        if flawed := next((video for video in videos if video.flaw), None):
            raise UserError(f"{path}: {flawed.flaw}")
        part.replace(path)
    except UserError as error:
        raise UserError(str(error).replace(str(part), str(path))) from error
    except UnicodeEncodeError as error:
        raise UserError(
            f"{path}: file name {error.object!r}: expected one in UTF-8; rename it"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        part.unlink(missing_ok=True)
    return videos


def published(path: Path, kind: str) -> list[Row]:
    """Rows of one of MUSIC's lists, `{"videos": {"violin": [id, …], "flute violin": […]}}`, in its order."""
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))["videos"]
        return [(i, WATCH + i, kind, categories) for categories, ids in lists.items() for i in ids]
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}): expected a list of MUSIC_dataset"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'{path}: not a list of MUSIC: expected {{"videos": {{category: [id, …]}}}}'
        ) from error


def music(source: Path, out: Path) -> None:
    """Write music.csv (MUSIC's solos, then its duets) and music21.csv (MUSIC-21's solos) from the published lists."""
    solos = published(source / "MUSIC_solo_videos.json", "solo")
    duets = published(source / "MUSIC_duet_videos.json", "duet")
    more = published(source / "MUSIC21_solo_videos.json", "solo")
    out.mkdir(parents=True, exist_ok=True)
    for path, rows in ((out / "music.csv", solos + duets), (out / "music21.csv", more)):
        print(f"{path}: {len(write(path, rows))} videos")


def _row(video_id: str, path: Path) -> Row:
    """The row of <category>/<name>.mp4; two categories joined by + are a duet. What was renamed is said."""
    heard = " ".join(sanitize_id(name).lstrip("-+") for name in path.parent.name.split("+"))
    if video_id != path.stem:
        print(f"{path}: its id is {video_id}")
    if heard != path.parent.name.replace("+", " "):
        print(f"{path}: its categories are {heard}")
    return video_id, path.as_posix(), "duet" if " " in heard else "solo", heard


def folder(root: Path) -> None:
    """Write root/manifest.csv from root/<category>/<name>.mp4, or another video file, in the order of the names."""
    inside = sorted(
        path.relative_to(root) for path in root.rglob("[!.]*") if path.suffix.lower() in EXTENSIONS
    )
    files = [path for path in inside if len(path.parts) == 2]
    if not files:
        raise UserError(
            f"{root}: expected videos in folders named by what is heard, as {root / 'violin' / 'a.mp4'}"
        )
    for path in sorted(set(inside) - set(files)):
        print(f"{path}: left out: it is not in the folder of a category")
    out = root / "manifest.csv"
    rows = [_row(video_id, path) for video_id, path in zip(unique_ids(files), files, strict=True)]
    if out.exists():
        shutil.copyfile(out, root / "manifest.csv.old")  # it may have been mended by hand
    print(f"{out}: {len(write(out, rows))} videos. Next:\n\n    {command(out)}\n")


def command(manifest: Path) -> str:
    """How the workflow is run on a manifest of one's own; without boxes beside it, there is nothing to score."""
    boxes: dict[str, list[str]] = {} if manifest.with_name("boxes.csv").is_file() else {"boxes": []}
    config = "corpus=" + json.dumps({"manifest": str(manifest), **boxes}, ensure_ascii=False)
    local = "workflow/configs/local.yaml"
    return f"snakemake all --cores 2 --configfile {local} --config {shlex.quote(config)}"


def main() -> None:
    """Make manifests from what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--music", type=Path, metavar="DIR", help="a checkout of roudimit/MUSIC_dataset"
    )
    source.add_argument(
        "--folder", type=Path, metavar="DIR", help="videos of one's own: DIR/<category>/<name>.mp4"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("workflow/manifests"), help="for --music"
    )
    given = parser.parse_args()
    try:
        if given.music:
            music(given.music, given.out)
        else:
            folder(given.folder)
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")


if __name__ == "__main__":
    main()
