"""Options and output that several commands share."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--configfile",
        help="Config file on top of config.yaml, as for snakemake; may be repeated.",
    ),
]
ConfigChanges = Annotated[
    list[str] | None,
    typer.Option("--config", help="Settings on top of the files, as for snakemake: NAME=VALUE."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


def check_results(results: Path) -> None:
    """Raise a `UserError` where there is no folder of results."""
    from spm.base.errors import UserError

    if not results.is_dir():
        raise UserError(
            f"{results}: no such folder; run this in the folder of a project, or name its results"
            " with --results"
        )


def print_result(lines: Sequence[str], data: Any, *, as_json: bool, quiet: bool) -> None:
    """Print a result as JSON for programs or as lines of text, or print nothing.

    Parameters
    ----------
    lines : sequence of str
        The result as text.
    data : JSON-serializable
        The result as data.
    as_json : bool
        Print the data in place of the text, also with `quiet`.
    quiet : bool
        Don't print the text.
    """
    if as_json:
        typer.echo(json.dumps(data, indent=1, ensure_ascii=False))
    elif not quiet:
        typer.echo("\n".join(lines))
