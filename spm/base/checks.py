"""The whole config against its schema, before anything runs."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from spm.base.config import UserError


def check(config: Mapping[str, Any], schema: Path) -> None:
    """Hold a config against the schema that the stages' models made.

    Raises
    ------
    UserError
        Naming the key, the value, and what was expected, in one line.
    """
    validator = Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    error = best_match(validator.iter_errors(config))
    if error is not None:
        raise UserError(f"config: {_said(error)}")


def _said(error: ValidationError) -> str:
    where = ".".join(map(str, error.absolute_path)) or "the top level"
    if error.validator == "additionalProperties":
        known = set(error.schema["properties"])
        return f"{where}: unknown key {_names(set(error.instance) - known)}; expected one of {_names(known)}"
    if error.validator == "required":
        return f"{where}: missing {_names(set(error.validator_value) - set(error.instance))}"
    expected = error.schema.get("description") or error.schema.get("title") or ""
    return f"{where}: {error.message}" + (f" ({expected})" if expected else "")


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
