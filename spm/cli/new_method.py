"""`spm new-method`."""

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

    files = [str(path) for path in write(name)]
    lines = [*files, f'Next: python -m pytest {files[1]}; then runs: {{"mine": {{"method": "{name}"}}}}']
    say(lines, {"method": name, "files": files}, as_json=as_json, quiet=quiet)
