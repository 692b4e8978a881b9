"""A training that is killed inside an epoch continues there, to the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spm.learn import weights
from tests.support.corpora import Corpus
from tests.support.project import ROOT

pytestmark = pytest.mark.slow

SETTINGS = {
    "visual": "mobilenet_v2",
    "start": "none",
    "crop": 32,
    "batch": 4,
    "accumulate": 2,
    "promote": False,
    "epochs": 2,
    "device": "cpu",
}
OUTPUTS = ("network.safetensors", "history.parquet")


def command(corpus: Corpus, folder: Path, **changes) -> list[str]:
    """The command of the stage `train`, which writes to `folder`."""
    options = {
        "config": json.dumps(SETTINGS | changes),
        "index": corpus.index,
        "clips": corpus.clips,
        "spectrograms": corpus.spectrograms,
        "out": folder / "network.safetensors",
        "history": folder / "history.parquet",
        "state": folder / "state",
        "tensorboard": folder / "log",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "spm.fusion.train", *arguments]


def checkpoints(folder: Path) -> list[str]:
    """Names of the checkpoints: complete epochs, and steps of the next one."""
    return sorted(path.stem for path in (folder / "state").rglob("*.safetensors"))


def start(corpus: Corpus, folder: Path, **changes) -> subprocess.Popen[str]:
    """Start the stage with one worker process that decodes."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        command(corpus, folder, **changes),
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(is_true, process: subprocess.Popen[str]) -> None:
    """Wait for a state of a running process."""
    while not is_true():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a training; its standard error."""
    _, log = process.communicate()
    assert process.returncode == 0, log
    return log


def test_a_training_that_is_killed_and_then_terminated_inside_an_epoch_ends_with_the_same_bytes(
    few_squares, tmp_path
):
    undisturbed, folder = start(few_squares, tmp_path / "a"), tmp_path / "b"
    killed = start(few_squares, folder, checkpoint_minutes=0.001)
    wait_until(lambda: any(not name.endswith("-0000000") for name in checkpoints(folder)), killed)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    place = checkpoints(folder)[-1]
    epoch, step = map(int, place.split("-"))
    # Another interval is no reason to start anew.
    terminated = start(few_squares, folder, checkpoint_minutes=1000)
    wait_until(lambda: len(list((folder / "log").glob("events*"))) == 2, terminated)
    time.sleep(0.1)
    terminated.send_signal(signal.SIGTERM)
    _, log = terminated.communicate()
    assert terminated.returncode == 128 + signal.SIGTERM, log
    assert f"state: continues at epoch {epoch + 1} of 2, after step {step}\n" in log
    assert "state: stopped by SIGTERM" in log
    assert checkpoints(folder)[-1] > place
    assert "state: continues at epoch" in finish(start(few_squares, folder))
    finish(undisturbed)
    for name in OUTPUTS:
        assert (tmp_path / "a" / name).read_bytes() == (folder / name).read_bytes(), name
    assert not (folder / "state").exists()
    assert weights.load(folder / OUTPUTS[0])[1]["config"]["accumulate"] == 2
