"""All wrong settings of a config are listed in one pass, and the schema bounds every setting."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from spm.base.errors import UserError
from spm.base.validation import coerce_numbers, expectation, validate

ROOT = Path(__file__).parents[2]
FILE = ROOT / "workflow" / "schemas" / "config.schema.json"
SCHEMA = json.loads(FILE.read_text())
# Text that users choose freely; all other text is one of a list.
FREE_TEXT = {
    *("audio", "classes", "class_map", "cookies", "format", "given_boxes", "license", "manifest"),
    *("mirror", "name", "plugins", "private_hosts", "reviews", "sha256", "store", "url", "weights"),
    *("table1", "table2", "ablation", "promotion"),
}
PAIRS = {"promotion"}  # a run may be in several pairs


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def problems(config: dict[str, Any]) -> list[str]:
    """The lines of the error of a config."""
    with pytest.raises(UserError) as error:
        validate(config, FILE)
    return str(error.value).split("\n")


def settings(part: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema, with the name of the key that it belongs to."""
    if isinstance(part, list):
        for item in part:
            yield from settings(item, name)
    if isinstance(part, dict):
        yield name, part
        for key, inner in part.items():
            if key in ("properties", "methods"):
                for setting, schema in inner.items():
                    yield from settings(schema, setting)
            elif key in ("anyOf", "items", "additionalProperties", "$defs"):
                yield from settings(inner, name)
        if isinstance(part.get("methods"), dict):
            for row in part["methods"].values():
                yield from settings(row)


SETTINGS = list(settings(SCHEMA))


def test_every_number_has_a_lower_and_an_upper_bound():
    numbers = [(name, part) for name, part in SETTINGS if part.get("type") in ("integer", "number")]
    assert len(numbers) > 100
    assert [
        name
        for name, part in numbers
        if not {"minimum", "exclusiveMinimum"} & set(part)
        or not {"maximum", "exclusiveMaximum"} & set(part)
    ] == []


def test_every_text_is_one_of_a_list_or_a_name_that_users_choose():
    texts = [(name, part) for name, part in SETTINGS if part.get("type") == "string"]
    free = [(name, part) for name, part in texts if not {"enum", "const"} & set(part)]
    assert {name for name, _ in free} - {"method"} == FREE_TEXT
    # The names of the methods of runs are checked one by one.
    unbounded = {name for name, part in free if not {"minLength", "pattern"} & set(part)}
    assert unbounded == {"method"}


def test_no_list_may_have_an_item_twice():
    lists = [(name, part) for name, part in SETTINGS if part.get("type") == "array"]
    assert len(lists) > 5
    assert {name for name, part in lists if not part.get("uniqueItems")} == PAIRS


def test_all_problems_are_listed_in_one_pass_one_line_each(config):
    config["train"] |= {"epochs": 0, "lr": float("nan"), "kinds": ["solo", "solo", "trio"]}
    config["clips"] = None
    del config["maps"]
    config["epocs"] = 3
    config["methods"]["dsol"]["clusters"] = "many"
    config["runs"] |= {"a": {"method": "spn", "audio": "b"}, "c d": {}, "e": {"tau": -1, "k": 2}}
    starts = [line.split(";")[0] for line in problems(config)]
    assert starts == [
        "the top level: unknown key epocs",
        "the top level: missing maps",
        "clips: null",
        'methods.dsol.clusters: "many"',
        'runs: "c d"',
        "train.epochs: 0",
        'train.kinds: ["solo", "solo", "trio"]',
        'train.kinds.2: "trio"',
        "train.lr: NaN",
        'runs.a.method: "spn"',
        'runs.a.audio: "b"',
        "runs.e: unknown key k",
        "runs.e.tau: -1",
    ]


@pytest.mark.parametrize(
    ("section", "key", "value", "end"),
    [
        ("train", "epcohs", 3, "did you mean epochs?"),
        ("train", "Seed", 3, "did you mean seed?"),
        ("train", "k", 3, "k is a key of clusters"),
        ("clips", "epochs", 3, "epochs is a key of detector, pretrain, train"),
        ("clips", "zzz", 3, "size, time_s"),
    ],
)
def test_an_unknown_key_has_a_suggestion(config, section, key, value, end):
    config[section][key] = value
    (line,) = problems(config)
    assert line.startswith(f"{section}: unknown key {key}; expected one of ")
    assert line.endswith(end)


@pytest.mark.parametrize(
    ("section", "key", "value", "remedy"),
    [
        ("spectrograms", "preset", "DSOL", "expected dsol or clean; did you mean dsol?"),
        ("scores", "protocols", ["ezvsl"], "did you mean ez-vsl?"),
        ("train", "method", "ez-vsl", "did you mean ez_vsl?"),
        ("train", "visual", True, "put text in quotes: YAML reads yes, no, on and off as true"),
        ("train", "epochs", None, "remove the key to keep its default"),
        ("train", "seed", False, "expected whole number ≥ 0, < 4294967296; put text in quotes"),
    ],
)
def test_a_wrong_value_has_a_remedy(config, section, key, value, remedy):
    config[section][key] = value
    (line,) = problems(config)
    assert f"; {remedy}" in line or remedy in line


@pytest.mark.parametrize("section", ["train", "methods", "audio", "runs", "corpus"])
@pytest.mark.parametrize("value", [None, 3, "text", ["a"], {}, True])
def test_a_section_of_another_type_is_an_error_and_no_traceback(config, section, value):
    config[section] = value
    assert problems(config)[0].startswith(f"{section}: ")


@pytest.mark.parametrize("row", [3, "text", ["a"], {"method": None}, {"method": ["spm"]}, True])
def test_a_run_of_another_type_is_an_error_and_no_traceback(config, row):
    config["runs"]["other"] = row
    assert problems(config)[0].startswith("runs.other")


def test_a_fault_of_all_runs_is_listed_once(config):
    config["runs"] = {"a": {}, "b": {}, "c": {"audio": "none"}}
    config["train"]["audio"] = "man"
    assert [line.split(";")[0] for line in problems(config)] == [
        'train.audio: "man"',
        'runs.c.audio: "none"',
    ]


def test_a_long_value_is_shortened(config):
    config["train"]["lr"] = "x" * 1000
    (line,) = problems(config)
    assert len(line) < 250


def test_texts_of_the_command_line_become_the_types_that_the_schema_expects(config):
    config["train"] |= {"epochs": "3", "lr": "1e-4", "half": "false", "crop": 224.0}
    config["corpus"] |= {"reviews": "null", "given_boxes": "7"}
    config["cards"]["name"] = "2024"
    config["scores"]["bootstrap"] = "10"
    config["runs"] = {"spm": {"tau": "1", "seed": "2"}, "other": "false", "last": "null"}
    config["methods"]["dmc"]["centers"] = "3"
    config["audio"]["main"] = {"clusters": {"k": "4"}}
    typed = validate(config, FILE)
    train = typed["train"]
    assert [train[key] for key in ("epochs", "lr", "half")] == [3, 1e-4, False]
    assert repr(train["crop"]) == "224"
    assert typed["corpus"]["reviews"] is None
    assert (typed["corpus"]["given_boxes"], typed["cards"]["name"]) == ("7", "2024")
    assert typed["runs"] == {"spm": {"tau": 1, "seed": 2}, "other": False, "last": None}
    assert typed["methods"]["dmc"]["centers"] == 3
    assert typed["audio"]["main"]["clusters"]["k"] == 4


@pytest.mark.parametrize("text", ["011", "1_000", "0x1f", "three", "nan", "1.", ""])
def test_a_text_that_is_no_number_of_json_stays_and_is_an_error(config, text):
    config["train"]["epochs"] = text
    (line,) = problems(config)
    assert line.startswith(f'train.epochs: "{text}"; expected whole number from 1 to')


def test_coercing_leaves_the_config_of_the_caller_as_it_is():
    before = {"a": "1", "b": ["2"]}
    schema = {"properties": {"a": {"type": "integer"}, "b": {"items": {"type": "integer"}}}}
    assert coerce_numbers(before, schema) == {"a": 1, "b": [2]}
    assert before == {"a": "1", "b": ["2"]}


def test_a_number_in_text_is_a_number_where_a_word_is_possible_too():
    schema = {"anyOf": [{"type": "integer"}, {"const": "auto", "type": "string"}]}
    assert [coerce_numbers(value, schema) for value in ("3", "auto")] == [3, "auto"]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, "whole number from 1 to 9"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, "number > 0, ≤ 0.5"),
        (
            {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True, "minItems": 1},
            "list of a or b (at least 1 in number, each once)",
        ),
        ({"type": "string", "minLength": 1}, "text that is not empty"),
    ],
)
def test_bounds_are_said_in_words(schema, words):
    assert expectation(schema) == words
