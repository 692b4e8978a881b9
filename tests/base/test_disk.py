"""A full or read-only disk ends a stage with a one-line error, and leaves no incomplete results."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import preloaded
from tests.support.project import ROOT

pytestmark = pytest.mark.slow

NO_SPACE = "No space left on device: expected a disk with free space"


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A disk in memory, mounted with these options."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"this test mounts a disk, which is not possible here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small(tmp_path) -> Iterator[Path]:
    """A disk of 64 kB."""
    with mounted(tmp_path / "small", "size=64k") as folder:
        yield folder


@pytest.fixture
def read_only(tmp_path) -> Iterator[Path]:
    """A disk that nobody can write to, root included."""
    with mounted(tmp_path / "read-only", "ro") as folder:
        yield folder


def run(stage: str, config: dict, **files: object) -> subprocess.CompletedProcess[str]:
    options = [part for name, value in files.items() for part in (f"--{name}", value)]
    words = ["-m", f"spm.{stage}", "--config", json.dumps(config), *options]
    return preloaded.run(words, env={**os.environ, "PYTHONPATH": str(ROOT)})


def file_names(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_a_table_on_a_full_disk(small, squares):
    failed = run(
        "corpus.spectrograms", {}, clips=squares.clips / "0000.parquet", out=small / "0000.parquet"
    )
    assert (failed.returncode, failed.stderr.splitlines()[-1].count(NO_SPACE)) == (1, 1)
    assert "Traceback" not in failed.stderr
    assert file_names(small) == []


def test_weights_on_a_full_disk(small, few_squares):
    files = {"index": few_squares.index, "spectrograms": few_squares.spectrograms}
    clustering_files = {
        "centroids": small.parent / "centroids.safetensors",
        "history": small.parent / "clustering.parquet",
    }
    made = run(
        "audio.clusters",
        {"k": 2, "restarts": 1},
        **files,
        out=small.parent / "labels.parquet",
        **clustering_files,
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
    assert (failed.returncode, failed.stderr.splitlines()[-1].count(NO_SPACE)) == (1, 1)
    assert "Traceback" not in failed.stderr
    assert not any(name.endswith(".safetensors") for name in file_names(small))


def test_a_store_on_a_read_only_disk(read_only, tmp_path):
    (tmp_path / "manifest.csv").write_text(
        "video_id,url,kind,categories\na,http://127.0.0.1:1/a.mp4,solo,violin\n"
    )
    options = {
        "manifest": tmp_path / "manifest.csv",
        "shard": 0,
        "shards": 1,
        "out": tmp_path / "ledger.parquet",
    }
    failed = run("corpus.fetch", {}, **options, store=read_only)
    assert (failed.returncode, "Traceback" in failed.stderr) == (1, False)
    assert (
        f"store {read_only}: cannot be written (Read-only file system)"
        in failed.stderr.splitlines()[-1]
    )
    assert not (tmp_path / "ledger.parquet").exists()


def test_results_on_a_read_only_disk(read_only, squares):
    failed = run(
        "corpus.spectrograms",
        {},
        clips=squares.clips / "0000.parquet",
        out=read_only / "0000.parquet",
    )
    assert (failed.returncode, "Traceback" in failed.stderr) == (1, False)
    assert (
        "Read-only file system: expected a disk with free space and permission to write"
        in failed.stderr
    )
