"""`spm new-method`."""

import os
import shlex
from typing import Annotated

import typer

from spm.cli.options import Json, Quiet, say

EXAMPLES = """\
  spm new-method davenet
  snakemake all --cores 2 --config 'runs={"mine": {"method": "davenet"}}'
"""


def new_method(
    name: Annotated[str, typer.Argument(help="Of the method: a name in Python, in lower case.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a method that works, to change: its file, its test, and its keys in config.yaml.

    docs/new-method.md goes on from there.
    """
    from spm.fusion.new_method import write

    files = [os.path.relpath(path) for path in write(name)]
    test = f"python -m pytest {shlex.quote(files[1])}"
    lines = [*files, f'Next: {test}, and a run of it: runs: {{"mine": {{"method": "{name}"}}}}']
    say(lines, {"method": name, "files": files}, as_json=as_json, quiet=quiet)
