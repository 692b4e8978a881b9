import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spm.base.config import Section
from spm.base.errors import UserError
from spm.report import costs
from spm.report.costs import Cost, run
from tests.support.project import ROOT


def write_benchmark(path, *attempts):
    """Write a benchmark file as Snakemake does: a line per attempt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(attempt) + "\n" for attempt in attempts))


def test_jobs_are_summed_by_stage_and_a_number_that_was_not_measured_counts_as_0(tmp_path):
    clips = tmp_path / "corpus/clips"
    write_benchmark(clips / "0000.jsonl", {"s": 2.0, "cpu_time": 1.5, "max_rss": 100.0})
    write_benchmark(clips / "0001.jsonl", {"s": 3.0, "cpu_time": 1.5, "max_rss": "NA"})
    last = {"s": 0.5, "cpu_time": 0.25, "max_rss": 7.0}
    write_benchmark(tmp_path / "corpus/index.jsonl", {"s": 9.0}, last)
    read = costs.read(tmp_path)
    assert read == {
        "corpus/clips": Cost(2, 5.0, 3.0, 3.0, 100.0),
        "corpus/index": Cost(1, 0.5, 0.5, 0.25, 7.0),
    }
    assert list(costs.table(read))[-1] == "| corpus/index | 1 | 0.5 | 0.5 | 0.2 | 7 |"


def test_jobs_that_there_are_no_more_do_not_count(tmp_path):
    for run_name in ("spm", "gone"):
        write_benchmark(tmp_path / f"fusion/maps/{run_name}/solo.jsonl", {"s": 2.0})
        (tmp_path / f"fusion/train/{run_name}.tensorboard").mkdir(parents=True)
        speed = {"pictures": 5, "seconds": 1, "wait_share": 0}
        file = tmp_path / f"fusion/train/{run_name}.tensorboard/speed.json"
        file.write_text(json.dumps([speed]))
    assert costs.read(tmp_path, ["spm", "solo"])["fusion/maps"].jobs == 1
    (line,) = list(costs.trainings(tmp_path, ["spm", "solo"]))[2:]
    assert line.startswith("| fusion/train/spm | 1 |")


@pytest.mark.parametrize("content", ["", '{"s": 2.0', "[1]", "no"])
def test_half_a_benchmark_is_one_line(tmp_path, content):
    write_benchmark(tmp_path / "corpus/index.jsonl")
    (tmp_path / "corpus/index.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"index\.jsonl is not .+: delete it"):
        costs.read(tmp_path)


def test_the_rate_is_all_clips_over_the_time_of_all_jobs():
    lines = list(costs.table({"corpus/clips": Cost(2, 5.0, 3.0, 3.0, 100.0)}, clips=50))
    assert lines[0].endswith("| peak MB | clips per second |")
    assert {line.count("|") for line in lines} == {8}
    assert lines[-1].endswith("| 100 | 10.0 |")


def test_a_folder_without_benchmarks_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"no benchmarks \(\*\.jsonl\): expected the folder logs/"):
        costs.read(tmp_path)


@pytest.fixture
def logs(tmp_path):
    benchmark = {"s": 2.0, "cpu_time": 1.5, "max_rss": 30.0}
    write_benchmark(tmp_path / "logs/corpus/index.jsonl", benchmark)
    return tmp_path / "logs"


def test_the_costs_are_written_as_a_table_and_a_page(logs, tmp_path):
    pq.write_table(pa.table({"clip_id": ["a", "b", "c"]}), tmp_path / "index.parquet")
    markdown, page = tmp_path / "costs.md", tmp_path / "costs.html"
    index = tmp_path / "index.parquet"
    run(Section(), logs=logs, index=index, markdown_table=markdown, page=page, names=[])
    last = markdown.read_text().splitlines()[-1]
    assert last == "| corpus/index | 1 | 2.0 | 2.0 | 1.5 | 30 | 1.5 |"
    assert "<td" in page.read_text()


@pytest.mark.slow
def test_the_command_line_prints_the_table(logs):
    command = [sys.executable, "-m", "spm.report.costs", "--config", "{}", "--logs", str(logs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "| corpus/index | 1 | 2.0 | 2.0 | 1.5 | 30 |"


def test_the_trainings_are_a_table_of_their_own(logs, tmp_path, capsys):
    folder = logs / "fusion/train/spm.tensorboard"
    folder.mkdir(parents=True)
    epochs = [
        {"epoch": 0, "pictures": 300, "seconds": 2.0, "wait_share": 0.5, "gpu_peak_gb": 1.0},
        {"epoch": 1, "pictures": 1200, "seconds": 8.0, "wait_share": 0.0, "gpu_peak_gb": 3.0},
    ]
    (folder / "speed.json").write_text(json.dumps(epochs))
    run(Section(), logs=logs, index=None, markdown_table=None, page=None, names=[])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "| fusion/train/spm | 2 | 1,500 | 150.0 | 10.0% | 3.0 |"
    assert lines[-4] == ""
