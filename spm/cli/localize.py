"""`spm localize`."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spm.cli.options import Json, Quiet, say

if TYPE_CHECKING:
    from tqdm import tqdm

    from spm.inference.localize import Localizer

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s of video [{elapsed}<{remaining}]"
EXAMPLES = """\
  spm localize concert.mp4
  spm localize videos/*.mp4 --weights results/fusion/train/spm
  spm localize concert.mp4 --weights someone/localizer
  spm localize https://example.org/concert.mp4 --max-s 30 --json
"""


def localize(
    videos: Annotated[list[str], typer.Argument(help="Video files, or addresses.")],
    weights: Annotated[
        str | None,
        typer.Option(
            help="network.safetensors of a run, or OWNER/NAME of a hub; else the newest here."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of what is made.")] = Path("localized"),
    max_s: Annotated[
        int | None, typer.Option(min=1, help="Only the first seconds of each video.")
    ] = None,
    maps_per_s: Annotated[
        int, typer.Option(min=1, max=60, help="Maps of each second, blended between.")
    ] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show where in a video is what is heard.

    Leaves an overlay video, a sheet of pictures, and maps as Parquet and JSON, named as the video.
    """
    from spm.inference.localize import Localizer, weights_of

    model = Localizer(weights_of(weights), device, maps_per_s)
    out.mkdir(parents=True, exist_ok=True)
    found = list(_each(model, videos, out, max_s, quiet=quiet))
    faults = [each["reason"] for each in found if each["reason"]]
    for fault in faults:
        typer.echo(f"spm: error: {fault}", err=True)
    made = len(found) - len(faults)
    told = (
        f"{made} of {len(found)} videos in {out}: .mp4 to play, .png to look at, .parquet and .json"
    )
    say([told], found, as_json=as_json, quiet=quiet)
    if faults:
        raise typer.Exit(1)


def _each(
    model: "Localizer", videos: list[str], out: Path, max_s: int | None, *, quiet: bool
) -> Iterator[dict[str, Any]]:
    """What was made of each video; a bar counts seconds of video, half when they have maps and half when filmed."""
    from spm.base.progress import progress
    from spm.inference.localize import seconds_of

    places = _copies(videos, out)
    files = [place for place in places.values() if isinstance(place, Path)]
    names = dict(zip(files, distinct(files), strict=True))
    total_s = sum(min(seconds_of(file), max_s or math.inf) for file in files)
    bar: tqdm[Any] = progress([], "localize", math.ceil(total_s), form=BAR, quiet=quiet)
    with bar:
        for video, place in places.items():
            if isinstance(place, Path):
                yield _made(
                    model,
                    video,
                    place,
                    out / names[place],
                    max_s,
                    lambda seconds: bar.update(seconds / 2),
                )
            else:
                yield {"video": video, "reason": place, "files": {}, "seconds": []}


def _copies(videos: list[str], out: Path) -> dict[str, Path | str]:
    """Each video as a file here, or why it can't be had."""
    from spm.base.config import UserError
    from spm.inference.localize import local_copy

    places: dict[str, Path | str] = {}
    for video in videos:
        try:
            places[video] = local_copy(video, out)
        except UserError as error:  # the others are not held up
            places[video] = str(error)
    return places


def distinct(files: Sequence[Path]) -> list[str]:
    """A name for what is made of each file: its own, with its folder's and a number before it where two share it.

    >>> distinct([Path("a/x.mp4"), Path("b/x.mp4"), Path("y.mkv")])
    ['a-x', 'b-x', 'y']
    """
    often = Counter(file.stem for file in files)
    longer = [
        file.stem if often[file.stem] == 1 else f"{file.absolute().parent.name}-{file.stem}"
        for file in files
    ]
    return [name if longer.count(name) == 1 else f"{n}-{name}" for n, name in enumerate(longer)]


def _made(
    model: "Localizer",
    video: str,
    path: Path,
    stem: Path,
    max_s: int | None,
    tick: Callable[[float], object],
) -> dict[str, Any]:
    """All there is to make of one video; where nothing can be, the reason, and the others are not held up."""
    from spm.base.config import UserError
    from spm.inference import overlay

    files = {
        kind: stem.with_name(f"{stem.name}.{kind}") for kind in ("mp4", "png", "parquet", "json")
    }
    try:
        if files["mp4"].absolute() == path.absolute():
            raise UserError(
                f"{path}: the video made of it would take its place: name another folder with --out"
            )
        seen = model.locate(path, max_s, tick)
        seen.write(files["parquet"])
        overlay.sheet(seen, files["png"])
        overlay.film(seen, files["mp4"], max_s, tick)
    except UserError as error:
        return {"video": video, "reason": str(error), "files": {}, "seconds": []}
    named = {kind: str(file) for kind, file in files.items()}
    return {
        "video": video,
        "reason": "",
        "files": named,
        "seconds": seen.seconds().to_dict("records"),
    }
