"""`spm pull`."""

from pathlib import Path
from typing import Annotated

import typer

from spm.cli.options import Json, Quiet, print_result

EXAMPLES = """\
  spm pull someone/localizer                     writes localizer/network.safetensors
  spm pull someone/tables@v1 --data --out tables
"""


def pull(
    name: Annotated[
        str, typer.Argument(metavar="OWNER/NAME[@REVISION]", help="Repository of the hub.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the files. Default: NAME.")] = None,
    data: Annotated[bool, typer.Option("--data", help="It is a data set, no network.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read a network or a data set from a hub. `spm localize --weights` reads one by itself."""
    from spm.inference import sharing

    folder = out or Path(name.partition("@")[0].rsplit("/", 1)[-1])
    files = [str(path) for path in sharing.pull(name, folder, data=data)]
    print_result(files, {"files": files}, as_json=as_json, quiet=quiet)
