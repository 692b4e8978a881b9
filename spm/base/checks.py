"""The whole config against its schema, before anything runs."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from spm.base.config import UserError
from spm.base.runs import method_of, of_run, trained

PLAIN = re.compile(r"true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")  # what JSON writes without quotes


def typed(value: Any) -> Any:
    """A config with numbers as numbers: within braces, `snakemake --config` hands every one on as text.

    >>> typed({"train": {"epochs": "3", "keep": "best", "half": "false"}})
    {'train': {'epochs': 3, 'keep': 'best', 'half': False}}
    """
    if isinstance(value, Mapping):
        return {key: typed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [typed(part) for part in value]
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return json.loads(value)
    return value


def check(config: Mapping[str, Any], schema: Path) -> None:
    """Hold a config against the schema that the stages' models made.

    Raises
    ------
    UserError
        Naming the key, the value, and what was expected, in one line.
    """
    known = json.loads(schema.read_text(encoding="utf-8"))
    _hold(config, known)
    methods = known["$defs"]["methods"]
    for run in trained(config):
        method = method_of(config, run)
        if method not in methods:
            raise UserError(f"config: runs.{run}.method: {method!r}; expected one of {_names(methods)}")
        _hold(config["runs"][run] or {}, methods[method], f"runs.{run}")
        audio = of_run(config, run)["audio"]
        if audio not in config["audio"]:
            raise UserError(f"config: runs.{run}.audio: {audio!r}; expected one of {_names(config['audio'])}")


def _hold(part: Any, schema: Any, where: str = "") -> None:
    error = best_match(Draft202012Validator(schema).iter_errors(part))
    if error is not None:
        raise UserError(f"config: {_said(error, where)}")


def _said(error: ValidationError, above: str) -> str:
    where = ".".join([*([above] if above else []), *map(str, error.absolute_path)]) or "the top level"
    if error.validator == "additionalProperties":
        known = set(error.schema["properties"])
        return f"{where}: unknown key {_names(set(error.instance) - known)}; expected one of {_names(known)}"
    if error.validator == "required":
        return f"{where}: missing {_names(set(error.validator_value) - set(error.instance))}"
    expected = error.schema.get("description") or error.schema.get("title") or ""
    return f"{where}: {error.message}" + (f" ({expected})" if expected else "")


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
