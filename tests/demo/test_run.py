import pandas as pd
import pytest

from spm.demo import run

LOG = """Building DAG of jobs...
Job stats:
job              count
-------------  -------
fetch                2
clips                2
figures              1
films_of_no_rule     0
all                  1
total                6

Finished jobid: 1 (Rule: fetch)
fetch: 100%|##########| 3/3
Finished jobid: 2 (Rule: fetch)
Finished jobid: 3 (Rule: clips)
"""


def test_a_stage_has_its_line_when_its_last_job_has_finished(capsys):
    run.follow(iter(LOG.splitlines(keepends=True)), run.Stages())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1, "clips has one job left, figures has not begun"
    assert "fetch" in lines[0]
    assert "left" in lines[0]


def test_stages_without_jobs_take_no_time():
    stages = run.Stages()
    run.follow(iter(LOG.splitlines(keepends=True)[:10]), stages)
    expected = run.EXPECTED_S
    assert stages.left_s == sum(expected[name] for name in ("fetch", "clips", "report", "page"))


def test_every_stage_of_the_demo_has_a_text():
    assert run.EXPECTED_S.keys() == run.WHAT.keys()
    lines = [f"  0:00  {stage:<13}{text:<43}about 10:00 left" for stage, text in run.WHAT.items()]
    assert max(map(len, lines)) <= 80
    assert len(lines) < 20


def test_a_failed_command_shows_the_end_of_the_log_and_its_place(tmp_path, capsys):
    log = tmp_path / "demo.log"
    with pytest.raises(SystemExit, match=r"demo\.log"):
        run.run_logged(["sh", "-c", "echo the reason; exit 3"], log, run.Stages())
    assert "the reason" in capsys.readouterr().err
    assert log.read_text() == "the reason\n"


def test_the_table_shows_the_trained_run_and_the_baselines_of_the_first_protocol(tmp_path):
    row = {
        "testset": "solo", "box_source": "given", "protocol": "spm-paper", "frames": 8,
        "videos": 2, "auc low": 0.4, "auc high": 0.6, "ciou@0.3": 0.9,
    }  # fmt: skip
    rows = [
        {**row, "run": "spm", "trained": True, "auc": 0.5},
        {**row, "run": "whole-image", "trained": False, "auc": 0.2},
        {**row, "run": "spm", "trained": True, "auc": 0.7, "protocol": "ez-vsl"},
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "scores.csv", index=False)
    text = run.summary(tmp_path / "scores.csv")
    assert "8 frames of 2 test videos, given boxes, protocol spm-paper" in text
    assert "spm (trained)         0.500 [0.400, 0.600]" in text
    assert "whole-image" in text
    assert "0.700" not in text
