"""Each benchmark runs with tiny sizes; speeds are not checked, because other tests run beside."""

import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
BROWSER = {"draw", "review"}
PARTS = {"dsol_loader", "memory", "plain", "timing", "trainings"}  # modules that others import
# Arguments, and what the output must contain.
BENCHMARKS = {
    "clips": ("--seconds 2 --repeats 1 --rounds 1", "memory, 1 × 2 s"),
    "corpus": ("--out made --clips 40", "40 clips"),
    "detect": ("--clips 2 --rounds 1 --size 64", "detections: "),
    "draw": ("--frames 24 --rows 2 --boxes 2", "next frame: median"),
    "dryrun": ("--rounds 1 --videos 8 --shards 2 4 --plans-only", "plan, 4 shards"),
    "gpu": (
        "--device cpu --minutes 5 --seconds 0.01 --batch 2 --workers 1 --crop 32",
        "| localize |",
    ),
    "loader": ("--clips 32 --crop 64 --rounds 1 --seconds 0.05 --batch 8", "share of the time"),
    "localize": ("--seconds 1 --rounds 1", "seconds of video per second"),
    "map_memory": ("--maps 40 --side 8 --form parquet", "40 maps of 8 x 8 as ndarray: peak memory"),
    "negatives": ("", "| oracle |"),
    "protocols": ("--frames 4", "Usual oracle"),
    "review": ("--frames 24 --decisions 2", "key to next box"),
    "scale": ("--videos 100", "index of its clips"),
    "scaling": (
        "--rank-clips 64 --rounds 1 --seconds 0.05 --clips 40 --steps 1 --batch 2",
        "rate per process",
    ),
    "scores": ("--made --frames 2 --all-frames 20 --rounds 1", "under all protocols"),
    "sets": (f"--sets avsbench-ms3 --copies {SHARED}/manifests", "| `avsbench-ms3` | 320 | 291 |"),
    "short_videos": ("--videos 2 --seconds 1", "clips: "),
    "spectrograms": ("--clips 16 --rounds 1", "ratio to librosa"),
    "steps": ("--batch 2 --crop 64 --rounds 1", "our step"),
}


def test_every_benchmark_is_in_this_list():
    files = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    packages = {path.parent.name for path in (ROOT / "benchmarks").glob("*/__main__.py")}
    assert files - PARTS | packages == set(BENCHMARKS)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_a_benchmark_runs_with_tiny_sizes(name, tmp_path, monkeypatch, capsys):
    if name in BROWSER and shutil.which("chromium") is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    if name == "sets" and not SHARED.is_dir():
        pytest.skip("no folder ../shared/data: it has copies of the published files")
    arguments, expected = BENCHMARKS[name]
    module = f"benchmarks.{name}"
    if (ROOT / "benchmarks" / name).is_dir():
        module += ".__main__"
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [module, *arguments.split()])
    import_module(module).main()
    output = capsys.readouterr().out
    assert expected in output
    assert "failed" not in output
