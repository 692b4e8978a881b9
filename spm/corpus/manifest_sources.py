"""Manifests made from the published lists of MUSIC, or from a folder of videos."""

import json
import shlex
import shutil
from pathlib import Path

from spm.base.errors import UserError
from spm.base.statuses import Kind
from spm.corpus.ids import sanitize_id, unique_ids
from spm.corpus.manifest import YOUTUBE, ManifestRow, write

EXTENSIONS = (
    ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv",
    ".webm", ".wmv",
)  # fmt: skip


def music_rows(path: Path, kind: Kind) -> list[ManifestRow]:
    """Rows of one of MUSIC's published lists, in its order.

    A list is `{"videos": {"violin": [id, …], "flute violin": […]}}`.
    """
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))["videos"]
        rows = []
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


def write_music(source: Path, out: Path) -> None:
    """Write music.csv and music21.csv from the published lists.

    music.csv has the solos of MUSIC, then its duets; music21.csv has the solos of MUSIC-21.
    """
    solos = music_rows(source / "MUSIC_solo_videos.json", Kind.SOLO)
    duets = music_rows(source / "MUSIC_duet_videos.json", Kind.DUET)
    more_solos = music_rows(source / "MUSIC21_solo_videos.json", Kind.SOLO)
    out.mkdir(parents=True, exist_ok=True)
    for path, rows in ((out / "music.csv", solos + duets), (out / "music21.csv", more_solos)):
        print(f"{path}: {len(write(path, rows))} videos")


def _file_row(video_id: str, path: Path) -> ManifestRow:
    """The row of the file <category>/<name>.mp4; prints what had to be renamed.

    Two categories joined by + make a duet.
    """
    folder = path.parent.name
    categories = " ".join(sanitize_id(name).lstrip("-+") for name in folder.split("+"))
    if video_id != path.stem:
        print(f"{path}: its id is {video_id}")
    if categories != folder.replace("+", " "):
        print(f"{path}: its categories are {categories}")
    return video_id, path.as_posix(), Kind.DUET if " " in categories else Kind.SOLO, categories


def write_folder(root: Path) -> None:
    """Write root/manifest.csv of the video files root/<category>/<name>, sorted by path."""
    videos = sorted(
        path.relative_to(root) for path in root.rglob("[!.]*") if path.suffix.lower() in EXTENSIONS
    )
    files = [path for path in videos if len(path.parts) == 2]
    if not files:
        raise UserError(
            f"{root}: expected videos in folders named by the sounding instrument, such as"
            f" {root / 'violin' / 'a.mp4'}"
        )
    for path in sorted(set(videos) - set(files)):
        print(f"{path}: ignored, because it is not in the folder of a category")
    out = root / "manifest.csv"
    rows = [
        _file_row(video_id, path) for video_id, path in zip(unique_ids(files), files, strict=True)
    ]
    if out.exists():
        shutil.copyfile(out, root / "manifest.csv.old")  # keeps corrections made by hand
    print(f"{out}: {len(write(out, rows))} videos. Next:\n\n    {workflow_command(out)}\n")


def workflow_command(manifest: Path) -> str:
    """The command that runs the workflow on a manifest; without boxes.csv there are no scores."""
    corpus: dict[str, object] = {"manifest": str(manifest)}
    if not manifest.with_name("boxes.csv").is_file():
        corpus["boxes"] = []
    config = "corpus=" + json.dumps(corpus, ensure_ascii=False)
    local = "workflow/configs/local.yaml"
    return f"snakemake all --cores 2 --configfile {local} --config {shlex.quote(config)}"
