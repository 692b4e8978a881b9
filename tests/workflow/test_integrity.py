"""`spm verify` names each damaged file, and `clips` uses no file that is not the fetched one."""

import os
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from spm.base import json_file, schemas, tables
from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.cli import commands
from spm.corpus import clips
from spm.learn import weights


@pytest.fixture
def project(tmp_path) -> Path:
    """Results and a store with a file of each kind; none of them is read as a video."""
    (tmp_path / "store").mkdir()
    rows = []
    for name, extractor in (("a", "generic"), ("b", "local")):
        (tmp_path / f"store/{name}.mp4").write_bytes(f"media of {name}".encode())
        path = tmp_path / f"store/{name}.mp4"
        facts = {"sha256": file_digest(path), "bytes": path.stat().st_size}
        rows.append({
            "video_id": name, "status": "ok", "reason": "", "path": f"store/{name}.mp4",
            "extractor": extractor, **facts,
        })  # fmt: skip
    rows.append({**rows[0], "video_id": "c", "status": "gone", "path": ""})
    tables.write_rows(tmp_path / "results/corpus/fetch/0000.parquet", schemas.LEDGER, rows)
    weights.save(tmp_path / "results/network.safetensors", {"w": torch.ones(9)}, {})
    json_file.write(tmp_path / "results/about.json", {"a": 1})
    return tmp_path


def verify(project: Path, *options: str) -> tuple[int, list[str]]:
    """Exit status and lines of the command."""
    done = CliRunner().invoke(commands, ["verify", f"--results={project / 'results'}", *options])
    return done.exit_code, done.output.splitlines()


def flip(path: Path, place: int = -1) -> None:
    """Change one byte; the file keeps its size and its time."""
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=times)


def test_an_undamaged_project_has_no_fault(project):
    assert verify(project) == (0, ["6 files: no fault"])
    assert verify(project, "--quick") == (0, ["6 files: no fault"])


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("store/a.mp4", "fetch it again with `make retry`"),
        ("store/b.mp4", "run the workflow again"),
        ("results/network.safetensors", "delete both and run again"),
        ("results/corpus/fetch/0000.parquet", "is not a complete Parquet file"),
        ("results/about.json", "delete it and run again"),
    ],
)
def test_a_flipped_bit_is_one_line_with_file_and_remedy(project, name, fault):
    flip(project / name, 10 if name.endswith("json") else 5)
    status, lines = verify(project)
    assert (status, len(lines)) == (1, 1)
    assert name in lines[0]
    assert fault in lines[0]


def test_missing_and_cut_files_are_also_found_without_reading_them(project):
    (project / "store/a.mp4").unlink()
    (project / "store/b.mp4").write_bytes(b"cut")
    (project / "results/network.json").unlink()
    status, lines = verify(project, "--quick")
    assert (status, len(lines)) == (1, 3)


def test_clips_stops_at_media_that_are_not_the_fetched_ones(project, monkeypatch):
    monkeypatch.chdir(project)
    flip(Path("store/a.mp4"))
    ledger = Path("results/corpus/fetch/0000.parquet")
    with pytest.raises(UserError, match=r"store/a\.mp4 is not the file that was fetched"):
        clips.run(clips.Clips(), ledger=ledger, clips=Path("c"), videos=Path("v"), threads=1)
    assert not Path("v").exists()
