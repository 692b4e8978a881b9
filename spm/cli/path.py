"""`spm path`."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """\
  spm path                                       the Snakefile
  spm path workflow/configs                      examples of configs
  snakemake all --cores 8 --snakefile "$(spm path)" --directory project
"""


def path(
    name: Annotated[
        Path, typer.Argument(help="A file or folder of the workflow, such as workflow/configs.")
    ] = Path("Snakefile"),
) -> None:
    """Print where the installed workflow lies: its Snakefile, or another of its files."""
    from spm.base.errors import UserError
    from spm.base.project_files import FOLDER

    if not (FOLDER / name).exists():
        names = ", ".join(sorted(entry.name for entry in FOLDER.iterdir() if entry.name[0] != "."))
        raise UserError(f"{name}: the workflow has no such file or folder; it has {names}")
    typer.echo(FOLDER / name)
