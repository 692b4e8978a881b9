"""docs/new-method.md, gone through from top to bottom in a checkout of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.support.project import ROOT, checkout

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/new-method.md").read_text()
BLOCKS = re.findall(r'^```(bash|python|yaml)(?: title="([^"]+)")?\n(.*?)^```$', PAGE, re.M | re.S)


@pytest.fixture(scope="module")
def gone_through(tmp_path_factory) -> tuple[Path, list[str]]:
    """The checkout afterwards, and what each command said."""
    root = checkout(tmp_path_factory.mktemp("tutorial") / "spm")
    shutil.copytree(ROOT / "tests", root / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = []
    for language, file, text in BLOCKS:
        if language == "bash":
            said.append(done(text, root, {**os.environ, "PATH": path, "PYTHONPATH": str(root)}))
        else:
            (root / file).write_text(text)
    return root, said


def done(command: str, root: Path, environment: dict[str, str]) -> str:
    run = subprocess.run(
        ["bash", "-ec", command],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert run.returncode == 0, command + run.stdout + run.stderr
    return run.stdout + run.stderr


def test_every_command_of_the_page_ends_well_and_its_run_stands_in_the_table_beside_the_others(
    gone_through,
):
    root, _ = gone_through
    table = pd.read_csv(root / "tutorial/results/report/tables/scores.csv")
    assert {"spm", "davenet", "whole-image", "mean-box"} <= set(table["run"])
    assert table.groupby(["kind", "boxes", "protocol"])["frames"].nunique().eq(1).all()


def test_the_method_is_under_60_lines_and_what_the_page_says_of_it_holds():
    (method,) = [text for _, file, text in BLOCKS if file == "spm/fusion/methods/davenet.py"]
    lines = len(method.splitlines())
    assert lines < 60
    assert f"{lines} lines" in PAGE


def test_a_changed_method_trains_its_own_run_again_and_no_other(gone_through):
    planned = gone_through[1][-1]
    assert re.search(r"^train +1$", planned, re.M)
    assert re.search(r"^maps +1$", planned, re.M)
    assert "clips" not in planned
    assert "pretrain" not in planned


def test_its_files_are_as_the_house_wants_them(gone_through):
    root, _ = gone_through
    files = ["spm/fusion/methods/davenet.py", "tests/fusion/test_davenet.py"]
    for command in (["ruff", "check"], ["ruff", "format", "--check"]):
        text = subprocess.run(
            [*command, *files], cwd=root, capture_output=True, text=True, check=False
        )
        assert text.returncode == 0, text.stdout + text.stderr
