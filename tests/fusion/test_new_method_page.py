"""docs/new-method.md: all its files and commands, in order, in a checkout of its own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.support import preloaded
from tests.support.project import ROOT, checkout

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/new-method.md").read_text()
BLOCKS = re.findall(r'^```(bash|python|yaml)(?: title="([^"]+)")?\n(.*?)^```$', PAGE, re.M | re.S)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory) -> tuple[Path, list[str]]:
    """The checkout after all steps of the page, and the output of each command."""
    root = checkout(tmp_path_factory.mktemp("tutorial") / "spm")
    shutil.copytree(ROOT / "tests", root / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    path = preloaded.programs(tmp_path_factory.mktemp("programs"))
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(root)}
    outputs = []
    for language, file, text in BLOCKS:
        if language == "bash":
            outputs.append(run_command(text, root, environment))
        else:
            (root / file).write_text(text)
    return root, outputs


def run_command(command: str, root: Path, environment: dict[str, str]) -> str:
    process = subprocess.run(
        ["bash", "-ec", command],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert process.returncode == 0, command + process.stdout + process.stderr
    return process.stdout + process.stderr


def test_every_command_succeeds_and_the_score_table_has_the_new_run(tutorial):
    root, _ = tutorial
    table = pd.read_csv(root / "tutorial/results/report/tables/scores.csv")
    assert {"spm", "davenet", "whole-image", "mean-box"} <= set(table["run"])
    assert table.groupby(["testset", "box_source", "protocol"])["frames"].nunique().eq(1).all()


def test_the_method_has_the_number_of_lines_that_the_page_says_fewer_than_60():
    (method,) = [text for _, file, text in BLOCKS if file == "spm/fusion/methods/davenet.py"]
    lines = len(method.splitlines())
    assert lines < 60
    assert f"{lines} lines" in PAGE


def test_after_a_change_of_the_method_only_its_own_run_is_trained_again(tutorial):
    plan = tutorial[1][-1]
    assert re.search(r"^train +1$", plan, re.M)
    assert re.search(r"^maps +1$", plan, re.M)
    assert not re.search(r"^(clips|pretrain) ", plan, re.M)


def test_its_files_pass_ruff(tutorial):
    root, _ = tutorial
    files = ["spm/fusion/methods/davenet.py", "tests/fusion/test_davenet.py"]
    for command in (["ruff", "check"], ["ruff", "format", "--check"]):
        process = subprocess.run(
            [*command, *files], cwd=root, capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, process.stdout + process.stderr
