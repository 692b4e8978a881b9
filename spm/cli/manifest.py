"""`spm manifest`."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spm.base.words import count, shown
from spm.cli.options import Json, Quiet, print_result

if TYPE_CHECKING:
    from spm.corpus.manifest import Video
    from spm.corpus.manifest_sources import Listing

EXAMPLES = """\
  spm manifest videos                            lists the videos in videos/manifest.csv
  spm manifest videos/manifest.csv               checks it, and boxes.csv beside it
  spm manifest MUSIC_dataset --out manifests     writes music.csv and music21.csv
  spm manifest vggsound.csv --out manifests      lists the windows of VGGSound
"""
SHOWN_NAMES = 5  # of files in one line


def manifest(
    source: Annotated[
        Path,
        typer.Argument(
            help="A manifest, a folder of videos, a clone of MUSIC_dataset, or a published list of"
            " VGGSound, AudioSet, AVE, VGG-SS or Flickr-SoundNet."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the manifests that are made from published lists.")
    ] = Path("workflow/manifests"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a manifest, write one, or add new videos to it.

    A manifest is made from a folder of videos, whose subfolders have the names of the categories,
    or from published lists of videos or of their windows. A manifest that exists keeps its rows
    and columns.
    """
    from spm.base.errors import UserError
    from spm.corpus.manifest import read

    if not source.exists():
        expected = (
            "expected a manifest (CSV), a folder of videos, or a clone of roudimit/MUSIC_dataset"
        )
        raise UserError(f"{source}: no such file or folder: {expected}")
    listings = _write(source, out)
    files = [listing.path for listing in listings] or [source]
    summaries = [summary(file, read(file)) for file in files]
    text: list[str] = []
    for listing, found in zip(listings, summaries, strict=False):
        found |= {"added": listing.added, "skipped": listing.skipped}
        text += changes(listing)
    for found in summaries:
        text += lines(found)
    if len(listings) == 1:
        text += next_steps(listings[0].path)
    print_result(text, summaries, as_json=as_json, quiet=quiet)
    for found in summaries:
        for warning in warnings(found):
            typer.echo(f"spm: warning: {warning}", err=True)


def _write(source: Path, out: Path) -> "list[Listing]":
    """Write the manifests of a folder or of a list, or add to them; none for a manifest."""
    from spm.corpus.manifest_sources import write_folder, write_list, write_music

    if not source.is_dir():
        listing = write_list(source, out) if source.is_file() else None
        return [listing] if listing else []
    if (source / "MUSIC_solo_videos.json").is_file():
        return write_music(source, out)
    return [write_folder(source)]


def changes(listing: "Listing") -> Iterator[str]:
    """How a manifest was changed, and which files are not listed, as lines of text."""
    new = f"{count(len(listing.added), 'video')} added" if listing.added else "not changed"
    yield f"{listing.path}: {new}, {listing.listed_before} listed before"
    yield from (f"  {line}" for line in listing.renamed)
    for reason, names in listing.skipped.items():
        yield f"  {count(len(names), 'file')} not listed, {reason}: {shown(names, SHOWN_NAMES)}"


def next_steps(path: Path) -> Iterator[str]:
    """The commands that run the workflow on the manifest of a folder, and draw boxes before."""
    from spm.corpus.manifest_sources import workflow_command

    if not path.with_name("boxes.csv").exists():
        clips = workflow_command(path, "results/corpus/index/clips.parquet")
        yield f"For scores, draw boxes first:\n\n    {clips}\n    spm review --draw\n"
    yield f"Next:\n\n    {workflow_command(path)}\n"


def summary(path: Path, videos: Sequence["Video"]) -> dict[str, Any]:
    """The content of a manifest, its missing files, and the boxes in boxes.csv beside it."""
    from spm.corpus.manifest import address, is_remote

    places = [address(video, path) for video in videos if not video.flaw]
    files = [place for place in places if not is_remote(place)]
    categories: Counter[str] = Counter()
    for video in videos:
        categories.update(video.categories)
    return {
        "manifest": str(path),
        "videos": len(videos),
        "kinds": dict(Counter(video.kind for video in videos)),
        "categories": dict(sorted(categories.items())),
        "flaws": [video.flaw for video in videos if video.flaw],
        "windows": sum(video.window is not None for video in videos),
        "unknown": sum(not video.categories for video in videos),
        "files": len(files),
        "missing": [place for place in files if not Path(place).is_file()],
        "empty": [place for place in files if Path(place).is_file() and not os.stat(place).st_size],
        "boxes": _count_boxes(path.with_name("boxes.csv"), {video.video_id for video in videos}),
    }


def _count_boxes(path: Path, video_ids: set[str]) -> dict[str, Any]:
    """Count the boxes in a file and their videos, and list the videos not in the manifest."""
    from spm.boxes.formats import csv

    boxes = csv.read(path) if path.is_file() else []
    boxed = Counter(box["video_id"] for box in boxes)
    unlisted = sorted(boxed.keys() - video_ids)
    return {"boxes": boxed.total(), "videos": len(boxed), "unlisted": unlisted}


def lines(found: dict[str, Any]) -> Iterator[str]:
    """A summary as lines of text."""
    kinds = " and ".join(count(number, kind) for kind, number in found["kinds"].items())
    categories = ", ".join(f"{name} {number}" for name, number in found["categories"].items())
    addresses = found["videos"] - found["files"] - len(found["flaws"])
    boxes = found["boxes"]
    yield f"{found['manifest']}: {count(found['videos'], 'video')}, {kinds}"
    yield f"  categories: {categories or 'none'}"
    if unknown := found["unknown"]:
        yield f"  {count(unknown, 'video')} without categories: not for class-aware scores"
    if windows := found["windows"]:
        yield f"  {count(windows, 'row')} with a window (start_s, end_s)"
    yield f"  {count(found['files'], 'file')}, {addresses} addresses to fetch"
    if boxes["boxes"]:
        yield f"  boxes.csv: {boxes['boxes']} boxes of {count(boxes['videos'], 'video')}"


def warnings(found: dict[str, Any]) -> Iterator[str]:
    """Problems of a manifest with which the workflow still runs."""
    flaws, missing, unlisted = found["flaws"], found["missing"], found["boxes"]["unlisted"]
    if flaws:
        yield f"{count(len(flaws), 'video')} will get the status `bad`, for example: {flaws[0]}"
    if missing:
        files = count(len(missing), "file")
        names = shown(missing, SHOWN_NAMES)
        yield f"{files} not found, whose videos will get the status `gone`: {names}"
    if empty := found["empty"]:
        yield (
            f"{count(len(empty), 'file')} without content, whose videos will get the status"
            f" `bad`: {shown(empty, SHOWN_NAMES)}"
        )
    if unlisted:
        yield (
            "boxes.csv has boxes of videos that are not in the manifest, for example"
            f" {unlisted[0]}: correct the video_id"
        )
