"""config.yaml, its schema and its page come from the models; a wrong setting is one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from spm.base.errors import UserError
from spm.base.validation import validate
from spm.fusion import methods
from spm.fusion.settings import Train
from spm.workflow import config_file, config_reference, project, schema

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.json"
# Keys whose value in config.yaml differs from the default of the model, each with the reason.
DIFFERENT: dict[str, str] = {}


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def method_settings(name):
    return methods.named(name).Settings


def test_the_schema_is_what_the_models_make():
    assert SCHEMA.read_text() == schema.text(), "run: make schema"


def test_the_comments_of_config_yaml_are_what_the_models_make():
    assert (ROOT / "config.yaml").read_text() == config_file.text(), "run: make schema"


def test_the_page_on_settings_is_what_the_models_make():
    page = (ROOT / "docs/config.md").read_text()
    assert page == config_reference.text(), "run: make schema"
    assert "| `epochs` | whole number from 1 to 10000 | `12` | " in page
    assert "|  |" not in page


def test_rendering_replaces_comments_and_keeps_values_and_order(config):
    source = (ROOT / "config.yaml").read_text()
    without_comments = yaml.safe_dump(config, sort_keys=False)
    with_others = source.replace("  # ", "  # Former: ")
    assert config_file.render(with_others) == source
    rendered = config_file.render(without_comments)
    assert yaml.safe_load(rendered) == config
    assert list(yaml.safe_load(rendered)) == list(config)
    assert max(map(len, rendered.splitlines())) <= config_file.WIDTH


def test_a_short_comment_follows_its_value_and_a_long_one_comes_first(monkeypatch):
    texts = {
        ("train",): "Settings of runs.",
        ("train", "lr"): "Short.",
        ("train", "seed"): "x" * 90,
    }
    monkeypatch.setattr(config_file, "comment", lambda path: texts.get(path, ""))
    monkeypatch.setattr(config_file, "HEAD", ("Head.",))
    monkeypatch.setattr(config_file, "defaults", lambda path: {})
    source = (
        "train: # former\n  lr: 1.0e-4 # former\n  # former\n  seed: 0\n  sizes: {a: [1,\n    2]}\n"
    )
    assert config_file.render(source).splitlines() == [
        "# Head.",
        "",
        "# Settings of runs.",
        "train:",
        "  lr: 1.0e-4  # Short.",
        "  # " + "x" * 90,
        "  seed: 0",
        "  sizes: {a: [1, 2]}",
    ]


def test_rendering_adds_missing_settings_with_their_defaults(config):
    for name in ("train", "clusters"):
        config[name] = dict(list(config[name].items())[:2])
    del config["samples"], config["methods"]["spm"]["tau"], config["methods"]["lvs"]
    rendered = yaml.safe_load(config_file.render(yaml.safe_dump(config, sort_keys=False)))
    complete = yaml.safe_load((ROOT / "config.yaml").read_text())
    complete["methods"]["lvs"] = {
        key: value
        for key, value in complete["methods"]["lvs"].items()
        if key not in Train.model_fields  # those are written by hand
    }
    assert rendered == complete


@pytest.mark.parametrize("section", schema.SECTIONS)
def test_every_section_and_every_setting_has_a_description(section):
    model = schema.SECTIONS[section]
    assert schema.introduction(section).endswith(".")
    texts = {key: schema.description(section, key) for key in model.model_fields}
    assert {key: text for key, text in texts.items() if not text.endswith((".", ".)"))} == {}


@pytest.mark.parametrize("method", methods.METHODS)
def test_every_method_and_every_setting_of_its_own_has_a_description(method):
    assert schema.introduction("methods", method).endswith(".")
    keys = set(method_settings(method).model_fields) - set(Train.model_fields)
    texts = {key: schema.description("methods", key, method) for key in keys}
    assert {key: text for key, text in texts.items() if not text.endswith((".", ".)"))} == {}


def test_config_yaml_names_every_key_of_every_section(config):
    assert {name: set(config[name]) for name in schema.SECTIONS} == {
        name: set(model.model_fields) for name, model in schema.SECTIONS.items()
    }


def test_config_yaml_names_every_key_that_a_method_adds(config):
    assert set(config["methods"]) == set(methods.METHODS)
    for name, section in config["methods"].items():
        settings = method_settings(name)
        assert set(section) >= set(settings.model_fields) - set(Train.model_fields), name
        defaults = settings().model_dump(mode="json")
        assert {key: defaults[key] for key in section} == section, name


def test_the_values_of_config_yaml_are_the_defaults_of_the_models(config):
    different = set()
    for section, model in schema.SECTIONS.items():
        for key, field in model.model_fields.items():
            if field.is_required():
                continue
            default = model.model_validate({**config[section], key: field.get_default()})
            if default.model_dump(mode="json")[key] != config[section][key]:
                different.add(f"{section}.{key}")
    assert different == set(DIFFERENT)


def test_every_model_accepts_its_section_with_the_changes_of_each_example(config):
    for name in ("demo", "local", "paper"):
        changes = yaml.safe_load((ROOT / "workflow" / "configs" / f"{name}.yaml").read_text())
        merged = project.merge(config, changes)
        validate(merged, SCHEMA)
        for section, model in schema.SECTIONS.items():
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
    assert [value for value, _ in paper] == [published for _, published in paper]


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("train", "epsylon", 1, r"train: unknown key epsylon; expected one of .*epochs"),
        (
            "methods",
            "spm",
            {"epsilon": 0.5, "epsylon": 1, "learn_scale": False, "tau": 0.03},
            r"methods\.spm: unknown key epsylon; expected one of .*; did you mean epsilon\?",
        ),
        (
            "train",
            "epochs",
            "many",
            r'train\.epochs: "many"; expected whole number from 1 to \d+ \(.+\.\)$',
        ),
        ("train", "epochs", 0, r"train\.epochs: 0; expected whole number from 1 to \d+ \(.+\.\)$"),
        (
            "spectrograms",
            "preset",
            "best",
            r'spectrograms\.preset: "best"; expected dsol or clean \(.+\.\)$',
        ),
        (
            "fetch",
            "rate_limit",
            0,
            r"fetch\.rate_limit: 0; expected whole number from 1 to \d+ or null \(",
        ),
        ("corpus", "boxes", ["drawn"], r'corpus\.boxes\.0: "drawn"; expected given or detector \('),
        (
            "runs",
            "other",
            {"promoted": True},
            r"runs\.other: unknown key promoted; expected one of .*promote",
        ),
        (
            "runs",
            "other",
            {"method": "spn"},
            r'runs\.other\.method: "spn"; expected one of .*spm',
        ),
        (
            "runs",
            "other",
            {"audio": "many"},
            r'runs\.other\.audio: "many"; expected one of main',
        ),
        ("runs", "a/b", {}, r'runs: "a/b"; expected text matching'),
        ("runs", "other", 5, r"runs\.other: 5; expected mapping, null or false"),
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
            r"audio\.many\.clusters\.k: 0; expected whole number from 2 to \d+ \(.+\.\)$",
        ),
        ("runs", "other", {"tau": 0}, r"runs\.other\.tau: 0; expected number > 0, ≤ 100 \(.+\.\)$"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_is_expected(config, section, key, value, message):
    config[section][key] = value
    with pytest.raises(UserError, match=message) as error:
        validate(config, SCHEMA)
    assert "\n" not in str(error.value)


def test_an_unknown_section_and_a_missing_key_are_named(config):
    unknown = r"the top level: unknown key trian; expected one of .*train"
    with pytest.raises(UserError, match=unknown):
        validate({**config, "trian": {}}, SCHEMA)
    del config["clips"]["size"]
    with pytest.raises(UserError, match="clips: missing size"):
        validate(config, SCHEMA)


@pytest.mark.slow
def test_modules_that_the_snakefile_imports_do_not_import_torch():
    modules = [
        *("spm.base.validation", "spm.base.shards", "spm.base.digest", "spm.base.tables"),
        *("spm.corpus.manifest", "spm.corpus.clip_reader", "spm.report.figures"),
        "spm.boxes.annotations",
    ]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
