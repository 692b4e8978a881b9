"""The files of the workflow: Snakefile, config.yaml, rules, environments, configs.

In a checkout they lie beside the package. A wheel carries them inside it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spm.base.digest import PACKAGE, ROOT

FOLDER = ROOT if (ROOT / "Snakefile").is_file() else ROOT / PACKAGE / "project"
SNAKEFILE = FOLDER / "Snakefile"
CONFIG = FOLDER / "config.yaml"
CONFIGS = FOLDER / "workflow" / "configs"
SCHEMA = FOLDER / "workflow" / "schemas" / "config.schema.json"
PROFILE = FOLDER / "workflow" / "profiles" / "slurm" / "profile.yaml"


def import_folder(cache: Path) -> Path:
    """The folder from which the jobs import this package.

    In a checkout, its root. An installed package lies beside packages of its own environment, which
    a job in an environment of conda must not import; so `cache` gets a link to the package alone.
    """
    if FOLDER == ROOT:
        return ROOT
    link = cache.absolute() / PACKAGE
    if not link.is_symlink() or Path(os.readlink(link)) != ROOT / PACKAGE:
        cache.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT / PACKAGE)
    return link.parent


def merge(config: Any, changes: Any) -> Any:
    """A config with changes, section by section, as Snakemake merges config files."""
    if not (isinstance(config, Mapping) and isinstance(changes, Mapping)):
        return changes
    return {**config, **{key: merge(config.get(key), changes[key]) for key in changes}}


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with the values of config.yaml for the settings that it lacks.

    Snakemake does not read config.yaml by itself if another workflow uses this one as a module.
    """
    with CONFIG.open(encoding="utf-8") as file:
        defaults = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    merged: dict[str, Any] = merge(defaults, config)
    return merged


def own_config(folder: Path) -> list[Path]:
    """config.yaml of a project that `spm init` made: its settings count before the defaults."""
    file = folder / CONFIG.name
    is_project = folder.resolve() != FOLDER.resolve() and (folder / SNAKEFILE.name).is_file()
    return [file] if is_project and file.is_file() else []
