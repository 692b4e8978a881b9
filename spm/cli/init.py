"""`spm init`."""

from pathlib import Path
from typing import Annotated

import typer

from spm.cli.options import Json, Quiet, print_result

EXAMPLES = """\
  spm init concerts                              for your own videos
  spm init music --like paper                    for the tables of the paper
"""


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new project.")],
    like: Annotated[
        str,
        typer.Option(
            help="Example whose settings config.yaml gets: ls $(spm path workflow/configs)."
        ),
    ] = "local",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a project folder: a Snakefile, a config, and a profile for SLURM.

    The Snakefile runs the workflow of the installed package. Files that exist are not replaced.
    """
    from spm.workflow.new_project import next_steps, write

    files = [str(path) for path in write(folder, like)]
    lines = [*files, "Next:", "", *(f"    {command}" for command in next_steps(folder, like)), ""]
    print_result(lines, {"folder": str(folder), "files": files}, as_json=as_json, quiet=quiet)
