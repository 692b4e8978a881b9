import json

import pytest

from spm.base.config import UserError
from spm.report import stage_costs


def test_the_jobs_of_a_stage_are_summed_and_what_was_not_measured_counts_as_nothing(tmp_path):
    for room, stage, seconds, memory in (
        ("corpus", "clips/0000", 2.0, 100.0),
        ("corpus", "clips/0001", 3.0, "NA"),
    ):
        file = tmp_path / room / f"{stage}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"s": seconds, "cpu_time": 1.5, "max_rss": memory}) + "\n")
    (tmp_path / "corpus/index.jsonl").write_text(
        '{"s": 9.0}\n{"s": 0.5, "cpu_time": 0.25, "max_rss": 7.0}\n'
    )
    assert stage_costs.read(tmp_path) == {
        "corpus/clips": stage_costs.Cost(2, 5.0, 3.0, 3.0, 100.0),
        "corpus/index": stage_costs.Cost(1, 0.5, 0.5, 0.25, 7.0),
    }
    assert (
        list(stage_costs.table(stage_costs.read(tmp_path)))[-1]
        == "| corpus/index | 1 | 0.5 | 0.5 | 0.2 | 7 |"
    )


def test_a_rate_is_that_of_all_clips_in_the_time_of_all_jobs():
    lines = list(
        stage_costs.table({"corpus/clips": stage_costs.Cost(2, 5.0, 3.0, 3.0, 100.0)}, clips=50)
    )
    assert lines[0].endswith("| peak MB | clips a second |")
    assert {line.count("|") for line in lines} == {8}
    assert lines[-1].endswith("| 100 | 10.0 |")


def test_a_folder_without_benchmarks_is_said(tmp_path):
    with pytest.raises(UserError, match="no benchmarks there"):
        stage_costs.read(tmp_path)
