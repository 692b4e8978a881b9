"""`spm doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from spm.cli.options import Json, Quiet, say

EXAMPLES = """\
  spm doctor
  spm doctor --configfile workflow/configs/local.yaml --configfile mine.yaml
  spm doctor --offline --quiet && snakemake all --cores 2
"""


def doctor(
    configfile: Annotated[
        list[Path] | None, typer.Option(help="Laid over config.yaml, as snakemake's.")
    ] = None,
    directory: Annotated[
        Path, typer.Option(help="Where the workflow would run, as snakemake's.")
    ] = Path(),
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no site whether it answers.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at this machine before the workflow does.

    For ffmpeg, GPU, conda, SLURM, disk, network and config. What is lacking comes with what to do;
    status 1 where it is something that the workflow can't do without.
    """
    from spm.workflow.doctor import Finding, findings

    found: list[Finding] = []
    for each in findings(directory, configfile or [], online=not offline):
        found.append(each)
        if not as_json and not (quiet and each.state == "ok"):
            typer.echo(f"{each.state:4}  {each.what}: {each.found}")
            if each.advice:
                typer.echo(f"      {each.advice}")
    if as_json:
        say([], [each._asdict() for each in found], as_json=True, quiet=quiet)
    if any(each.state == "fail" for each in found):
        raise typer.Exit(1)
