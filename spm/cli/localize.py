"""`spm localize`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spm.cli.options import Json, Quiet, say

if TYPE_CHECKING:
    from spm.localize import Localiser

EXAMPLES = """\
  spm localize concert.mp4
  spm localize videos/*.mp4 --weights results/fusion/train/spm/network.safetensors
  spm localize https://example.org/concert.mp4 --max-s 30 --json
"""


def localize(
    videos: Annotated[list[str], typer.Argument(help="Video files, or addresses.")],
    weights: Annotated[Path | None, typer.Option(help="network.safetensors of a run; else the newest here.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of what is made.")] = Path("localized"),
    max_s: Annotated[int | None, typer.Option(min=1, help="Only the first seconds of each video.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show where in a video is what is heard.

    Leaves an overlay video, a sheet of pictures, and maps as Parquet and JSON, named as the video.
    """
    from spm.base.progress import progress
    from spm.localize import Localiser, found_weights

    model = Localiser(weights or found_weights(Path()), device)
    out.mkdir(parents=True, exist_ok=True)
    found = [_made(model, video, out, max_s) for video in (videos if quiet else progress(videos, "videos"))]
    faults = [each["reason"] for each in found if each["reason"]]
    for fault in faults:
        typer.echo(f"spm: error: {fault}", err=True)
    made = len(videos) - len(faults)
    told = f"{made} of {len(videos)} videos in {out}: .mp4 to play, .png to look at, .parquet and .json"
    say([told], found, as_json=as_json, quiet=quiet)
    if faults:
        raise typer.Exit(1)


def _made(model: "Localiser", video: str, out: Path, max_s: int | None) -> dict[str, Any]:
    """All there is to make of one video; where nothing can be, the reason, and the others are not held up."""
    from spm import overlay
    from spm.base.config import UserError
    from spm.localize import local_copy

    try:
        path = local_copy(video, out)
        files = {kind: out / f"{path.stem}.{kind}" for kind in ("mp4", "png", "parquet", "json")}
        seen = model.locate(path, max_s)
        seen.write(files["parquet"])
        overlay.sheet(seen, files["png"])
        overlay.film(seen, files["mp4"], max_s)
    except UserError as error:
        return {"video": video, "reason": str(error), "files": {}, "seconds": []}
    named = {kind: str(file) for kind, file in files.items()}
    return {"video": video, "reason": "", "files": named, "seconds": seen.seconds().to_dict("records")}
