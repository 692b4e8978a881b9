"""`spm review`."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """\
  spm review videos/reviews.csv
  spm review videos/reviews.csv --results demo/results --boxes given --sample 200
"""


def review(
    reviews: Annotated[
        Path,
        typer.Argument(
            help="CSV file that decisions are appended to; the workflow reads reviews.csv in the"
            " folder of the manifest."
        ),
    ],
    results: Annotated[Path, typer.Option(help="Folder of the workflow's results.")] = Path(
        "results"
    ),
    boxes: Annotated[
        str, typer.Option(help="Source of the boxes: detector or given.")
    ] = "detector",
    reviewer: Annotated[
        str | None, typer.Option(help="Name of the reviewer; default: the user's login.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, help="Port of the page; 0: any free port.")] = 0,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of boxes to review, the same for every reviewer; default: all."
        ),
    ] = None,
    browse: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Accept, reject or correct boxes, by key.

    The page that opens is accessible from this machine only.
    """
    from spm.boxes.review.server import serve

    serve(
        annotations=results / f"boxes/annotations/{boxes}.parquet",
        index=results / "corpus/index/clips.parquet",
        clips=results / "corpus/clips",
        reviews=reviews,
        reviewer=reviewer or getpass.getuser(),
        port=port,
        sample=sample,
        browse=browse,
    )
