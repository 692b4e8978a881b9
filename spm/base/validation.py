"""Checks of the whole config against its schema, before anything runs."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from spm.base.errors import UserError
from spm.base.runs import method_of, run_config, run_names

# What JSON writes without quotes.
UNQUOTED = re.compile(r"true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
TYPE_NAMES = {
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "object": "mapping",
    "array": "list",
}
BOUNDS = {
    "minimum": "≥ {:g}",
    "exclusiveMinimum": "> {:g}",
    "maximum": "≤ {:g}",
    "exclusiveMaximum": "< {:g}",
    "multipleOf": "multiple of {:g}",
    "minItems": "at least {} in number",
    "minProperties": "at least {} in number",
    "minLength": "at least {} characters",
    "pattern": "matching {}",
}


def coerce_numbers(value: Any) -> Any:
    """The config with numbers, booleans and null in place of their texts.

    `snakemake --config 'train={"epochs": 3}'` passes values inside braces as text.

    >>> coerce_numbers({"train": {"epochs": "3", "keep": "best", "half": "false"}})
    {'train': {'epochs': 3, 'keep': 'best', 'half': False}}
    """
    if isinstance(value, Mapping):
        return {key: coerce_numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [coerce_numbers(part) for part in value]
    if isinstance(value, str) and UNQUOTED.fullmatch(value):
        return json.loads(value)
    return value


def validate(config: Mapping[str, Any], schema_file: Path) -> None:
    """Check a config against the schema that is generated from the models.

    Raises
    ------
    UserError
        In one line: the key, its value, what is expected, and the description of the key.
    """
    schema = json.loads(schema_file.read_text(encoding="utf-8"))
    _validate_part(config, schema)
    methods = schema["$defs"]["methods"]
    for run in run_names(config):
        method = method_of(config, run)
        _require_name(f"runs.{run}.method", method, methods)
        _validate_part(config["runs"][run] or {}, methods[method], f"runs.{run}")
        _require_name(f"runs.{run}.audio", run_config(config, run)["audio"], config["audio"])


def _require_name(key: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        raise UserError(f"config: {key}: {json.dumps(name)}; expected one of {_join(names)}")


def _validate_part(part: Any, schema: Mapping[str, Any], section: str = "") -> None:
    error = best_match(Draft202012Validator(schema).iter_errors(part))
    if error is not None:
        raise UserError(f"config: {format_error(error, schema, section)}")


def format_error(error: ValidationError, schema: Mapping[str, Any], section: str = "") -> str:
    """One line on an error that the schema finds in a section of the config."""
    while error.parent is not None:  # of alternatives, as "number or null": name all of them
        error = error.parent
    steps = [str(step) for step in error.absolute_path]
    key = ".".join([section, *steps] if section else steps) or "the top level"
    if error.validator == "additionalProperties" and "properties" in error.schema:
        known = set(error.schema["properties"])
        unknown = _join(set(error.instance) - known)
        return f"{key}: unknown key {unknown}; expected one of {_join(known)}"
    if error.validator == "required":
        return f"{key}: missing {_join(set(error.validator_value) - set(error.instance))}"
    value = json.dumps(error.instance, ensure_ascii=False)
    about = description(schema, error.absolute_path)
    return f"{key}: {value}; expected {expectation(error.schema)}" + (
        f" ({about})" if about else ""
    )


def description(schema: Mapping[str, Any], path: Iterable[str | int]) -> str:
    """Description of the innermost described key on a path into the config."""
    text = ""
    for step in path:
        inner = schema.get("properties", {}).get(step)
        inner = inner or schema.get("additionalProperties") or schema.get("items")
        if not isinstance(inner, Mapping):
            break
        schema = inner
        text = schema.get("description", text)
    return text


def expectation(schema: Mapping[str, Any]) -> str:
    """The values that a schema allows, in words.

    >>> expectation({"type": "integer", "minimum": 1})
    'whole number ≥ 1'
    >>> expectation({"anyOf": [{"type": "number"}, {"type": "null"}]})
    'number or null'
    >>> expectation({"type": "array", "items": {"enum": ["given", "detector"]}})
    'list of given or detector'
    """
    return _alternatives(_options(schema))


def _options(schema: Mapping[str, Any]) -> list[str]:
    """The alternatives that a schema allows, each in words."""
    if "anyOf" in schema:
        return [option for part in schema["anyOf"] for option in _options(part)]
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return [value if isinstance(value, str) else json.dumps(value) for value in values]
    types: str | list[str] = schema.get("type", "string")
    if isinstance(types, list):
        return [TYPE_NAMES.get(name, name) for name in types]
    words = [TYPE_NAMES.get(types, types)]
    if "items" in schema:
        words.append(f"of {expectation(schema['items'])}")
    bounds = [text.format(schema[name]) for name, text in BOUNDS.items() if name in schema]
    return [" ".join([*words, ", ".join(bounds)] if bounds else words)]


def _alternatives(texts: list[str]) -> str:
    """Texts with commas and a final "or".

    >>> _alternatives(["a", "b", "c"])
    'a, b or c'
    """
    return " or ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _join(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
