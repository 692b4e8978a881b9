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
    from spm.base.words import one_of

    if not (FOLDER / name).exists():
        known = (FOLDER / name).parent if (FOLDER / name).parent.is_dir() else FOLDER
        names = sorted(entry.name for entry in known.iterdir() if entry.name[0] not in "._")
        raise UserError(
            f"{name}: the workflow has no such file or folder; {one_of(name.name, names)}"
        )
    typer.echo(FOLDER / name)
