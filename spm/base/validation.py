"""The whole config against its schema, before anything runs."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from spm.base.config import UserError
from spm.base.runs import method_of, run_config, run_names

PLAIN = re.compile(
    r"true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?"
)  # what JSON writes without quotes


def coerce_numbers(value: Any) -> Any:
    """A config with numbers as numbers: within braces, `snakemake --config` hands every one on as text.

    >>> typed({"train": {"epochs": "3", "keep": "best", "half": "false"}})
    {'train': {'epochs': 3, 'keep': 'best', 'half': False}}
    """
    if isinstance(value, Mapping):
        return {key: coerce_numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [coerce_numbers(part) for part in value]
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return json.loads(value)
    return value


def validate(config: Mapping[str, Any], schema: Path) -> None:
    """Hold a config against the schema that the stages' models made.

    Raises
    ------
    UserError
        Naming the key, the value, and what was expected, in one line.
    """
    known = json.loads(schema.read_text(encoding="utf-8"))
    _validate_part(config, known)
    methods = known["$defs"]["methods"]
    for run in run_names(config):
        method = method_of(config, run)
        if method not in methods:
            raise UserError(
                f"config: runs.{run}.method: {method!r}; expected one of {_names(methods)}"
            )
        _validate_part(config["runs"][run] or {}, methods[method], f"runs.{run}")
        audio = run_config(config, run)["audio"]
        if audio not in config["audio"]:
            raise UserError(
                f"config: runs.{run}.audio: {audio!r}; expected one of {_names(config['audio'])}"
            )


def _validate_part(part: Any, schema: Any, where: str = "") -> None:
    error = best_match(Draft202012Validator(schema).iter_errors(part))
    if error is not None:
        raise UserError(f"config: {format_error(error, where)}")


def format_error(error: ValidationError, above: str) -> str:
    where = (
        ".".join([*([above] if above else []), *map(str, error.absolute_path)]) or "the top level"
    )
    if error.validator == "additionalProperties":
        known = set(error.schema["properties"])
        return f"{where}: unknown key {_names(set(error.instance) - known)}; expected one of {_names(known)}"
    if error.validator == "required":
        return f"{where}: missing {_names(set(error.validator_value) - set(error.instance))}"
    expected = error.schema.get("description") or error.schema.get("title") or ""
    return f"{where}: {error.message}" + (f" ({expected})" if expected else "")


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
