"""Options and output that several commands share."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


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
