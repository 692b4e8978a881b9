"""A run's settings: what all runs have in common, under its method's, under its own."""

from collections.abc import Mapping
from typing import Any


def method_of(config: Mapping[str, Any], run: str) -> str:
    """The name of a run's method."""
    return str((config["runs"][run] or {}).get("method", config["train"]["method"]))


def run_config(config: Mapping[str, Any], run: str) -> dict[str, Any]:
    """A run's row laid over its method's section, laid over `train`.

    >>> config = {"train": {"method": "spm", "lr": 1, "epochs": 9}, "methods": {"dmc": {"lr": 2, "beta": 30}}}
    >>> of_run({**config, "runs": {"soft": {"method": "dmc", "epochs": 3}}}, "soft")
    {'method': 'dmc', 'lr': 2, 'epochs': 3, 'beta': 30}
    """
    of_method = config["methods"].get(method_of(config, run), {})
    return {**config["train"], **of_method, **(config["runs"][run] or {})}


def audio_config(config: Mapping[str, Any], audio: str, stage: str) -> dict[str, Any]:
    """What an audio network's row changes in one of its two stages, laid over that stage's section.

    >>> config = {"clusters": {"k": 11, "seed": 0}, "audio": {"main": {}, "many": {"clusters": {"k": 30}}}}
    >>> of_audio(config, "many", "clusters")
    {'k': 30, 'seed': 0}
    """
    return {**config[stage], **((config["audio"][audio] or {}).get(stage) or {})}


def run_names(config: Mapping[str, Any]) -> list[str]:
    """The names of the runs that are not left out."""
    return sorted(run for run, row in config["runs"].items() if row is not False)
