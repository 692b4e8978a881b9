import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from spm.base.config import UserError
from spm.base.validation import validate
from spm.fusion import methods
from spm.fusion.settings import Train
from spm.workflow import config_reference as reference
from spm.workflow import schema as generate

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.json"


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_the_schema_is_what_the_models_make():
    assert SCHEMA.read_text() == generate.text(), "run: make schema"


def test_the_page_on_configuration_is_what_the_models_and_the_comments_say():
    page = (ROOT / "docs/config.md").read_text()
    assert page == reference.text(), "run: make schema"
    assert "| `epochs` | whole number ≥ 1 | `12` | passes over the pictures |" in page
    assert "|  |" not in page, "a key of config.yaml has no comment that says its unit and effect"


def test_config_yaml_names_every_key_of_every_section(config):
    assert {name: set(config[name]) for name in generate.SECTIONS} == {
        name: set(model.model_fields) for name, model in generate.SECTIONS.items()
    }


def test_config_yaml_names_every_key_that_a_method_adds(config):
    assert set(config["methods"]) == set(methods.METHODS)
    for name, section in config["methods"].items():
        settings = methods.named(name).Settings
        assert set(section) >= set(settings.model_fields) - set(Train.model_fields), name
        defaults = settings().model_dump(mode="json")
        assert {key: defaults[key] for key in section} == section, name


def test_every_model_accepts_its_section_and_each_laid_over_file(config):
    for name in ("demo", "local", "paper"):
        over = yaml.safe_load((ROOT / "workflow" / "configs" / f"{name}.yaml").read_text())
        merged = {section: {**config[section], **over.get(section, {})} for section in config}
        validate(merged, SCHEMA)
        for section, model in generate.SECTIONS.items():
            model.model_validate_json(json.dumps(merged[section]))


def test_the_defaults_are_the_papers(config):
    paper = [
        (config["clips"]["size"], 256),
        (config["train"]["crop"], 224),
        (config["train"]["visual"], "resnet18"),
        (config["train"]["lr"], 1e-4),
        (config["methods"]["spm"]["epsilon"], 0.65),
        (config["methods"]["spm"]["tau"], 0.03),
        (config["clusters"]["k"], 11),
        (config["annotations"]["min_score"], 0.9),
        (config["index"]["test_solos"], 5),
        (config["index"]["test_duets"], 2),
    ]
    assert [found for found, _ in paper] == [said for _, said in paper]


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("train", "epsylon", 1, r"train: unknown key epsylon; expected one of .*epochs"),
        (
            "methods",
            "spm",
            {"epsylon": 1},
            r"methods\.spm: unknown key epsylon; expected one of .*epsilon",
        ),
        ("train", "epochs", "many", r"train\.epochs: 'many' is not of type 'integer'"),
        ("train", "epochs", 0, r"train\.epochs: 0 is less than the minimum of 1"),
        (
            "spectrograms",
            "preset",
            "best",
            r"spectrograms\.preset: 'best' is not one of \['dsol', 'clean'\]",
        ),
        ("corpus", "boxes", ["drawn"], r"corpus\.boxes\.0: 'drawn' is not one of"),
        (
            "runs",
            "other",
            {"promoted": True},
            r"runs\.other: unknown key promoted; expected one of .*promote",
        ),
        ("runs", "other", {"method": "spn"}, r"runs\.other\.method: 'spn'; expected one of .*spm"),
        ("runs", "other", {"audio": "many"}, r"runs\.other\.audio: 'many'; expected one of main"),
        (
            "audio",
            "many",
            {"cluster": {"k": 3}},
            r"audio\.many: unknown key cluster; expected one of clusters",
        ),
        (
            "audio",
            "many",
            {"clusters": {"k": 0}},
            r"audio\.many\.clusters\.k: 0 is less than the minimum of",
        ),
        (
            "runs",
            "other",
            {"tau": 0},
            r"runs\.other\.tau: 0 is less than or equal to the minimum of 0",
        ),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_was_expected(config, section, key, value, said):
    config[section][key] = value
    with pytest.raises(UserError, match=said) as error:
        validate(config, SCHEMA)
    assert "\n" not in str(error.value)


def test_an_unknown_section_and_a_missing_key_are_named(config):
    with pytest.raises(
        UserError, match=r"the top level: unknown key trian; expected one of .*train"
    ):
        validate({**config, "trian": {}}, SCHEMA)
    del config["clips"]["size"]
    with pytest.raises(UserError, match="clips: missing size"):
        validate(config, SCHEMA)


def test_what_the_snakefile_imports_needs_no_torch():
    modules = "spm.base.validation, spm.base.shards, spm.base.digest, spm.base.tables, spm.corpus.manifest"
    light = f"{modules}, spm.corpus.clip_reader, spm.report.figures, spm.boxes.annotations"
    code = f"import sys, {light}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
