"""Config files mean what is written in them, or are an error with a line."""

import json
from pathlib import Path

import pytest
import yaml

from spm.base import yaml_file
from spm.base.errors import UserError


@pytest.fixture
def written(tmp_path):
    """Write a config file."""

    def write(content: str | bytes, name: str = "mine.yaml"):
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write


def lines_of(file) -> list[str]:
    """The lines of the error of a file, without its folder."""
    with pytest.raises(UserError) as error:
        yaml_file.read(file)
    return [line.removeprefix(f"{file.parent}/") for line in str(error.value).split("\n")]


@pytest.mark.parametrize(
    "text",
    [
        "train: {epochs: 3, lr: 1e-4, half: yes, promote: off}\n",
        "base: &base {k: 3, seed: 1}\nclusters: {<<: *base, k: 4}\nagain: *base\n",
        "cards: {name: '011', license: \"on\", url: null}\n'no': {}\n",
        "a: [0, -1, +2, 10, 1.5, .5, 1., 1.5e+3, -0.0, .inf, .nan, 08, 0o17]\n",
        "runs:\n  spm: {}\n  other:\n    seed: 1\n# seed: 2\n",
        "\ufefftrain: {epochs: 3}\n",
    ],
)
def test_plain_settings_anchors_and_quoted_text_are_read_as_pyyaml_reads_them(written, text):
    assert repr(yaml_file.read(written(text))) == repr(yaml.safe_load(text))


def test_json_with_tabs_is_read(written):
    settings = {"train": {"epochs": 3, "names": ["a", "ö"]}, "runs": {"no": {}}}
    assert yaml_file.read(written(json.dumps(settings, indent="\t"))) == settings


@pytest.mark.parametrize(
    ("text", "key", "first", "second"),
    [
        ("runs:\n  no-promotion: false\n  spm: {seed: 0}\n  spm: {seed: 1}\n", "runs.spm", 3, 4),
        ("train:\n  lr: 1\nclips:\n  size: 64\ntrain:\n  epochs: 3\n", "train", 1, 5),
        ("train: {lr: 1,\n  epochs: 3, lr: 2}\n", "train.lr", 1, 2),
        ('train:\n  lr: 1\n  "lr": 2\n', "train.lr", 2, 3),
        ("a:\n  - b: 1\n  - b: 1\n    c: 2\n    b: 3\n", "a.1.b", 3, 5),
        ('{"train": {"lr": 1},\n\t"train": {"epochs": 2}}', "train", 1, 2),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\n  b: 3\n", "c.b", 4, 5),
    ],
)
def test_a_key_that_stands_twice_is_named_with_both_lines(written, text, key, first, second):
    assert lines_of(written(text)) == [
        f"mine.yaml, line {second}: {key}: line {first} has this key too, and only one of them"
        " would count: remove one"
    ]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *(("no", "false"), ("on", "true"), ("Yes", "true"), ("OFF", "false"), ("true", "true")),
        *(("011", "9"), ("12", "12"), ("1_000", "1000"), ("12:30", "750"), ("0x1f", "31")),
        *(("1.50", "1.5"), ("null", "null"), ("~", "null"), ("2024-01-31", "a timestamp")),
    ],
)
def test_a_key_that_yaml_does_not_read_as_text_is_an_error(written, word, value):
    assert lines_of(written(f"runs:\n  spm: {{}}\n  {word}: {{}}\n")) == [
        f'mine.yaml, line 3: runs: the key {word} is read as {value}: write "{word}"'
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("011", "9"), ("-017", "-15"), ("00", "0"), ("1_000", "1000"), ("1_0.5", "10.5")),
        *(("12:30", "750"), ("1:02:03", "3723"), ("1:30.5", "90.5"), ("0x1F", "31"), ("0b11", "3")),
    ],
)
def test_a_number_that_is_not_decimal_is_an_error(written, text, value):
    assert lines_of(written(f"clips:\n  size: {text}\n")) == [
        f"mine.yaml, line 2: clips.size: {text} is read as {value}: write the number in decimal"
        f' digits, or "{text}" if it is text'
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2024-01-31", '2024-01-31 is read as a date: write "2024-01-31" if it is text'),
        ("!!set {x}", "tag set; expected a value without tag"),
        ("!!binary aGk=", "tag binary; expected a value without tag"),
        ("!!python/name:os.system", "tag python/name:os.system; expected a value without tag"),
        ("!mine 3", "tag !mine; expected a value without tag"),
    ],
)
def test_a_date_and_a_tag_are_errors(written, value, message):
    assert lines_of(written(f"cards:\n  name: {value}\n")) == [
        f"mine.yaml, line 2: cards.name: {message}"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "mine.yaml: nothing at the top level; expected sections with settings"),
        ("# train: {epochs: 3}\n", "mine.yaml: nothing at the top level; expected sections"),
        ("- train\n- clips\n", "mine.yaml: a list at the top level; expected sections"),
        ("epochs=3\n", "mine.yaml: text at the top level; expected sections"),
        ("train:\n\tepochs: 3\n", "mine.yaml, line 2: a tab before a key; indent with spaces"),
        ("train:\n  lr: 1\n epochs: 3\n", "mine.yaml, line 3: expected <block end>"),
        ("train: {lr: 1\n", "mine.yaml, line 2: expected ',' or '}'"),
        ("train: lr: 1\n", "mine.yaml, line 1: mapping values are not allowed here"),
        ("a: 1\n---\nb: 1\n", "mine.yaml, line 2: but found another document"),
        ("a: b\x01\n", "mine.yaml: unacceptable character #x0001"),
        (
            "cards:\n  name: café\n".encode("latin-1"),
            "mine.yaml, line 2: byte 0xe9; expected UTF-8",
        ),
        ("train: {lr: 1}\n".encode("utf-16"), "mine.yaml, line 1: byte 0xff; expected UTF-8"),
    ],
)
def test_a_file_that_is_no_mapping_in_utf_8_is_one_line(written, content, message):
    (line,) = lines_of(written(content))
    assert line.startswith(message)


def test_a_missing_file_and_a_folder_are_one_line(tmp_path):
    for file in (tmp_path / "none.yaml", tmp_path):
        (line,) = lines_of(file)
        assert "cannot be read" in line


def test_all_faults_of_all_files_are_listed(written):
    files = [
        written("train:\n  lr: 1\n  seed: 011\n  lr: 2\nruns: {no: {}}\n", "a.yaml"),
        written("train: {}\n", "b.yaml"),
        written("train: {}\ntrain: {}\n", "c.yaml"),
    ]
    with pytest.raises(UserError) as error:
        yaml_file.check(files)
    starts = [line.split(": ")[0].split("/")[-1] for line in str(error.value).split("\n")]
    assert starts == ["a.yaml, line 3", "a.yaml, line 4", "a.yaml, line 5", "c.yaml, line 2"]


def test_the_config_files_of_this_repository_have_no_fault():
    root = Path(__file__).parents[2]
    files = [root / "config.yaml", *sorted((root / "workflow/configs").glob("*.yaml"))]
    assert len(files) > 4
    yaml_file.check(files)
