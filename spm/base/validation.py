"""Checks of the whole config against its schema, before anything runs."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from spm.base.errors import UserError
from spm.base.runs import method_of, run_config, run_names
from spm.base.words import alternatives, did_you_mean, one_of

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
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "multiple of {}",
    "minItems": "at least {} in number",
    "maxItems": "at most {} in number",
    "uniqueItems": "each once",
    "minProperties": "at least {} in number",
    "pattern": "matching {}",
    "minLength": "that is not empty",  # always 1
    "maxLength": "of {} characters or fewer",
}
SHOWN_CHARS = 80  # of a wrong value
Schema = Mapping[str, Any]


def _is_finite(checker: Any, value: Any) -> bool:
    return Draft202012Validator.TYPE_CHECKER.is_type(value, "number") and math.isfinite(value)


# In JSON Schema, NaN passes all bounds.
Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("number", _is_finite),
)


def coerce_numbers(value: Any, schema: Schema) -> Any:
    """A value with numbers, booleans and null in place of their texts, unless text is expected.

    `snakemake --config 'train={"epochs": 3}'` passes values inside braces as text. A whole number
    that is written with a decimal point becomes an integer.

    >>> train = {"properties": {"epochs": {"type": "integer"}, "keep": {"type": "string"}}}
    >>> coerce_numbers({"epochs": "3", "keep": "4"}, train)
    {'epochs': 3, 'keep': '4'}
    """
    if isinstance(value, Mapping):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        return {
            key: coerce_numbers(part, known.get(key) or others or {}) for key, part in value.items()
        }
    if isinstance(value, list):
        return [coerce_numbers(part, schema.get("items", {})) for part in value]
    types = _types(schema)
    if isinstance(value, str) and UNQUOTED.fullmatch(value):
        is_text = "string" in types and not (value == "null" and "null" in types)
        value = value if is_text else json.loads(value)
    if isinstance(value, float) and value.is_integer() and "integer" in types:
        return int(value)
    return value


def _types(schema: Schema) -> set[str]:
    """The JSON types that a schema allows."""
    if "anyOf" in schema:  # a word from a list is no free text
        free = [option for option in schema["anyOf"] if not {"const", "enum"} & option.keys()]
        return set().union(*map(_types, free))
    types = schema.get("type", [])
    return {types} if isinstance(types, str) else set(types)


def replace_mappings(
    config: Mapping[str, Any], changes: Iterable[Mapping[str, Any]], schema: Schema
) -> dict[str, Any]:
    """A merged config in which a setting whose value is a mapping is as the last change has it.

    Snakemake merges such values key by key, so that they could only grow. Sections, and rows of
    `audio` and `runs`, stay merged.

    >>> classes = {"type": "object", "additionalProperties": {"type": "string"}}
    >>> schema = {"properties": {"openimages": {"properties": {"classes": classes}}}}
    >>> merged = {"openimages": {"classes": {"harp": "/m/1", "violin": "/m/2"}, "workers": 2}}
    >>> replace_mappings(merged, [{"openimages": {"classes": {"violin": "/m/2"}}}], schema)
    {'openimages': {'classes': {'violin': '/m/2'}, 'workers': 2}}
    """
    replaced = dict(config)
    for change in changes:
        for section, values in change.items():
            known = schema.get("properties", {}).get(section, {}).get("properties", {})
            if not isinstance(values, Mapping) or not isinstance(replaced.get(section), Mapping):
                continue
            own = {key: value for key, value in values.items() if _is_value(known.get(key, {}))}
            replaced[section] = {**replaced[section], **own}
    return replaced


def _is_value(schema: Schema) -> bool:
    """Whether a setting is a mapping with keys that the user chooses."""
    return schema.get("type") == "object" and "properties" not in schema


def validate(
    config: Mapping[str, Any], schema_file: Path, changes: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The config with numbers as numbers, checked against the schema made from the models.

    Parameters
    ----------
    config : mapping
        The config, with all changes merged into it.
    schema_file : Path
        The schema.
    changes : iterable of mapping
        What the user's files and options changed, in their order (`replace_mappings`).

    Raises
    ------
    UserError
        One line per wrong setting: the key, its value, what is expected, the description of the
        key.
    """
    schema = json.loads(schema_file.read_text(encoding="utf-8"))
    methods = schema["$defs"]["methods"]
    typed: dict[str, Any] = coerce_numbers(replace_mappings(config, changes, schema), schema)
    lines = list(_problems(typed, schema))
    for run in _readable_runs(typed):
        row = coerce_numbers(typed["runs"][run], methods.get(method_of(typed, run), {}))
        typed["runs"][run] = row
        lines += _run_problems(typed, run, methods)
    if lines:
        raise UserError("\n".join(dict.fromkeys(lines)))
    return typed


def _readable_runs(config: Mapping[str, Any]) -> list[str]:
    """Names of the runs whose settings can be put together, even if the config has faults."""
    sections = [config.get(name) for name in ("train", "methods", "audio", "runs")]
    if not all(isinstance(section, dict) for section in sections):
        return []
    rows = config["runs"]
    return [run for run in run_names(config) if isinstance(rows[run], dict | None)]


def _run_problems(
    config: Mapping[str, Any], run: str, methods: Mapping[str, Schema]
) -> Iterator[str]:
    """Problems of a run's row, and of the name of its audio network."""
    row, method = config["runs"][run] or {}, method_of(config, run)
    if method in methods:
        yield from _problems(row, methods[method], f"runs.{run}")
    elif "method" in row:  # the schema has the names for train.method
        yield _unknown_name(f"runs.{run}.method", row["method"], methods)
    sources = {f"runs.{run}": row, f"methods.{method}": config["methods"].get(method) or {}}
    source = next((name for name, keys in sources.items() if "audio" in keys), "train")
    audio = run_config(config, run).get("audio")
    if isinstance(audio, str) and audio not in config["audio"]:
        yield _unknown_name(f"{source}.audio", audio, config["audio"])


def _unknown_name(key: str, name: Any, names: Iterable[str]) -> str:
    return f"{key}: {_json(name)}; {one_of(name, sorted(names))}"


def _problems(part: Any, schema: Schema, section: str = "") -> Iterator[str]:
    """One line per problem of a section of the config, in the order of the keys."""
    errors = [inner for error in Validator(schema).iter_errors(part) for inner in _inner(error)]
    for error in sorted(errors, key=lambda error: [str(step) for step in error.absolute_path]):
        yield from format_error(error, schema, section)


def _inner(error: ValidationError) -> list[ValidationError]:
    """Errors of the items of a list that has the right type, instead of an error of the list."""
    return [inner for inner in error.context or [] if inner.relative_path] or [error]


def format_error(error: ValidationError, schema: Schema, section: str = "") -> list[str]:
    """Lines on an error that the schema finds in a section of the config; one per unknown key."""
    steps = [str(step) for step in error.absolute_path]
    key = ".".join([section, *steps] if section else steps) or "the top level"
    if error.validator == "additionalProperties" and "properties" in error.schema:
        known = sorted(error.schema["properties"])
        unknown = sorted(set(map(str, error.instance)).difference(known))
        return [
            f"{key}: unknown key {name}; {_known_keys(name, known, schema)}" for name in unknown
        ]
    if error.validator == "required":
        return [f"{key}: missing {_join(set(error.validator_value) - set(error.instance))}"]
    about = description(schema, error.absolute_path)
    expected = f"expected {expectation(error.schema)}{_remedy(error)}"
    return [f"{key}: {_json(error.instance)}; {expected}" + (f" ({about})" if about else "")]


def _remedy(error: ValidationError) -> str:
    """What may help besides the expectation; empty if nothing is known."""
    value = error.instance
    if value is None:
        return "; remove the key to keep its default"
    if isinstance(value, bool):
        return "; put text in quotes: YAML reads yes, no, on and off as true and false"
    return did_you_mean(value, _options(error.schema))


def _known_keys(name: str, known: Sequence[str], schema: Schema) -> str:
    """The keys of a section, and the one that was meant, or the sections that have this key."""
    sections = schema.get("properties", {}).items()
    home = [section for section, part in sections if name in part.get("properties", {})]
    if home and not did_you_mean(name, known):
        return f"expected one of {_join(known)}; {name} is a key of {_join(home)}"
    return one_of(name, known)


def description(schema: Schema, path: Iterable[str | int]) -> str:
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


def expectation(schema: Schema) -> str:
    """The values that a schema allows, in words.

    >>> expectation({"type": "integer", "minimum": 1})
    'whole number ≥ 1'
    >>> expectation({"type": "number", "minimum": 0, "maximum": 1.0})
    'number from 0 to 1'
    >>> expectation({"anyOf": [{"type": "number"}, {"type": "null"}]})
    'number or null'
    >>> expectation({"type": "array", "items": {"enum": ["given", "detector"]}})
    'list of given or detector'
    """
    return alternatives(_options(schema))


def _options(schema: Schema) -> list[str]:
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
    bounds = _bounds(schema)
    text = ", ".join(bounds)
    if bounds:
        words.append(f"({text})" if "items" in schema else text)
    return [" ".join(words)]


def _bounds(schema: Schema) -> list[str]:
    """The bounds of a schema in words."""
    values = {name: _number(schema[name]) for name in BOUNDS if name in schema}
    if {"minimum", "maximum"} <= set(values):
        return [f"from {values['minimum']} to {values['maximum']}"]
    return [BOUNDS[name].format(value) for name, value in values.items()]


def _number(value: Any) -> str:
    """A bound; whole numbers without a decimal point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _join(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, names)))


def _json(value: Any) -> str:
    """A value as JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
