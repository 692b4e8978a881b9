"""The command line `spm`, for the work before and after the workflow, which Snakemake runs.

Each command is a module of this package. The modules are imported at once, and what a command
needs is imported when it runs, so that `spm --help` does not wait for torch. EXAMPLES of a module
are the last lines of its help.
"""

import logging
import sys
from typing import Annotated

import typer

from spm.base.version import VERSION
from spm.cli import (
    app,
    benchmark,
    clean,
    compare,
    compare_maps,
    doctor,
    fetch_status,
    init,
    localize,
    manifest,
    new_method,
    path,
    pull,
    push,
    review,
    score,
    verify,
)

EPILOG = """\b
Order of use: init, doctor, manifest, snakemake; fetch-status, review; score.
Exit status: 0 success; 1 an error that you can correct, in one line;
2 a wrong command line; 130 interrupted. --debug shows where an error occurred.
"""
COMMANDS = (
    localize, app, score, benchmark, compare_maps, compare, review, init, manifest,
    fetch_status, verify, clean, doctor, path, push, pull, new_method,
)  # fmt: skip

commands = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, epilog=EPILOG
)
for module in COMMANDS:
    name = module.__name__.rsplit(".", 1)[1]
    add = commands.command(name.replace("_", "-"), epilog=f"\b\nExamples:\n{module.EXAMPLES}")
    add(getattr(module, name))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


@commands.callback()
def spm(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version, and exit."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error occurred (traceback).")
    ] = False,
) -> None:
    """Find the pixels of a video that make the sound. Snakemake runs the workflow itself."""
    if debug:
        logging.basicConfig(level=logging.DEBUG)


def main() -> None:
    """Run a command; an error that the user can correct is one line and status 1."""
    from spm.base.errors import UserError
    from spm.base.printable import printable
    from spm.base.stage import machine_error_message, wrong_path_message

    words = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(words) < len(sys.argv[1:])  # --debug is allowed at any place
    try:
        commands(["--debug"] * debug + words, prog_name="spm")
    except (UserError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError):
            message = machine_error_message(error) or wrong_path_message(error)
        if debug or not message:
            raise
        typer.echo(f"spm: error: {printable(message)}", err=True)
        sys.exit(1)
