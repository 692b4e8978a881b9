"""The command line: help, examples, completion, JSON, exit status."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import chdir

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from spm.base import schemas, tables
from spm.cli import COMMANDS, EPILOG, commands, review
from tests.support.project import ROOT
from tests.support.web import film

NAMES = sorted(module.__name__.rsplit(".", 1)[1].replace("_", "-") for module in COMMANDS)
PAGE = (ROOT / "docs/command-line.md").read_text()
PAGE_EXAMPLES = [line for line in PAGE.splitlines() if re.match(r"    spm [a-z]", line)]
SCREEN = (40, 80)  # lines and columns
SLOW_IMPORTS = {
    "torch", "pyarrow", "pandas", "numpy", "matplotlib", "scipy", "yt_dlp", "snakemake",
}  # fmt: skip


def help_examples():
    """The examples in the help of all commands."""
    lines = []
    for module in COMMANDS:
        lines += [line for line in module.EXAMPLES.splitlines() if line.startswith("  spm ")]
    return lines


def spm(*words, cwd=ROOT, **environment):
    """Run a command of spm."""
    command = [sys.executable, "-m", "spm.cli", *map(str, words)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, env=variables
    )


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_fits_a_screen_and_ends_with_examples(name):
    text = CliRunner().invoke(commands, [*name.split(), "--help"], terminal_width=SCREEN[1]).stdout
    assert len(text.splitlines()) <= SCREEN[0]
    before_examples = text.split("Examples:")[0].splitlines()
    assert not [line for line in before_examples if len(line) > SCREEN[1] + 10]
    if name:
        assert re.search(r"Examples:\n    spm ", text)
        description = text.split("Usage:")[1].split("\n", 1)[1].split("Arguments:")[0]
        assert "..." not in description  # typer cuts texts that are too long


@pytest.mark.parametrize("line", [*help_examples(), *PAGE_EXAMPLES])
def test_every_example_is_a_valid_command_line(line):
    words = shlex.split(re.split(r"   |\||&&", line.strip())[0])
    command = get_command(commands).commands[words[1]]
    command.make_context(words[1], words[2:])  # raises an error where it is not valid


def test_the_page_has_every_command_and_every_exit_status():
    assert set(re.findall(r"^\| `spm ([a-z-]+)`", PAGE, re.M)) == set(NAMES)
    statuses = re.findall(r"\b(\d+) (?=success|an error|a wrong|inter)", EPILOG)
    assert re.findall(r"^\| (\d+) \|", PAGE, re.M) == statuses


def test_the_file_of_a_review_is_beside_the_manifest_of_the_results(tmp_path):
    results = tmp_path / "results"
    with pytest.raises(typer.BadParameter, match=r"there is no .*: name the CSV file to write"):
        review.beside_manifest(results, "boxes.csv")
    (tmp_path / "manifest.csv").touch()
    assert review.beside_manifest(results, "boxes.csv") == tmp_path / "boxes.csv"
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/manifest.csv").touch()
    assert review.beside_manifest(results, "boxes.csv") == tmp_path / "videos/boxes.csv"


@pytest.mark.slow
def test_help_imports_no_slow_package():
    code = ["import sys", "from spm.cli import commands"]
    for name in ["", *NAMES]:
        words = [*name.split(), "--help"]
        code.append(f"try: commands({words})\nexcept SystemExit: pass")
    code.append("print('LOADED', *sys.modules)")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.split("LOADED ")[1].split())
    assert loaded & SLOW_IMPORTS == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "completion"), [("spm fet", "fetch-status"), ("spm localize --we", "--weights")]
)
def test_the_shell_completes_commands_and_options(typed, completion):
    words = {
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
        "_SPM_COMPLETE": "complete_bash",
    }
    assert completion in spm(**words).stdout.split()


@pytest.mark.slow
def test_a_wrong_command_line_has_status_2():
    done = spm("score", "maps.npz")
    assert (done.returncode, done.stderr.count("--boxes")) == (2, 1)


@pytest.mark.slow
def test_an_error_that_the_user_can_correct_is_one_line_and_status_1(tmp_path):
    done = spm("fetch-status", "--results", tmp_path)
    assert done.returncode == 1
    line = r"spm: error: .*no ledger in this folder: .* with --results.*\n"
    assert re.fullmatch(line, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--debug", "fetch-status"], ["fetch-status", "--debug"]])
def test_debug_shows_where_an_error_occurred_at_any_place_of_the_line(words, tmp_path):
    done = spm(*words, "--results", tmp_path)
    assert done.returncode == 1
    assert "corpus/fetch_status.py" in done.stderr


@pytest.mark.slow
def test_an_interrupted_command_has_status_130(tmp_path):
    os.mkfifo(tmp_path / "endless.csv")
    command = [sys.executable, "-m", "spm.cli", "manifest", str(tmp_path / "endless.csv")]
    # a process that a shell has put in the background would ignore Ctrl-C
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *command], cwd=ROOT, stderr=subprocess.PIPE
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in errors


@pytest.fixture
def folder(tmp_path):
    """Two solos, one of them with a space in its name, and boxes."""
    for name in ("violin/a.mp4", "cello/two words.mp4"):
        (tmp_path / name).parent.mkdir()
        film(tmp_path / name, 0.2)
    boxes = "video_id,time_s,category,x,y,w,h\na,0,violin,0,0,1,1\nb,0,violin,0,0,1,1\n"
    (tmp_path / "boxes.csv").write_text(boxes)
    return tmp_path


@pytest.mark.slow
def test_a_manifest_is_written_from_a_folder_and_then_checked_with_its_boxes(folder):
    written = spm("manifest", folder)
    assert "manifest.csv: 2 videos, 2 solos\n  categories: cello 1, violin 1" in written.stdout
    assert "snakemake all" in written.stdout
    assert "two words.mp4: its id is two_words" in written.stdout
    (folder / "violin/a.mp4").unlink()
    checked = spm("manifest", folder / "manifest.csv", "--json")
    assert checked.returncode == 0
    (result,) = json.loads(checked.stdout)
    assert (result["videos"], result["kinds"], result["files"]) == (2, {"solo": 2}, 2)
    assert result["missing"] == [str((folder / "violin/a.mp4").resolve())]
    assert result["boxes"] == {"boxes": 2, "videos": 2, "unlisted": ["b"]}
    assert checked.stderr.count("spm: warning: ") == 2


@pytest.mark.slow
def test_new_videos_are_added_to_a_manifest_and_vanished_and_other_files_are_named(folder):
    spm("manifest", folder, "--quiet")
    path = folder / "manifest.csv"
    mine = path.read_text().replace("violin\n", "fiddle\n")
    path.write_text(mine)
    again = spm("manifest", folder)
    assert f"{path}: not changed, 2 listed before\n" in again.stdout
    assert path.read_text() == mine
    (folder / "violin/a.mp4").unlink()
    for name in ("violin/b.3gp", "violin/notes.txt", "violin/2020"):
        (folder / name).write_bytes(b"")
    grown = spm("manifest", folder)
    assert f"{path}: 1 video added, 2 listed before\n" in grown.stdout
    assert "2 files not listed, no video by their extension: violin/2020, violin/n" in grown.stdout
    assert path.read_text() == mine + "b,violin/b.3gp,solo,violin\n"
    assert "1 file not found" in grown.stderr
    assert str(folder / "violin/a.mp4") in grown.stderr
    assert "1 file without content" in grown.stderr
    (result,) = json.loads(spm("manifest", folder, "--json").stdout)
    assert (result["added"], result["videos"], len(result["empty"])) == ([], 3, 1)
    assert list(result["skipped"].values()) == [["violin/2020", "violin/notes.txt"]]


@pytest.mark.slow
def test_videos_with_a_wrong_id_or_address_are_warned_about(folder):
    rows = "../a,a.mp4,solo,violin\nb,ftp://x/b.mp4,solo,violin\nc,violin/a.mp4,solo,violin\n"
    (folder / "manifest.csv").write_text("video_id,url,kind,categories\n" + rows)
    done = spm("manifest", folder / "manifest.csv")
    assert done.returncode == 0
    assert "1 file, 0 addresses to fetch" in done.stdout
    warning = "2 videos will get the status `bad`, for example: video_id '../a': expected letters"
    assert warning in done.stderr


@pytest.mark.slow
def test_an_error_in_a_manifest_names_the_line(folder):
    (folder / "manifest.csv").write_text("video_id,url,kind,categories\na,a.mp4,band,violin\n")
    done = spm("manifest", folder / "manifest.csv", "--quiet")
    assert (done.returncode, done.stdout) == (1, "")
    assert "manifest.csv, line 2: kind 'band': expected solo, duet or ensemble" in done.stderr


@pytest.mark.slow
def test_a_manifest_that_does_not_exist_is_an_error(folder):
    done = spm("manifest", folder / "none")
    assert "no such file or folder: expected a manifest" in done.stderr


@pytest.mark.slow
def test_the_lists_of_music_are_written_from_its_clone(tmp_path):
    lists = {
        "MUSIC_solo": {"flute": ["aaaaaaaaaaa"]},
        "MUSIC_duet": {"flute violin": ["bbbbbbbbbbb"]},
        "MUSIC21_solo": {"tuba": ["ccccccccccc"]},
    }
    for name, videos in lists.items():
        (tmp_path / f"{name}_videos.json").write_text(json.dumps({"videos": videos}))
    done = spm("manifest", tmp_path, "--out", tmp_path / "lists", "--json")
    assert [result["videos"] for result in json.loads(done.stdout)] == [2, 1]


LEDGERS = (
    [("a", "ok", ""), ("b", "retry", "HTTP Error 503: busy")],
    [
        ("c", "retry", "HTTP Error 503: busy"),
        ("d", "gone", "/videos/d.mp4: no such file"),
        ("e", "gone", "e is private"),
    ],
)


@pytest.fixture
def results(tmp_path):
    """A results folder with the ledgers of two shards."""
    for shard, ledger in enumerate(LEDGERS):
        path = tmp_path / f"results/corpus/fetch/{shard:04d}.parquet"
        rows = [dict(zip(("video_id", "status", "reason"), row, strict=True)) for row in ledger]
        tables.write_rows(path, schemas.LEDGER, rows)
    return tmp_path / "results"


@pytest.mark.slow
def test_fetch_status_counts_videos_by_status_and_reason_with_advice(results):
    text = spm("fetch-status", "--results", results).stdout
    assert text.startswith("5 videos: 1 ok, 2 retry, 2 gone\n")
    assert "retry: the error may be temporary: `make retry` requests" in text
    assert re.search(r"^ +2  HTTP Error 503: busy, for example b$", text, re.M)
    assert re.search(r"^ +1  no such file, for example d$", text, re.M)
    assert re.search(r"^ +1  … is private, for example e$", text, re.M)
    assert "\nok: " not in spm("fetch-status", "--results", results, "--quiet").stdout


@pytest.mark.slow
def test_the_json_of_fetch_status_has_the_ids_of_all_videos(results):
    groups = json.loads(spm("fetch-status", "--results", results, "--json").stdout)
    assert [group["videos"] for group in groups if group["status"] == "retry"] == [["b", "c"]]


@pytest.mark.slow
def test_fetch_status_says_what_decoding_found(results):
    rows = [
        {"video_id": "a", "status": "partial", "reason": "ends early", "clips": 3, "width": 64,
         "height": 48, "picture_track": 0, "sound_track": 2, "channels": 2, "rate_hz": 48_000},
        {"video_id": "b", "status": "missing", "reason": "retry: busy", "clips": 0},
    ]  # fmt: skip
    tables.write_rows(results / "corpus/videos/0000.parquet", schemas.VIDEOS, rows)
    text = spm("fetch-status", "--results", results).stdout
    assert "\ndecoded: 1 partial\n      1  partial: ends early, for example a\n" in text
    assert "ends early" in spm("fetch-status", "--results", results, "--quiet").stdout
    listed = spm("fetch-status", "--results", results, "--videos").stdout.splitlines()
    assert len(listed) == 5
    assert listed[0] == (
        "a  ok  partial  3 clips  track 0: 64 × 48 px; track 2: 2 channels, 48000 Hz  ends early"
    )
    assert listed[2] == "c  retry  -  HTTP Error 503: busy"


@pytest.mark.slow
def test_fetch_status_leaves_out_videos_and_shards_that_the_last_run_does_not_have(results):
    from spm.workflow import last_run

    manifest = "video_id,url,kind,categories\na,https://x.org/a.mp4,solo,flute\n"
    (results.parent / "manifest.csv").write_text(manifest)  # a is in shard 0 of 3
    with chdir(results.parent):
        last_run.save({"corpus": {"manifest": "manifest.csv", "shards": 3}})
    text = spm("fetch-status", "--results", results).stdout
    assert text.startswith("1 videos: 1 ok\n")


def test_every_fetch_status_has_advice():
    from spm.corpus.fetch_status import ADVICE

    assert set(ADVICE) == {"ok", "gone", "blocked", "retry", "bad"}
