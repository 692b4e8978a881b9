"""The command line: help, examples, completion, output for machines, exit codes."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from spm.base import tables
from spm.cli import COMMANDS, EPILOG, app
from tests.support.project import ROOT
from tests.support.web import film

NAMES = sorted(module.__name__.rsplit(".", 1)[1].replace("_", "-") for module in COMMANDS)
EXAMPLES = [
    line
    for module in COMMANDS
    for line in module.EXAMPLES.splitlines()
    if line.startswith("  spm ")
]
PAGE = (ROOT / "docs/command-line.md").read_text()
ON_THE_PAGE = [line for line in PAGE.splitlines() if re.match(r"    spm [a-z]", line)]
SCREEN = (40, 80)  # lines and columns
HEAVY = {"torch", "pyarrow", "pandas", "numpy", "matplotlib", "scipy", "yt_dlp", "snakemake"}


def spm(*words, cwd=ROOT, **environment):
    command = [sys.executable, "-m", "spm.cli", *map(str, words)]
    here = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=here)


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_fits_a_screen_and_ends_with_examples(name):
    said = CliRunner().invoke(app, [*name.split(), "--help"], terminal_width=SCREEN[1]).stdout
    assert len(said.splitlines()) <= SCREEN[0]
    wide = [line for line in said.split("Examples:")[0].splitlines() if len(line) > SCREEN[1] + 10]
    assert not wide
    assert re.search(r"Examples:\n    spm ", said) or not name
    assert not name or "..." not in said.split("Usage:")[1].split("\n", 1)[1].split("Arguments:")[0]


@pytest.mark.parametrize("line", [*EXAMPLES, *ON_THE_PAGE])
def test_every_example_is_a_legal_command_line(line):
    words = shlex.split(re.split(r"   |\||&&", line.strip())[0])
    command = get_command(app).commands[words[1]]
    command.make_context(words[1], words[2:])  # complains where it isn't


def test_the_page_has_every_command_and_every_status():
    assert set(re.findall(r"^\| `spm ([a-z-]+)`", PAGE, re.M)) == set(NAMES)
    assert re.findall(r"^\| (\d+) \|", PAGE, re.M) == re.findall(
        r"\b(\d+) (?=done|some|a wrong|inter)", EPILOG
    )


def test_help_is_said_before_anything_heavy_is_imported():
    code = "import sys\nfrom spm.cli import app\n" + "".join(
        f"try: app({[*name.split(), '--help']})\nexcept SystemExit: pass\n" for name in ["", *NAMES]
    )
    code += "print('LOADED', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split("LOADED ")[1].split())
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    ("typed", "offered"), [("spm fet", "fetch-status"), ("spm localize --we", "--weights")]
)
def test_the_shell_completes_commands_and_options(typed, offered):
    words = {
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
        "_SPM_COMPLETE": "complete_bash",
    }
    assert offered in spm(**words).stdout.split()


def test_a_wrong_command_line_is_status_2_and_what_can_be_mended_is_one_line_and_status_1(tmp_path):
    wrong = spm("score", "maps.npz")
    assert (wrong.returncode, wrong.stderr.count("--boxes")) == (2, 1)
    amiss = spm("fetch-status", "--results", tmp_path)
    assert amiss.returncode == 1
    assert re.fullmatch(
        r"spm: error: .*no ledger there: name the results with --results.*\n", amiss.stderr
    )


@pytest.mark.parametrize("words", [["--debug", "fetch-status"], ["fetch-status", "--debug"]])
def test_debug_shows_where_an_error_arose_wherever_it_stands(words, tmp_path):
    said = spm(*words, "--results", tmp_path)
    assert said.returncode == 1
    assert "ledgers.py" in said.stderr


def test_interrupted_it_ends_with_130(tmp_path):
    os.mkfifo(tmp_path / "endless.csv")
    command = [sys.executable, "-m", "spm.cli", "manifest", str(tmp_path / "endless.csv")]
    # a process that a shell put in the background would ignore Ctrl-C
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *command], cwd=ROOT, stderr=subprocess.PIPE
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in said


@pytest.fixture
def folder(tmp_path):
    """Two solos, one of them under a name that no shell likes, and boxes."""
    for name in ("violin/a.mp4", "cello/two words.mp4"):
        (tmp_path / name).parent.mkdir()
        film(tmp_path / name, 0.2)
    (tmp_path / "boxes.csv").write_text(
        "video_id,time_s,category,x,y,w,h\na,0,violin,0,0,1,1\nb,0,violin,0,0,1,1\n"
    )
    return tmp_path


def test_a_manifest_is_made_of_a_folder_then_checked_with_the_boxes_beside_it(folder):
    made = spm("manifest", folder)
    assert "manifest.csv: 2 videos, 2 solos\n  categories: cello 1, violin 1" in made.stdout
    assert "snakemake all" in made.stdout
    (folder / "violin/a.mp4").unlink()
    checked = spm("manifest", folder / "manifest.csv", "--json")
    assert checked.returncode == 0
    (found,) = json.loads(checked.stdout)
    assert (found["videos"], found["kinds"], found["files"]) == (2, {"solo": 2}, 2)
    assert found["missing"] == [str((folder / "violin/a.mp4").resolve())]
    assert found["boxes"] == {"boxes": 2, "videos": 2, "unlisted": ["b"]}
    assert checked.stderr.count("spm: warning: ") == 2


def test_videos_that_cannot_be_asked_for_are_warned_of(folder):
    rows = "../a,a.mp4,solo,violin\nb,ftp://x/b.mp4,solo,violin\nc,violin/a.mp4,solo,violin\n"
    (folder / "manifest.csv").write_text("video_id,url,kind,categories\n" + rows)
    checked = spm("manifest", folder / "manifest.csv")
    assert checked.returncode == 0
    assert "1 files, 0 addresses to fetch" in checked.stdout
    assert "2 videos would be `bad`, as video_id '../a': expected letters" in checked.stderr


def test_a_manifest_that_is_none_is_said_with_its_line(folder):
    (folder / "manifest.csv").write_text("video_id,url,kind,categories\na,a.mp4,trio,violin\n")
    said = spm("manifest", folder / "manifest.csv", "--quiet")
    assert (said.returncode, said.stdout) == (1, "")
    assert "manifest.csv, line 2: kind 'trio': expected solo or duet" in said.stderr
    assert "no such file or folder: expected a manifest" in spm("manifest", folder / "none").stderr


def test_the_lists_of_music_are_made_from_its_clone(tmp_path):
    for name, videos in {"MUSIC_solo": {"flute": ["aaaaaaaaaaa"]}, "MUSIC_duet": {"flute violin": ["bbbbbbbbbbb"]},
                         "MUSIC21_solo": {"tuba": ["ccccccccccc"]}}.items():  # fmt: skip
        (tmp_path / f"{name}_videos.json").write_text(json.dumps({"videos": videos}))
    said = spm("manifest", tmp_path, "--out", tmp_path / "lists", "--json")
    assert [each["videos"] for each in json.loads(said.stdout)] == [2, 1]


@pytest.fixture
def results(tmp_path):
    answers = [("a", "ok", ""), ("b", "retry", "HTTP Error 503: busy"), ("c", "retry", "HTTP Error 503: busy"),
               ("d", "gone", "/videos/d.mp4: no such file"), ("e", "gone", "e is private")]  # fmt: skip
    for shard, some in enumerate((answers[:2], answers[2:])):
        rows = [
            {"video_id": video, "status": status, "reason": reason}
            for video, status, reason in some
        ]
        tables.write_rows(
            tmp_path / f"results/corpus/fetch/{shard:04d}.parquet", tables.LEDGER, rows
        )
    return tmp_path / "results"


def test_what_came_of_fetching_is_counted_by_status_and_reason_with_what_to_do(results):
    said = spm("fetch-status", "--results", results).stdout
    assert said.startswith("5 videos: 1 ok, 2 retry, 2 gone\n")
    assert "retry: may come back: `make retry` asks" in said
    assert re.search(r"^ +2  HTTP Error 503: busy, as b$", said, re.M)
    assert re.search(r"^ +1  no such file, as d$", said, re.M)
    assert re.search(r"^ +1  … is private, as e$", said, re.M)
    assert "\nok: " not in spm("fetch-status", "--results", results, "--quiet").stdout


def test_machines_get_the_ids_of_every_answer(results):
    found = json.loads(spm("fetch-status", "--results", results, "--json").stdout)
    assert [each["videos"] for each in found if each["status"] == "retry"] == [["b", "c"]]


def test_every_status_of_the_ledger_has_advice():
    from spm.corpus import fetch_status

    assert set(fetch_status.WHAT_NOW) == {"ok", "gone", "blocked", "retry", "bad"}
