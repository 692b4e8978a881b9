"""The command line beside the workflow: `spm`. Snakemake runs the workflow; this serves what is done by hand.

A command is a module here, imported at once, and what it works with is imported when it runs: `spm --help` answers
before torch would be there. Its last lines of help are examples, in EXAMPLES.
"""

import logging
import sys
from typing import Annotated

import typer

from spm.cli import doctor, fetch_status, localize, manifest, new_method, review, score

EPILOG = """\b
In this order: doctor, manifest, then snakemake; fetch-status, review; localize, score.
Status: 0 done; 1 something to mend, said in one line; 2 a wrong command line;
130 interrupted. --debug, anywhere, shows where an error arose.
"""
COMMANDS = (localize, score, review, manifest, fetch_status, doctor, new_method)

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, epilog=EPILOG
)
for module in COMMANDS:
    name = module.__name__.rsplit(".", 1)[1]
    app.command(name.replace("_", "-"), epilog=f"\b\nExamples:\n{module.EXAMPLES}")(
        getattr(module, name)
    )


@app.callback()
def spm(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False,
) -> None:
    """Which pixels of this video make the sound? The workflow itself is run by snakemake."""
    if debug:
        logging.basicConfig(level=logging.DEBUG)


def main() -> None:
    """Run a command; what the user can mend is one line, and status 1; a bug is a traceback."""
    from spm.base.config import UserError  # here: pydantic takes as long as all the rest
    from spm.base.stage import of_the_machine

    words = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(words) < len(sys.argv[1:])
    try:
        app(["--debug"] * debug + words, prog_name="spm")
    except (UserError, OSError) as error:
        said = of_the_machine(error) if isinstance(error, OSError) else str(error)
        if debug or not said:
            raise
        typer.echo(f"spm: error: {said}", err=True)
        sys.exit(1)
