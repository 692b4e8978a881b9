"""The command that a page names when everything is done."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spm.corpus.manifest_sources import workflow_command


def next_command(file: Path, default_name: str, settings: Mapping[str, Any]) -> str:
    """The command that runs the workflow with a file that a page wrote.

    If the file is where the workflow looks for it, beside a manifest as `spm manifest` writes it,
    the command is that of the tutorial. Otherwise it has settings that name the file, and the
    config is not known.

    Parameters
    ----------
    file : Path
        The file.
    default_name : str
        Name of a file that the workflow finds beside the manifest.
    settings : mapping
        Keys of `corpus` that name the file.
    """
    manifest = file.with_name("manifest.csv")
    if file.name == default_name and manifest.is_file():
        return workflow_command(manifest)
    setting = shlex.quote("corpus=" + json.dumps(settings))
    return f"snakemake all --cores 2 --configfile CONFIG.yaml --config {setting}"
