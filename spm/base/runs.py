"""The settings of a run: `train`, changed by the section of its method, then by its own row."""

from collections.abc import Mapping
from typing import Any

UNTRAINED = {"object_prior", "zero_shot"}  # methods that use pretrained networks as they are


def method_of(config: Mapping[str, Any], run: str) -> str:
    """The name of a run's method."""
    return str((config["runs"][run] or {}).get("method", config["train"].get("method")))


def run_config(config: Mapping[str, Any], run: str) -> dict[str, Any]:
    """All settings of a run.

    >>> config = {"train": {"method": "spm", "lr": 1, "epochs": 9}}
    >>> config["methods"] = {"dmc": {"lr": 2, "beta": 30}}
    >>> config["runs"] = {"soft": {"method": "dmc", "epochs": 3}}
    >>> run_config(config, "soft")
    {'method': 'dmc', 'lr': 2, 'epochs': 3, 'beta': 30}
    """
    method_section = config["methods"].get(method_of(config, run)) or {}
    return {**config["train"], **method_section, **(config["runs"][run] or {})}


def audio_config(config: Mapping[str, Any], audio: str, stage: str) -> dict[str, Any]:
    """Settings of one audio network in the stage `clusters` or `pretrain`.

    >>> config = {"clusters": {"k": 11, "seed": 0}}
    >>> config["audio"] = {"main": {}, "many": {"clusters": {"k": 30}}}
    >>> audio_config(config, "many", "clusters")
    {'k': 30, 'seed': 0}
    """
    return {**config[stage], **((config["audio"][audio] or {}).get(stage) or {})}


def run_names(config: Mapping[str, Any]) -> list[str]:
    """The names of the runs that are not left out with `false`, sorted."""
    return sorted(run for run, row in config["runs"].items() if row is not False)


def trained_runs(config: Mapping[str, Any]) -> list[str]:
    """The names of the runs that learn from the videos, sorted."""
    return [run for run in run_names(config) if method_of(config, run) not in UNTRAINED]
