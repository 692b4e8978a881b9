"""`spm manifest`."""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spm.cli.options import Json, Quiet, say

if TYPE_CHECKING:
    from spm.corpus.manifest import Video

EXAMPLES = """\
  spm manifest videos                              makes videos/manifest.csv of videos/<category>/<name>.mp4
  spm manifest videos/manifest.csv                 checks it, and boxes.csv beside it
  spm manifest MUSIC_dataset --out manifests       makes music.csv and music21.csv of the published lists
"""


def manifest(
    source: Annotated[
        Path, typer.Argument(help="A manifest, a folder of videos, or a clone of MUSIC_dataset.")
    ],
    out: Annotated[Path, typer.Option(help="Where music.csv and music21.csv go.")] = Path(
        "workflow/manifests"
    ),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a manifest, or make one.

    Made of folders of videos that are named by what is heard, or of MUSIC's published lists.
    """
    from spm.base.config import UserError
    from spm.corpus import manifest as manifests

    if not source.exists():
        expected = (
            "expected a manifest (CSV), a folder of videos, or a clone of roudimit/MUSIC_dataset"
        )
        raise UserError(f"{source}: no such file or folder: {expected}")
    files = [source]
    with redirect_stdout(StringIO()) if as_json or quiet else nullcontext():
        if (source / "MUSIC_solo_videos.json").is_file():
            manifests.music(source, out)
            files = [out / "music.csv", out / "music21.csv"]
        elif source.is_dir():
            manifests.folder(source)
            files = [source / "manifest.csv"]
    found = [summary(file, manifests.read(file)) for file in files]
    say([line for each in found for line in lines(each)], found, as_json=as_json, quiet=quiet)
    for each in found:
        for warning in warnings(each):
            typer.echo(f"spm: warning: {warning}", err=True)


def summary(path: Path, videos: Sequence["Video"]) -> dict[str, Any]:
    """What a manifest lists, which of its files are not there, and the boxes beside it."""
    from spm.boxes import ground_truth
    from spm.corpus.manifest import address, is_remote

    places = {video.video_id: address(video, path) for video in videos if not video.flaw}
    files = {video_id: place for video_id, place in places.items() if not is_remote(place)}
    boxes = path.with_name("boxes.csv")
    boxed = (
        Counter(box["video_id"] for box in ground_truth.read(boxes))
        if boxes.is_file()
        else Counter[str]()
    )
    return {
        "manifest": str(path),
        "videos": len(videos),
        "kinds": dict(Counter(video.kind for video in videos)),
        "categories": dict(
            sorted(Counter(name for video in videos for name in video.categories).items())
        ),
        "flaws": [video.flaw for video in videos if video.flaw],
        "files": len(files),
        "missing": [place for place in files.values() if not Path(place).is_file()],
        "boxes": {
            "boxes": boxed.total(),
            "videos": len(boxed),
            "unlisted": sorted(boxed.keys() - {video.video_id for video in videos}),
        },
    }


def lines(found: dict[str, Any]) -> list[str]:
    """The same to read."""
    kinds = " and ".join(
        f"{count} {kind}{'s' * (count != 1)}" for kind, count in found["kinds"].items()
    )
    categories = ", ".join(f"{name} {count}" for name, count in found["categories"].items())
    boxes = found["boxes"]
    return [
        f"{found['manifest']}: {found['videos']} videos, {kinds}",
        f"  categories: {categories}",
        f"  {found['files']} files, {found['videos'] - found['files'] - len(found['flaws'])} addresses to fetch",
        *(
            [f"  boxes.csv: {boxes['boxes']} boxes of {boxes['videos']} videos"]
            if boxes["boxes"]
            else []
        ),
    ]


def warnings(found: dict[str, Any]) -> list[str]:
    """What the workflow would go on without."""
    flaws, missing, unlisted = found["flaws"], found["missing"], found["boxes"]["unlisted"]
    return [
        *([f"{len(flaws)} videos would be `bad`, as {flaws[0]}"] if flaws else []),
        *(
            [f"{len(missing)} files are not there, as {missing[0]}: they would be `gone`"]
            if missing
            else []
        ),
        *(
            [f"boxes.csv has boxes of videos that are not listed, as {unlisted[0]}: mend the id"]
            if unlisted
            else []
        ),
    ]
