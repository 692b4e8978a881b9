"""A project outside Snakemake: its config and its videos, read and checked as the workflow does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spm.base import validation
from spm.base.digest import ROOT
from spm.base.errors import UserError
from spm.corpus.manifest import Video, address, is_remote, read


@dataclass(frozen=True)
class Project:
    """The config of a project, and its videos."""

    folder: Path  # working directory of the workflow
    config: Mapping[str, Any]
    manifest: Path
    videos: Sequence[Video]

    def web_addresses(self) -> list[str]:
        """Addresses of the videos that have to be downloaded."""
        locations = [address(video, self.manifest) for video in self.videos if not video.flaw]
        return [location for location in locations if is_remote(location)]


def load_project(folder: Path, config_files: Sequence[Path]) -> Project:
    """Read and check the config and the manifest of a project, as the workflow does.

    Parameters
    ----------
    folder : Path
        Working directory of the workflow.
    config_files : sequence of Path
        Files that change settings of config.yaml, in this order.

    Raises
    ------
    UserError
        Where the workflow would stop with the same error.
    """
    config: Any = {}
    for file in (ROOT / "config.yaml", *config_files):
        config = _merge(config, _read_yaml(file))
    config = validation.coerce_numbers(config)
    validation.validate(config, ROOT / "workflow/schemas/config.schema.json")
    listed = Path(config["corpus"]["manifest"])
    manifest = folder / listed if (folder / listed).exists() else ROOT / listed
    boxes = manifest.parent / (config["corpus"]["given_boxes"] or "boxes.csv")
    if "given" in config["corpus"]["boxes"] and not boxes.is_file():
        raise UserError(
            f"corpus.boxes: given, but there is no file {boxes}: write it, or set corpus.boxes: []"
        )
    return Project(folder, config, manifest, read(manifest))


def _read_yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        message = " ".join(str(error).split())
        raise UserError(f"{file}: {message}: expected a config in YAML") from error


def _merge(config: Any, changes: Any) -> Any:
    """A config with changes, section by section, as Snakemake merges config files."""
    if not (isinstance(config, Mapping) and isinstance(changes, Mapping)):
        return changes
    return {**config, **{key: _merge(config.get(key), changes[key]) for key in changes}}
