"""No wrong setting and no wrong file costs a result.

Each row of tests/support/wrong_settings.py runs `snakemake all` on a finished project. It stops
with the line of the fault before any job starts, and all results are there, byte for byte.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.planner import planner_of
from tests.support.project import ROOT, Project
from tests.support.wrong_settings import (
    FILES,
    HARMLESS,
    VALUES,
    WRONG,
    YAML,
    Wrong,
)
from tests.workflow.conftest import TINY, results

pytestmark = pytest.mark.slow

Done = subprocess.CompletedProcess[str]
LARGE_BYTES = 1_000_000
NETWORK = "fusion/train/spm/network.safetensors"


@pytest.fixture(scope="module")
def finished(undisturbed, tmp_path_factory) -> Iterator[Project]:
    """A finished project, whose large results all tests of this module share."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(undisturbed.folder, folder, copy_function=shutil.copy2)
    project = Project(folder, TINY)
    before = results(project)
    yield project
    assert results(project) == before


@pytest.fixture
def project(finished, tmp_path) -> Path:
    """A copy of that project, with links instead of large files."""
    return Path(shutil.copytree(finished.folder, tmp_path / "p", copy_function=link_or_copy))


def link_or_copy(source: str, target: str) -> None:
    """Copy a file with its times, or link it if it is large."""
    copy = os.link if Path(source).stat().st_size > LARGE_BYTES else shutil.copy2
    copy(source, target)


def assert_same_results(project: Path, finished: Path) -> None:
    """Every result of the finished project is in its copy, byte for byte."""
    for file in (finished / "results").rglob("*"):
        other = project / file.relative_to(finished)
        assert file.is_dir() or other.samefile(file) or other.read_bytes() == file.read_bytes()


def arguments(project: Path, wrong: Wrong) -> list[str]:
    """Write the wrong files; the arguments of Snakemake."""
    for name, edit in wrong.files.items():
        content = edit((project / name).read_text())
        (project / name).write_bytes(content.encode() if isinstance(content, str) else content)
    config = project / "wrong.yaml"
    config.write_bytes(wrong.config.encode() if isinstance(wrong.config, str) else wrong.config)
    files = ["--configfile", project / "mine.yaml", config, "--snakefile", ROOT / "Snakefile"]
    return ["all", *map(str, files), "--directory", str(project), "--cores", "2"]


def check(wrong: Wrong, project: Path, finished: Project, run: Callable[..., Done]) -> None:
    """Run Snakemake with wrong files: it prints the line of the fault, and keeps all results."""
    done = run(arguments(project, wrong), project)
    assert done.returncode != 0, done.stdout
    lines = [line for line in done.stdout.splitlines() if re.search(wrong.line, line)]
    assert len(lines) == 1, done.stdout
    assert "Traceback" not in done.stdout
    assert not re.search(r"^(local)?rule \w+:", done.stdout, re.M), done.stdout
    assert (project / "results" / NETWORK).is_file()
    assert_same_results(project, finished.folder)


def command_line(words: list[str], project: Path) -> Done:
    """Run Snakemake in a new process."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *words],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_the_tables_have_fifty_rows():
    assert len({(wrong.config, wrong.line) for wrong in WRONG}) >= 50


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.line)
def test_a_wrong_setting_or_file_is_one_line_and_keeps_every_result(wrong, project, finished):
    check(wrong, project, finished, planner_of(ROOT).run)


# One of each way to stop: Snakemake reads the config, the Snakefile checks it, and the files.
@pytest.mark.parametrize("wrong", [YAML[0], VALUES[0], FILES[0]], ids=lambda wrong: wrong.line)
def test_the_command_line_of_snakemake_keeps_every_result_too(wrong, project, finished):
    check(wrong, project, finished, command_line)


def test_several_faults_are_listed_in_one_run(project):
    faults = "train: {device: gpu, epcohs: 3}\nscores: {protocols: [nosuch]}\nruns: {a/b: {}}\n"
    done = planner_of(ROOT).run(arguments(project, Wrong(faults, "")), project)
    keys = [line.split(":")[0] for line in done.stdout.splitlines() if "; expected " in line]
    assert keys == ["runs", "scores.protocols.0", "train", "train.device"]


@pytest.mark.parametrize("wrong", HARMLESS, ids=lambda wrong: wrong.line)
def test_a_harmless_file_or_setting_is_read_as_it_is_meant(wrong, project):
    done = planner_of(ROOT).run([*arguments(project, wrong), "--dry-run"], project)
    assert done.returncode == 0, done.stdout
    assert re.search(wrong.line, done.stdout), done.stdout
    assert "rule fetch:" not in done.stdout
