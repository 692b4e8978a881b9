"""What several commands have in common."""

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Say it as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but what is wrong.")]


def say(lines: list[str], whole: Any, *, as_json: bool, quiet: bool) -> None:
    """Print a result: whole, as JSON for machines, or as lines to read, or not at all."""
    if as_json:
        typer.echo(json.dumps(whole, indent=1, ensure_ascii=False))
    elif not quiet:
        typer.echo("\n".join(lines))
