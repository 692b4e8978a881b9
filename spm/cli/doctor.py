"""`spm doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from spm.cli.options import ConfigChanges, ConfigFiles, Json, Quiet, print_result

EXAMPLES = """\
  spm doctor
  spm doctor --configfile workflow/configs/local.yaml --configfile mine.yaml
  spm doctor --config 'corpus={"manifest": "videos/manifest.csv"}'
  spm doctor --offline --quiet && snakemake all --cores 2
"""


def doctor(
    configfile: ConfigFiles = None,
    directory: Annotated[
        Path, typer.Option(help="Folder in which the workflow will run, as for snakemake.")
    ] = Path(),
    config: ConfigChanges = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Don't check whether websites can be reached.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check this machine before you run the workflow.

    Checks ffmpeg, GPU, conda, SLURM, disk and network; and config, videos and boxes, as the
    workflow does before it plans. Each problem has its remedy. Exit status 1 means that the
    workflow can't run.
    """
    from spm.workflow.doctor import Finding, State, findings

    found: list[Finding] = []
    for finding in findings(directory, configfile or [], config or [], online=not offline):
        found.append(finding)
        if not as_json and not (quiet and finding.state == State.OK):
            typer.echo(f"{finding.state:4}  {finding.subject}: {finding.result}")
            if finding.advice:
                typer.echo(f"      {finding.advice}")
    if as_json:
        data = [finding._asdict() for finding in found]
        print_result([], data, as_json=True, quiet=quiet)
    if any(finding.state == State.FAIL for finding in found):
        raise typer.Exit(1)
