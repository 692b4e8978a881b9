"""`spm push`."""

from pathlib import Path
from typing import Annotated

import typer

from spm.cli.options import Json, Quiet, print_result

EXAMPLES = """\
  spm push results/fusion/train/spm me/my-localizer
  spm push results me/my-tables --private        all tables without pictures and sound
"""


def push(
    source: Annotated[Path, typer.Argument(help="Folder of a run, or the results of a project.")],
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository of the hub.")],
    private: Annotated[
        bool, typer.Option("--private", help="A new repository can be seen by its owner only.")
    ] = False,
    with_clips: Annotated[
        bool,
        typer.Option("--with-clips", help="Also share pictures and sound of the videos."),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a network, or the tables of a project, to a hub, with its card.

    The hub is huggingface.co, or that of HF_ENDPOINT. Log in first: hf auth login.
    """
    from spm.inference import sharing

    if (source / "network.safetensors").is_file():
        address = sharing.push_network(source, name, private=private)
    else:
        address = sharing.push_data(source, name, private=private, with_clips=with_clips)
    print_result([address], {"address": address}, as_json=as_json, quiet=quiet)
