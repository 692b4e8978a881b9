"""`spm review`."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from spm.base.statuses import Split
from spm.base.words import one_of
from spm.cli.options import check_results

FRAMES_PER_VIDEO = 3
BOX_SOURCES = ("detector", "given")
EXAMPLES = """\
  spm review --draw
  spm review --draw videos/boxes.csv --frames-per-video 5 --results demo/results
  spm review videos/reviews.csv
  spm review videos/reviews.csv --results demo/results --boxes given --sample 200
"""

File = Annotated[
    Path | None,
    typer.Argument(
        show_default=False,
        help="CSV file to write. Default: reviews.csv, or boxes.csv with --draw, beside"
        " videos/manifest.csv or manifest.csv, where the workflow reads it.",
    ),
]
Draw = Annotated[
    bool,
    typer.Option("--draw", help="Draw boxes on frames of test videos; only clips are needed."),
]
FramesPerVideo = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1000,
        show_default=str(FRAMES_PER_VIDEO),
        help="With --draw: number of frames of each video, spread over its audible time. Frames"
        " that have boxes are shown too.",
    ),
]
Videos = Annotated[
    Split | None,
    typer.Option(show_default="test", help="With --draw: split of the videos."),
]
Boxes = Annotated[
    str | None,
    typer.Option(show_default="detector", help="Source of the boxes: detector or given."),
]
Reviewer = Annotated[
    str | None, typer.Option(help="Name of the reviewer; default: the user's login.")
]
Sample = Annotated[
    int | None,
    typer.Option(
        min=1, help="Number of boxes to review, the same for every reviewer; default: all."
    ),
]
Results = Annotated[Path, typer.Option(help="Folder of the workflow's results.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any free port.")]
Browse = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")]


def review(
    file: File = None,
    draw: Draw = False,
    results: Results = Path("results"),
    frames_per_video: FramesPerVideo = None,
    split: Videos = None,
    boxes: Boxes = None,
    reviewer: Reviewer = None,
    port: Port = 0,
    sample: Sample = None,
    browse: Browse = True,
) -> None:
    """Draw boxes; or accept, reject and correct boxes, by mouse, touch or keys.

    The page that opens is accessible from this machine only. Each answer is on the disk at once.
    """
    if draw:
        _reject({"--boxes": boxes, "--reviewer": reviewer, "--sample": sample}, "without --draw")
    else:
        _reject({"--frames-per-video": frames_per_video, "--split": split}, "with --draw")
    check_results(results)
    if boxes and boxes not in BOX_SOURCES:
        raise typer.BadParameter(f"{boxes!r}: {one_of(boxes, BOX_SOURCES)}", param_hint="--boxes")
    path = file or beside_manifest(results, "boxes.csv" if draw else "reviews.csv")
    if draw:
        from spm.boxes.review import draw_server

        count = frames_per_video or FRAMES_PER_VIDEO
        draw_server.serve(path, results, count, split or Split.TEST, port=port, browse=browse)
        return
    from spm.boxes.review import server

    server.serve(
        annotations=results / f"boxes/annotations/{boxes or 'detector'}.parquet",
        index=results / "corpus/index/clips.parquet",
        clips=results / "corpus/clips",
        reviews=path,
        reviewer=reviewer or getpass.getuser(),
        port=port,
        sample=sample,
        browse=browse,
    )


def beside_manifest(results: Path, name: str) -> Path:
    """A file beside the manifest of the project that the folder of results is in."""
    manifests = [results.parent / place for place in ("videos/manifest.csv", "manifest.csv")]
    for manifest in manifests:
        if manifest.is_file():
            return manifest.with_name(name)
    raise typer.BadParameter(
        f"there is no {' and no '.join(map(str, manifests))}: name the CSV file to write",
        param_hint="FILE",
    )


def _reject(options: dict[str, object], used: str) -> None:
    """Refuse options of the other page, which would have no effect."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise typer.BadParameter(f"it has an effect only {used}", param_hint=given[0])
