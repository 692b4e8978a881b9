"""Every command in README, CONTRIBUTING and docs/ works: it is run, planned or checked."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from spm.base.version import VERSION
from tests.support import conda
from tests.support.planner import planner_of
from tests.support.project import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Pages whose commands another test runs.
ELSEWHERE = {"new-method.md": "tests/fusion/test_new_method_page.py"}
SHELL = {
    "",
    "sh",
    "bash",
    "shell",
    "console",
}  # languages of code blocks; blocks without one have commands, too
NAMED = re.compile(r"(spm|make|snakemake|python|mkdocs) [^A-Z]")  # a command in a sentence
OURS = ("spm ", "python -m spm.")
SCRIPTS = (
    "python benchmarks/",
    "python -m benchmarks.",
    "python -m tests.",
    "python docs/",
    "python workflow/",
    "python -m pytest tests/",
)
# Commands that are neither run nor checked, and why.
NOT_HERE = {
    "git clone": "needs the address of the repository",
    "cd": "enters the cloned folder",
    "python3 -m venv": "make setup made the environment of the tests",
    "pip install": "make setup made the environment of the tests",
    "docker": "needs Docker",
    ". .venv/bin/activate": "changes the shell of the reader",
    "export": "changes the shell of the reader",
    "sinfo": "needs a cluster",
    "snakemake --containerize": "prints the recipe of an image, which needs a network",
    "mkdocs serve": "runs until it is stopped; make check builds the same pages",
}
# Options that a dry run does not accept. test_report.py, test_conda.py and test_faults.py run them.
NOT_PLANNED = re.compile(r"--report \S+|--conda-create-envs-only|--unlock|--dry-run|…")


CATEGORIES = ("cello", "trumpet", "violin", "flute")  # of the corpora of docs/results.md


class Command(NamedTuple):
    """A command and its page."""

    page: str
    text: str


def commands(markdown: str) -> Iterator[str]:
    """The commands in the shell blocks and in the sentences of a page."""
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


def commands_with(*starts: str) -> list[str]:
    """The commands that begin with one of the words, each once, without those of NOT_HERE."""
    texts = [command.text for command in FOUND if command.text.startswith(starts)]
    return [text for text in dict.fromkeys(texts) if not text.startswith(tuple(NOT_HERE))]


@pytest.fixture(scope="module")
def folder(media, tmp_path_factory) -> Path:
    """The folder of the tutorial: its videos, their boxes, and the other corpora of the pages."""
    folder = tmp_path_factory.mktemp("reader") / "spm"
    tutorial = (ROOT / "docs/tutorial.md").read_text()
    for video in re.findall(r"^videos/\S+$", tutorial, re.M):
        (folder / video).parent.mkdir(parents=True, exist_ok=True)
        (folder / video).write_bytes(media.read_bytes())
    header = "video_id,time_s,category,x,y,w,h\n"
    (folder / "videos/boxes.csv").write_text(header + "a,3.25,violin,0.41,0.30,0.22,0.35\n")
    (folder / "mine.yaml").write_text("{}")
    (folder / "workflow").symlink_to(ROOT / "workflow")
    for corpus in (folder / "recordings", folder / "comparison/corpus"):  # of docs/results.md
        corpus.mkdir(parents=True)
        names = ("cello", "flute", "tuba", "violin")
        rows = [f"{name}{n},{name}{n}.mp4,solo,{name}\n" for name in names for n in range(4)]
        (corpus / "manifest.csv").write_text("video_id,url,kind,categories\n" + "".join(rows))
        (corpus / "boxes.csv").write_text(header + "cello0,3.25,cello,0.41,0.30,0.22,0.35\n")
    return folder


@pytest.fixture(scope="module")
def listed(folder) -> str:
    """Output of the command that lists the videos, from the README and the tutorial."""
    return output_of("spm manifest videos", folder)


def output_of(command: str, folder: Path) -> str:
    """Output of a command, which must succeed."""
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


def test_every_command_is_covered_by_a_test():
    """A new kind of command needs a test below, or a reason in NOT_HERE."""
    handled = ("snakemake ", "make ", *OURS, *SCRIPTS)
    unknown = [c for c in FOUND if not c.text.startswith((*handled, *NOT_HERE))]
    assert not unknown
    assert len(FOUND) > 50  # the pages are read


def test_the_version_to_cite_is_that_of_the_package():
    assert f"Version {VERSION}." in (ROOT / "docs/citing.md").read_text()
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()


def test_a_page_with_a_test_of_its_own_is_named_in_that_test():
    for page, test in ELSEWHERE.items():
        if (ROOT / "docs" / page).exists():
            assert page in (ROOT / test).read_text()


@pytest.mark.slow
def test_listing_a_folder_of_videos_prints_the_next_command_of_the_pages(folder, listed):
    assert len((folder / "videos/manifest.csv").read_text().splitlines()) == 1 + 5
    [command] = re.findall(r"^ *(snakemake all .*)$", listed, re.M)
    for page in ("README.md", "tutorial.md"):
        assert {Command(page, "spm manifest videos"), Command(page, command)} <= set(FOUND)


@pytest.mark.slow
def test_every_command_of_snakemake_has_a_plan(folder, listed, tmp_path):
    """With a conda and its channels on this machine, for the plans that need one."""
    environment = conda.install(tmp_path, conda.tested())
    files = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    for command in commands_with("snakemake "):
        words = shlex.split(NOT_PLANNED.sub("", command))[1:]
        arguments = [*files, "--cores", "2", "--dry-run", *words]
        assert planner_of(ROOT).plan(arguments, folder, environment).stale, command


@pytest.mark.slow
@pytest.mark.parametrize("command", commands_with(*OURS))
def test_every_option_of_our_own_commands_is_in_their_help(command, folder):
    words = shlex.split(command)
    start = (
        words[:2]
        if words[0] == "spm"
        else words[: 4 if words[3:4] in (["export"], ["import"]) else 3]
    )
    text = output_of(shlex.join([*start, "--help"]), folder)
    assert not {option for option in options(command) if option not in text}


@pytest.mark.parametrize("command", commands_with(*SCRIPTS))
def test_every_script_is_there_with_its_options(command):
    """They take minutes, or are this suite; `make bench` runs the benchmarks."""
    name = next(part for part in shlex.split(command)[1:] if part not in ("-m", "pytest"))
    file = ROOT / (name if "/" in name else f"{name.replace('.', '/')}.py")
    if not file.exists():  # a package
        file = file.with_suffix("") / "__main__.py"
    known = file.read_text() + (ROOT / "tests/conftest.py").read_text() * ("pytest" in command)
    assert not {option for option in options(command) if f'"{option}"' not in known}


@pytest.mark.parametrize("command", commands_with("make "))
def test_every_target_of_make_can_be_made(command):
    assert output_of(command.replace("make", "make --dry-run", 1), ROOT)
