"""A full disk ends each stage in one line, and nothing half-written takes a result's name."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.project import ROOT

SAID = "No space left on device: expected a disk with room"


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A disk in memory."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small(tmp_path) -> Iterator[Path]:
    """A disk of 64 kB."""
    with mounted(tmp_path / "small", "size=64k") as folder:
        yield folder


@pytest.fixture
def closed(tmp_path) -> Iterator[Path]:
    """A disk that may only be read, by root too."""
    with mounted(tmp_path / "closed", "ro") as folder:
        yield folder


def run(stage: str, config: dict, **files: object) -> subprocess.CompletedProcess[str]:
    options = [part for name, value in files.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", f"spm.{stage}", "--config", json.dumps(config), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def named(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_a_table_that_finds_no_room(small, squares):
    failed = run(
        "corpus.spectrograms", {}, clips=squares.clips / "0000.parquet", out=small / "0000.parquet"
    )
    assert (failed.returncode, failed.stderr.splitlines()[-1].count(SAID)) == (1, 1)
    assert "Traceback" not in failed.stderr
    assert named(small) == []


def test_weights_that_find_no_room(small, squares):
    files = {"index": squares.index, "spectrograms": squares.spectrograms}
    beside = {
        "centroids": small.parent / "centroids.safetensors",
        "history": small.parent / "clustering.parquet",
    }
    made = run(
        "audio.clusters",
        {"k": 2, "restarts": 1},
        **files,
        out=small.parent / "labels.parquet",
        **beside,
    )
    assert made.returncode == 0, made.stderr
    out = {
        "out": small / "audio.safetensors",
        "history": small / "history.parquet",
        "state": small / "state",
    }
    failed = run(
        "audio.pretrain", {"epochs": 1}, **files, clusters=small.parent / "labels.parquet", **out
    )
    assert (failed.returncode, failed.stderr.splitlines()[-1].count(SAID)) == (1, 1)
    assert "Traceback" not in failed.stderr
    assert not any(name.endswith(".safetensors") for name in named(small))


def test_a_store_that_may_only_be_read(closed, tmp_path):
    (tmp_path / "manifest.csv").write_text(
        "video_id,url,kind,categories\na,http://127.0.0.1:1/a.mp4,solo,violin\n"
    )
    options = {
        "manifest": tmp_path / "manifest.csv",
        "shard": 0,
        "shards": 1,
        "out": tmp_path / "ledger.parquet",
    }
    failed = run("corpus.fetch", {}, **options, store=closed)
    assert (failed.returncode, "Traceback" in failed.stderr) == (1, False)
    assert (
        f"store {closed}: cannot be written (Read-only file system)"
        in failed.stderr.splitlines()[-1]
    )
    assert not (tmp_path / "ledger.parquet").exists()


def test_results_that_may_only_be_read(closed, squares):
    failed = run(
        "corpus.spectrograms", {}, clips=squares.clips / "0000.parquet", out=closed / "0000.parquet"
    )
    assert (failed.returncode, "Traceback" in failed.stderr) == (1, False)
    assert (
        "Read-only file system: expected a disk with room, and the right to write there"
        in failed.stderr
    )
