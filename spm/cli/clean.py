"""`spm clean`."""

from pathlib import Path
from typing import Annotated

import typer

from spm.cli.options import Json, Quiet, print_result

EXAMPLES = """\
  spm clean --configfile mine.yaml
  spm clean --configfile mine.yaml --yes
  spm clean --configfile mine.yaml --video jW_AuF6dQYY --yes
  spm clean --configfile mine.yaml --days 0 --yes
"""


def clean(
    configfile: Annotated[
        list[Path] | None,
        typer.Option(help="Config file on top of config.yaml, as for snakemake; may be repeated."),
    ] = None,
    directory: Annotated[
        Path, typer.Option(help="Folder in which the workflow runs, as for snakemake.")
    ] = Path(),
    config: Annotated[
        list[str] | None,
        typer.Option(help="Settings on top of the files, as for snakemake: NAME=VALUE."),
    ] = None,
    video: Annotated[
        list[str] | None,
        typer.Option(
            help="Delete all that is stored of a video, given by its id or address, and its row of"
            " the manifest; may be repeated."
        ),
    ] = None,
    networks: Annotated[
        bool, typer.Option("--networks", help="With --video: delete all networks too.")
    ] = False,
    days: Annotated[
        float, typer.Option(help="Delete finished networks in state/ not used for so many days.")
    ] = 90,
    yes: Annotated[bool, typer.Option("--yes", help="Delete. Without it, only list.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list: the default.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List or delete what the workflow has made and no longer makes.

    Without --configfile and --config, the config is that of the last run. These are results, logs, media and files in state/ of videos, shards and runs that the manifest
    and the config no longer have. Your own files, boxes and reviews are never deleted.

    With --video, everything that is stored of a video is deleted, and its row of the manifest. The
    next run makes the results again without it.
    """
    from spm.workflow import clean as cleaning

    found = cleaning.find(
        directory, configfile or [], config or [], videos=video or [], networks=networks, days=days
    )
    does_delete = yes and not dry_run
    data = [
        {"path": str(path), "reason": reason, "bytes": bytes_}
        for path, reason, bytes_ in found.sizes()
    ]
    total_mb = sum(row["bytes"] for row in data) / 1e6
    lines = [f"{row['bytes'] / 1e6:10.1f} MB  {row['path']}  ({row['reason']})" for row in data]
    if does_delete:
        found.delete()
    lines += found.notes(deleted=does_delete)
    verb = "deleted" if does_delete else "can be deleted; add --yes to delete"
    lines.append(f"{len(data)} files and folders, {total_mb:,.1f} MB: {verb}")
    print_result(lines, data, as_json=as_json, quiet=quiet)
