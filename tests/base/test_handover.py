"""JSON and CSV files between the stages: what is not as it was written is an error of one line."""

import json

import pandas as pd
import pytest

from spm.base import csv_file, json_file
from spm.base.errors import UserError
from spm.base.json_cache import cached

CONTENT = {"frames": 12, "ciou": 0.25, "categories": {"cello": 0}, "sizes": (1, 2)}
TABLE = pd.DataFrame({"kind": ["solo", "duet"] * 50, "clips": range(100)})


@pytest.fixture
def summary(tmp_path):
    json_file.write(tmp_path / "summary.json", CONTENT)
    return tmp_path / "summary.json"


@pytest.fixture
def coverage(tmp_path):
    csv_file.write(tmp_path / "coverage.csv", TABLE)
    return tmp_path / "coverage.csv"


def halve(path):
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\n", 0, len(content) // 2) + 1])


def test_a_json_file_is_read_as_it_was_written(summary):
    assert json_file.read(summary) == {**CONTENT, "sizes": [1, 2]}
    assert json.loads(summary.read_text())["ciou"] == 0.25


def test_keys_that_are_numbers_become_text(tmp_path):
    json_file.write(tmp_path / "n.json", {"counts": {10: 1, 9: 2}})
    assert json_file.read(tmp_path / "n.json") == {"counts": {"10": 1, "9": 2}}


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"frames": 12}', '{"frames": ', "\0", "[" * 100_000, "\ufeff{}"],
)
def test_a_json_file_that_was_not_written_like_this_is_one_line(summary, text):
    summary.write_text(text)
    with pytest.raises(UserError, match=r"summary\.json .+: delete it and run again") as raised:
        json_file.read(summary)
    assert "\n" not in str(raised.value)


def test_a_changed_number_in_a_json_file_is_noticed(summary):
    summary.write_text(summary.read_text().replace("0.25", "0.35"))
    with pytest.raises(UserError, match="its digest differs"):
        json_file.read(summary)


def test_a_json_file_of_other_origin_needs_no_digest_but_a_right_one(tmp_path, summary):
    (tmp_path / "own.json").write_text('{"categories": ["cello"]}')
    assert json_file.read(tmp_path / "own.json", signed=False) == {"categories": ["cello"]}
    summary.write_text(summary.read_text().replace("0.25", "0.35"))
    with pytest.raises(UserError, match="or delete its key 'digest'"):
        json_file.read(summary, signed=False)


def test_a_csv_file_is_read_as_it_was_written(coverage):
    assert [int(row["clips"]) for row in csv_file.read_rows(coverage, ["clips"])] == list(
        range(100)
    )


def test_half_a_csv_file_is_noticed(coverage):
    halve(coverage)
    assert len(pd.read_csv(coverage)) > 10  # another reader would not notice
    with pytest.raises(UserError, match=r"coverage\.csv is not complete, or was changed"):
        csv_file.read_text(coverage, ["clips"])


@pytest.mark.parametrize("name", ["coverage.csv", "coverage.json"])
def test_a_missing_half_of_the_pair_is_named(coverage, name):
    coverage.with_name(name).unlink()
    assert not csv_file.has_digest(coverage)
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        csv_file.read_text(coverage, ["clips"])


def test_a_missing_column_is_named(coverage):
    with pytest.raises(UserError, match=r"coverage\.csv has no column split"):
        csv_file.read_text(coverage, ["kind", "split"])


def test_a_damaged_cache_is_computed_again(tmp_path):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("rows")

    def read(value):
        return cached(manifest, "rows", "spm.base.json_cache", tmp_path / "cache", lambda: value)

    assert read([1]) == read([2]) == [1]
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text(file.read_text()[:-1])
    assert read([3]) == read([4]) == [3]
