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
        Path, typer.Argument(help="CSV that decisions are appended to: beside the manifest.")
    ],
    results: Annotated[Path, typer.Option(help="Folder of the workflow's results.")] = Path(
        "results"
    ),
    boxes: Annotated[str, typer.Option(help="Whose boxes: detector or given.")] = "detector",
    reviewer: Annotated[
        str | None, typer.Option(help="Who decides; else whoever is logged in.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, help="0: any free one.")] = 0,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only so many boxes, the same for everybody.")
    ] = None,
    browse: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Accept, reject or mend boxes by key.

    On a page that only this machine can open.
    """
    from spm.boxes.review.server import serve

    serve(
        results / f"boxes/annotations/{boxes}.parquet",
        results / "corpus/index/clips.parquet",
        results / "corpus/clips",
        reviews,
        reviewer or getpass.getuser(),
        port,
        sample,
        browse,
    )
