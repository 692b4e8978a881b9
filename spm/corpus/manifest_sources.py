"""Manifests made from published lists, or from a folder of videos."""

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from spm.base import project_files, spreadsheets
from spm.base.errors import UserError
from spm.base.spreadsheets import BLANKS
from spm.base.statuses import Kind
from spm.corpus import published_lists
from spm.corpus.ids import sanitize_id, unique_ids
from spm.corpus.kinds import check_categories
from spm.corpus.manifest import (
    ManifestRow,
    Video,
    address,
    commit,
    read,
    write,
)
from spm.corpus.manifest_columns import COLUMNS, KNOWN, Columns
from spm.corpus.video_files import find_videos
from spm.corpus.windows import YOUTUBE


@dataclass(frozen=True)
class Listing:
    """How `spm manifest` changed one manifest."""

    path: Path
    added: list[str]  # ids
    listed_before: int
    renamed: list[str] = field(default_factory=list)  # lines on ids that are not the file's name
    skipped: dict[str, list[str]] = field(default_factory=dict)  # files not listed, by reason


def music_rows(path: Path, kind: Kind) -> list[ManifestRow]:
    """Rows of one of MUSIC's published lists, in its order.

    A list is `{"videos": {"violin": [id, …], "flute violin": […]}}`.
    """
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))["videos"]
        rows: list[ManifestRow] = []
        for categories, ids in lists.items():
            rows += [(video_id, YOUTUBE + video_id, str(kind), categories) for video_id in ids]
        return rows
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}): expected a list of MUSIC_dataset"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'{path}: not a list of MUSIC: expected {{"videos": {{category: [id, …]}}}}'
        ) from error


def write_music(source: Path, out: Path) -> list[Listing]:
    """Write music.csv and music21.csv from the published lists, or add the videos they lack.

    music.csv has the solos of MUSIC, then its duets; music21.csv has the solos of MUSIC-21.
    """
    solos = music_rows(source / "MUSIC_solo_videos.json", Kind.SOLO)
    duets = music_rows(source / "MUSIC_duet_videos.json", Kind.DUET)
    more_solos = music_rows(source / "MUSIC21_solo_videos.json", Kind.SOLO)
    out.mkdir(parents=True, exist_ok=True)
    listings = []
    for path, rows in ((out / "music.csv", solos + duets), (out / "music21.csv", more_solos)):
        before = _existing(path)
        ids = {video.video_id for video in before}
        new = [row for row in rows if row[0] not in ids]
        _add(path, before, new)
        listings.append(Listing(path, [row[0] for row in new], len(before)))
    return listings


def write_list(source: Path, out: Path) -> Listing | None:
    """Write out/<name of the list>.csv from a published list, or add the entries that it lacks.

    None when the file is no published list; see published_lists.py.
    """
    rows = published_lists.rows(source)
    if rows is None:
        return None
    path = out / f"{source.stem}.csv"
    if path.resolve() == source.resolve():
        path = out / f"{source.stem}_manifest.csv"
    out.mkdir(parents=True, exist_ok=True)
    before = _existing(path)
    ids = {video.video_id for video in before}
    new = [row for row in rows if row[0] not in ids]
    _add(path, before, new, published_lists.NAMES)
    return Listing(path, [row[0] for row in new], len(before))


def write_folder(root: Path) -> Listing:
    """Write root/manifest.csv of the video files root/<category>/<name>, sorted by path.

    To a manifest that exists, rows of new files are added at its end; its other bytes remain. Two
    categories joined by + make a duet, more of them an ensemble.

    Raises
    ------
    UserError
        When there is no video in the folder of a category, or the manifest has a fault.
    """
    path = root / "manifest.csv"
    before = _existing(path)
    files, skipped = find_videos(root, set(_locations(before, path)))
    if not files and not before:
        raise UserError(
            f"{root}: expected videos in folders named by the sounding instrument, such as"
            f" {root / 'violin' / 'a.mp4'}{_reasons(skipped)}"
        )
    ids = unique_ids(files, {video.video_id for video in before})
    rows = [_file_row(root, *pair) for pair in zip(ids, files, strict=True)]
    _add(path, before, rows)
    return Listing(path, ids, len(before), list(_renamed(rows, files)), skipped)


def _reasons(skipped: Mapping[str, Sequence[str]]) -> str:
    """Why there is nothing to list, as the end of a message: an example of each reason."""
    examples = [f"{names[0]} ({reason})" for reason, names in skipped.items()]
    return f"; not listed, for example: {', '.join(examples)}" if examples else ""


def _existing(path: Path) -> list[Video]:
    """The videos that a manifest lists; none where there is no file, or one with a header only."""
    if not path.is_file() or not path.stat().st_size:
        return []
    sheet = spreadsheets.read(path, KNOWN)
    Columns.of(sheet)
    return read(path) if next(sheet.rows(), None) else []


def _locations(videos: Iterable[Video], path: Path) -> Iterator[str]:
    """Real paths of the local videos, and addresses of the others."""
    for video in videos:
        with suppress(UserError):  # a wrong url, which is the flaw of its video
            yield os.path.realpath(address(video, path))


def _add(
    path: Path,
    before: Sequence[Video],
    rows: Sequence[ManifestRow],
    columns: Sequence[str] = COLUMNS,
) -> None:
    """Write rows at the end of a manifest, in the columns and in the form that it has."""
    if not rows:
        return
    if not path.is_file() or not path.stat().st_size:
        write(path, rows, columns)
        return
    sheet = spreadsheets.read(path, KNOWN)
    if missing := [name for name in columns if name not in sheet.header]:
        raise UserError(f"{path}: column {missing[0]!r} is missing: add it, or move the file away")
    places = [sheet.header.index(name) for name in columns]
    lines = [[""] * sheet.width for _ in rows]
    for line, row in zip(lines, rows, strict=True):
        for place, cell in zip(places, row, strict=True):
            line[place] = cell
    content = path.read_bytes() + sheet.format(lines)
    commit(path, content, kept={video.video_id for video in before})


def _file_row(root: Path, video_id: str, path: Path) -> ManifestRow:
    """The row of the file <category>/<name>.mp4."""
    categories = [sanitize_id(name).lstrip("-+") for name in path.parent.name.split("+")]
    kind = {1: Kind.SOLO, 2: Kind.DUET}.get(len(categories), Kind.ENSEMBLE)
    try:
        check_categories(kind, categories)
    except UserError as error:
        raise UserError(f"{root / path.parent}: {error}; rename the folder") from error
    url = path.as_posix()
    # The reader takes spaces at both ends of a cell away.
    url = url if url == url.strip(BLANKS) else f"./{url}"
    return video_id, url, kind, " ".join(categories)


def _renamed(rows: Iterable[ManifestRow], files: Iterable[Path]) -> Iterator[str]:
    """Lines on the files whose ids or categories are not their names."""
    for (video_id, _, _, categories), path in zip(rows, files, strict=True):
        if video_id != path.stem:
            yield f"{path}: its id is {video_id}"
        if categories != path.parent.name.replace("+", " "):
            yield f"{path}: its categories are {categories}"


def workflow_command(manifest: Path, target: str = "all") -> str:
    """The command that runs the workflow on a manifest, from the current folder."""
    config = "corpus=" + json.dumps({"manifest": str(manifest)}, ensure_ascii=False)
    local = Path("workflow/configs/local.yaml")
    command = f"snakemake {target} --cores 2"
    if project_files.own_config(Path()):
        return f"{command} --config {shlex.quote(config)}"
    if not local.is_file():
        local = project_files.FOLDER / local
        command += f" --snakefile {shlex.quote(str(project_files.SNAKEFILE))}"
    return f"{command} --configfile {shlex.quote(str(local))} --config {shlex.quote(config)}"
