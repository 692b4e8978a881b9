"""Every command in README, CONTRIBUTING and docs/ is one that works: run, planned, or held against what it names."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support import conda
from tests.support.planner import planner_of
from tests.support.project import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ELSEWHERE = {"new-method.md": "tests/test_new_method_page.py"}  # page: the test that runs all of it
SHELL = {"", "sh", "bash", "shell", "console"}  # what a block is marked with; nothing: commands too
NAMED = re.compile(r"(spm|make|snakemake|python|mkdocs) [^A-Z]")  # a command within a sentence
OURS = ("spm ", "python -m spm.")
SCRIPTS = (
    "python benchmarks/",
    "python -m benchmarks.",
    "python -m tests.",
    "python workflow/",
    "python -m pytest tests/",
)
# What is not run, and is not held against anything either.
NOT_HERE = {
    "git clone": "wants the repository's address",
    "cd": "goes where that put it",
    "python3 -m venv": "the environment that the tests run in was made by make setup",
    "pip install": "the same",
    ". .venv/bin/activate": "changes the reader's own shell",
    "export": "the same",
    "sinfo": "asks a cluster that is not here",
    "snakemake --containerize": "only prints what an image is built from, and building it wants a network",
    "mkdocs serve": "serves until it is stopped; make check builds the same pages",
}
# Parts of a plan that a dry run can't have: tests/workflow/test_report.py, test_conda.py and test_faults.py run them.
NOT_PLANNED = re.compile(r"--report \S+|--conda-create-envs-only|--unlock|--dry-run|…")


class Command(NamedTuple):
    """A command, and the page that it stands on."""

    page: str
    text: str


def commands(markdown: str) -> Iterator[str]:
    """The commands of a page: those of its shell blocks, and those named in its sentences."""
    for token in MarkdownIt("commonmark").parse(markdown):
        if token.type in ("fence", "code_block") and token.info.split(" ")[0] in SHELL:
            lines = token.content.replace("\\\n", " ").splitlines()
            yield from (
                part.strip()
                for line in lines
                for part in uncommented(line).split("&&")
                if part.strip()
            )
        yield from (part.content for part in token.children or [] if named(part))


def uncommented(line: str) -> str:
    return re.sub(r"\s#( .*)?$", "", line)


def named(part: Token) -> bool:
    return part.type == "code_inline" and bool(NAMED.match(part.content))


FOUND = [
    Command(page.name, text)
    for page in PAGES
    if page.name not in ELSEWHERE
    for text in commands(page.read_text())
]


def of(*starts: str) -> list[str]:
    """The commands that begin so, each once, without what is not run here."""
    wanted = [each.text for each in FOUND if each.text.startswith(starts)]
    return [text for text in dict.fromkeys(wanted) if not text.startswith(tuple(NOT_HERE))]


@pytest.fixture(scope="module")
def folder(media, tmp_path_factory) -> Path:
    """A folder as the tutorial has it: its videos, their boxes, and what lies beside a checkout."""
    folder = tmp_path_factory.mktemp("reader") / "spm"
    tutorial = (ROOT / "docs/tutorial.md").read_text()
    for video in re.findall(r"^videos/\S+$", tutorial, re.M):
        (folder / video).parent.mkdir(parents=True, exist_ok=True)
        (folder / video).write_bytes(media.read_bytes())
    (folder / "videos/boxes.csv").write_text("video_id,time_s,category,x,y,w,h\n")
    (folder / "mine.yaml").write_text("{}")
    (folder / "workflow").symlink_to(ROOT / "workflow")
    for corpus in (folder / "recordings", folder / "comparison/corpus"):  # of docs/results.md
        corpus.mkdir(parents=True)
        (corpus / "manifest.csv").write_text("video_id,url,kind,categories\na,a.mp4,solo,cello\n")
        shutil.copy(folder / "videos/boxes.csv", corpus)
    return folder


@pytest.fixture(scope="module")
def listed(folder) -> str:
    """What is said when the videos are listed as the README and the tutorial say."""
    return said("spm manifest videos", folder)


def said(command: str, folder: Path) -> str:
    """What a command prints; it must end well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "TERM": "dumb"}
    name, *rest = shlex.split(command)
    start = {"python": [sys.executable], "spm": [sys.executable, "-m", "spm.cli"]}.get(name, [name])
    done = subprocess.run(
        [*start, *rest], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def options(command: str) -> set[str]:
    return set(re.findall(r"(?<=\s)--[a-z][\w-]*", command))


def test_every_command_is_known_here():
    """One that nothing below looks at is asked for: run it, plan it, or say in NOT_HERE why not."""
    handled = ("snakemake ", "make ", *OURS, *SCRIPTS)
    unknown = [each for each in FOUND if not each.text.startswith((*handled, *NOT_HERE))]
    assert not unknown
    assert len(FOUND) > 50  # they are found at all


def test_the_version_to_cite_is_this_one():
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert f"Version {version}." in (ROOT / "docs/citing.md").read_text()
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_a_page_that_another_test_runs_is_run_by_it():
    for page, test in ELSEWHERE.items():
        if (ROOT / "docs" / page).exists():
            assert page in (ROOT / test).read_text()


def test_listing_a_folder_of_videos_says_the_command_that_the_pages_have_next(folder, listed):
    assert len((folder / "videos/manifest.csv").read_text().splitlines()) == 1 + 5
    [command] = re.findall(r"^ *(snakemake all .*)$", listed, re.M)
    for page in ("README.md", "tutorial.md"):
        assert {Command(page, "spm manifest videos"), Command(page, command)} <= set(FOUND)


@pytest.mark.slow
def test_every_command_of_snakemake_has_a_plan(folder, listed, tmp_path):
    """With a conda and its channels on this machine, for the plans that need one."""
    environment = conda.install(tmp_path, conda.tested())
    files = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    for command in of("snakemake "):
        words = shlex.split(NOT_PLANNED.sub("", command))[1:]
        arguments = [*files, "--cores", "2", "--dry-run", *words]
        assert planner_of(ROOT).plan(arguments, folder, environment).stale, command


@pytest.mark.parametrize("command", of(*OURS))
def test_every_option_of_our_own_commands_is_in_their_help(command, folder):
    words = shlex.split(command)
    start = (
        words[:2]
        if words[0] == "spm"
        else words[: 4 if words[3:4] in (["export"], ["import"]) else 3]
    )
    text = said(shlex.join([*start, "--help"]), folder)
    assert not {option for option in options(command) if option not in text}


@pytest.mark.parametrize("command", of(*SCRIPTS))
def test_every_script_is_there_with_its_options(command):
    """They take minutes, or are this suite: `make bench` runs them."""
    name = next(part for part in shlex.split(command)[1:] if part not in ("-m", "pytest"))
    file = ROOT / (name if "/" in name else f"{name.replace('.', '/')}.py")
    known = file.read_text() + (ROOT / "tests/conftest.py").read_text() * ("pytest" in command)
    assert not {option for option in options(command) if f'"{option}"' not in known}


@pytest.mark.parametrize("command", of("make "))
def test_every_target_of_make_can_be_made(command):
    assert said(command.replace("make", "make --dry-run", 1), ROOT)
