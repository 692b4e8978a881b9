"""`spm compare`."""

from dataclasses import asdict
from typing import Annotated

import typer

from spm.cli.options import Json, Quiet, print_result

EXAMPLES = """\
  spm compare spm no-promotion                  two runs of this folder
  spm compare monday friday                     two projects: all runs by their names
  spm compare monday/results/fusion/train/spm friday/results/fusion/train/spm
"""


def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A run of this folder, the folder of a run, or a project."
        ),
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="What it is compared with.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Figure to compare, such as ciou@0.3; may be repeated. Default: auc."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what differs between two runs or projects: settings, code, corpus and scores.

    Differences of scores are paired: of the frames that both sides have scores for.
    """
    from spm.report import run_comparison

    sides = [run_comparison.Side.of(name) for name in (first, second)]
    found = run_comparison.compare(*sides)
    lines = list(run_comparison.lines([first, second], found, metric or ()))
    print_result(lines, asdict(found), as_json=as_json, quiet=quiet)
