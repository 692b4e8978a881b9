"""Two processes, on the CPU with gloo, train as one process does with the whole batch."""

import json
import subprocess
import sys

import pytest
import torch

from spm.base import tables
from tests.support.project import ROOT

pytestmark = pytest.mark.slow

# sound_of_pixels calls the audio trunk layer by layer; sspl calls the visual trunk twice.
METHODS = ["spm", "sound_of_pixels", "sspl"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def python(*arguments):
    """Run Python in the checkout; its standard error."""
    process = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stderr


def flatten(gradients, prefix):
    """All gradients of a part of the network, as one vector."""
    parts = [gradient for name, gradient in gradients.items() if name.startswith(prefix)]
    return torch.cat([torch.zeros(0), *[part.flatten() for part in parts]])


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Folder with the losses and gradients of one process, and of two."""
    folder = tmp_path_factory.mktemp("steps")
    python("-m", "tests.support.steps", folder, *METHODS)
    python(*TORCHRUN, "-m", "tests.support.steps", folder, *METHODS)
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_have_the_loss_and_gradients_of_one_process_with_the_whole_batch(
    method, steps
):
    alone = torch.load(steps / f"{method}-alone.pt")
    for rank in (0, 1):
        result = torch.load(steps / f"{method}-{rank}.pt")
        assert result["losses"] == pytest.approx(alone["losses"], rel=1e-8, abs=1e-12)
        for prefix in ("visual.", "audio.", ""):
            actual = flatten(result["gradients"], prefix)
            expected = flatten(alone["gradients"], prefix)
            assert (actual - expected).norm() <= 1e-5 * expected.norm()
    assert alone["losses"][0] != alone["losses"][1]


def test_a_training_with_two_processes_writes_the_same_files_as_one(few_squares, tmp_path):
    config = {"visual": "mobilenet_v2", "start": "none", "crop": 32, "epochs": 2}
    config |= {"promote": False, "device": "cpu"}
    paths = {
        "index": few_squares.index,
        "clips": few_squares.clips,
        "spectrograms": few_squares.spectrograms,
        "out": tmp_path / "network.safetensors",
        "history": tmp_path / "history.parquet",
        "state": tmp_path / "state",
    }
    options = [part for name, path in paths.items() for part in (f"--{name}", path)]
    log = python(*TORCHRUN, "-m", "spm.fusion.train", "--config", json.dumps(config), *options)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"network.safetensors", "network.json", "history.parquet"}
    assert set(tables.read(paths["history"])["epoch"].to_pylist()) == {0, 1}
    assert log.count("[00:00<?") == 1  # only the main process shows a progress bar
