"""`spm clean`."""

from pathlib import Path
from typing import Annotated

import typer

from spm.base.words import count
from spm.cli.options import ConfigChanges, ConfigFiles, Json, Quiet, print_result

EXAMPLES = """\
  spm clean --configfile mine.yaml
  spm clean --configfile mine.yaml --yes
  spm clean --configfile mine.yaml --video jW_AuF6dQYY --yes
  spm clean --configfile mine.yaml --days 0 --yes
"""


def clean(
    configfile: ConfigFiles = None,
    directory: Annotated[
        Path, typer.Option(help="Folder in which the workflow runs, as for snakemake.")
    ] = Path(),
    config: ConfigChanges = None,
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

    These are results, logs, media and files in state/ of videos, shards and runs that the manifest
    and the config no longer have. Your own files, boxes and reviews are never deleted. Without
    --configfile and --config, the config is that of the last run.

    With --video, everything that is stored of a video is deleted, and its row of the manifest. The
    next run makes the results again without it.
    """
    from spm.workflow import clean as cleaning

    project, videos = (directory, configfile or [], config or []), video or []
    found = cleaning.find(*project, videos=videos, networks=networks, days=days)
    sizes = found.sizes()
    deleted = yes and not dry_run
    if deleted:
        found.delete()
    lines = [f"{size / 1e6:10.1f} MB  {path}  ({reason})" for path, reason, size in sizes]
    lines += found.notes(deleted=deleted)
    verb = "deleted" if deleted else "can be deleted; add --yes to delete"
    total_mb = sum(size for _, _, size in sizes) / 1e6
    lines.append(f"{count(len(sizes), 'file')} or folders, {total_mb:,.1f} MB: {verb}")
    data = [{"path": str(path), "reason": why, "bytes": size} for path, why, size in sizes]
    print_result(lines, data, as_json=as_json, quiet=quiet)
