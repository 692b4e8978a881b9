"""`spm new-method`."""

import os
import shlex
from typing import Annotated

import typer

from spm.cli.options import Json, Quiet, print_result

EXAMPLES = """\
  spm new-method davenet
  snakemake all --cores 2 --config 'runs={"mine": {"method": "davenet"}}'
"""


def new_method(
    name: Annotated[str, typer.Argument(help="Name of the method: a Python name in lower case.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the files of a new method: its code, its test, and its keys in config.yaml.

    The method trains as it is, and you change it: docs/new-method.md shows how.
    """
    from spm.fusion.new_method import write

    files = [os.path.relpath(path) for path in write(name)]
    lines = [
        *files,
        f"Test it: python -m pytest {shlex.quote(files[1])}",
        f'Train it: add a run to your config, runs: {{"mine": {{"method": "{name}"}}}}',
    ]
    print_result(lines, {"method": name, "files": files}, as_json=as_json, quiet=quiet)
