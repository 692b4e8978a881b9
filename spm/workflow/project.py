"""A project outside Snakemake: its config and its videos, read and checked as the workflow does."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spm.base import project_files, validation, yaml_file
from spm.base.errors import UserError
from spm.base.project_files import merge
from spm.corpus.manifest import Video, address, is_remote
from spm.workflow import preflight
from spm.workflow.preflight import Machine, Problem


@dataclass(frozen=True)
class Project:
    """The config of a project, its videos, and what the preflight finds wrong with them."""

    folder: Path  # working directory of the workflow
    config: Mapping[str, Any]
    manifest: Path
    videos: Sequence[Video]  # none if the manifest has a fault
    problems: Sequence[Problem]

    def web_addresses(self) -> list[str]:
        """Addresses of the videos that have to be downloaded."""
        locations = [address(video, self.manifest) for video in self.videos if not video.flaw]
        return [location for location in locations if is_remote(location)]


def load_project(
    folder: Path, config_files: Sequence[Path], overrides: Sequence[str] = ()
) -> Project:
    """Read and check the config and the manifest of a project, as the workflow does.

    Parameters
    ----------
    folder : Path
        Working directory of the workflow.
    config_files : sequence of Path
        Files that change settings of config.yaml, in this order.
    overrides : sequence of str
        Further changes, as `snakemake --config` takes them: NAME=VALUE.

    Raises
    ------
    UserError
        If the config has a fault, so that nothing else can be checked.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected the folder of a project")
    own = [yaml_file.read(file) for file in project_files.own_config(folder)]
    options: Any = {}
    for file in config_files:
        options = merge(options, yaml_file.read(file))
    changes = [*own, merge(options, _parse_overrides(overrides))]
    config = yaml_file.read(project_files.CONFIG)
    for change in changes:
        config = merge(config, change)
    return check_project(folder, validation.validate(config, project_files.SCHEMA, changes))


def check_project(folder: Path, config: Mapping[str, Any]) -> Project:
    """Read the manifest of a project whose config has been checked against its schema."""
    # The jobs may run on a cluster and in conda's environments: who has them isn't asked for less.
    machine = Machine(local=not shutil.which("sbatch"), conda=bool(shutil.which("conda")))
    with chdir(folder):
        facts, problems = preflight.check(config, project_files.FOLDER, machine)
    manifest = folder / facts.plan.manifest
    return Project(folder, config, manifest, facts.videos, problems)


def _parse_overrides(overrides: Sequence[str]) -> Any:
    """Settings of the command line: texts, of which the validation makes numbers."""
    changes: Any = {}
    for text in overrides:
        name, equals, value = text.partition("=")
        try:
            setting = yaml.load(value, yaml.BaseLoader)
        except yaml.YAMLError:
            equals = ""
        if not equals:
            raise UserError(
                f"--config {text}: expected NAME=VALUE, with a value in YAML or JSON, as in"
                " 'train={\"epochs\": 3}'"
            )
        changes = merge(changes, {name: setting})
    return changes
