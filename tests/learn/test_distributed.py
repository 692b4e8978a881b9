"""Two processes, on the CPU by gloo, learn what one does with the whole batch."""

import subprocess
import sys

import pytest
import torch

from spm.base import tables
from tests.support.project import ROOT

TOGETHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def python(*arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def whole(gradients, part):
    return torch.cat(
        [gradient.flatten() for name, gradient in gradients.items() if name.startswith(part)]
    )


@pytest.mark.parametrize(
    "method", ["spm", "sound_of_pixels"]
)  # one by its trunks whole, one layer by layer
def test_two_processes_have_the_loss_and_the_gradients_of_one_with_the_double_batch(
    method, tmp_path
):
    python("-m", "tests.support.steps", method, tmp_path)
    python(*TOGETHER, "-m", "tests.support.steps", method, tmp_path)
    alone, *both = (torch.load(tmp_path / f"{name}.pt") for name in ("alone", 0, 1))
    for each in both:
        assert each["losses"] == pytest.approx(alone["losses"], rel=1e-4)
        for part in ("visual.", "audio.", ""):
            found, wanted = (whole(one["gradients"], part) for one in (each, alone))
            assert (found - wanted).norm() <= 0.01 * wanted.norm()
    assert alone["losses"][0] != alone["losses"][1]


def test_a_training_of_two_processes_leaves_what_one_does(squares, tmp_path):
    files = {"out": "network.safetensors", "history": "history.parquet", "state": "state"}
    given = {"index": squares.index, "clips": squares.clips, "spectrograms": squares.spectrograms}
    given |= {name: tmp_path / file for name, file in files.items()}
    config = '{"visual": "mobilenet_v2", "start": "none", "crop": 48, "epochs": 2, "promote": false, "device": "cpu"}'
    options = [part for name, path in given.items() for part in (f"--{name}", path)]
    said = python(*TOGETHER, "-m", "spm.fusion.train", "--config", config, *options)
    assert {path.name for path in tmp_path.iterdir()} == {
        "network.safetensors",
        "network.json",
        "history.parquet",
    }
    assert set(tables.read(given["history"])["epoch"].to_pylist()) == {0, 1}
    assert said.count("[00:00<?") == 1  # one bar
