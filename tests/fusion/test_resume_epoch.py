"""A training that is killed inside an epoch continues there, to the same bytes."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from spm.learn import weights
from tests.support import preloaded
from tests.support.corpora import Corpus

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
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


def start(corpus: Corpus, folder: Path, **changes) -> subprocess.Popen[str]:
    """Start the stage `train`, which writes to `folder`, with one worker process that decodes."""
    folder.mkdir(exist_ok=True)
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
    words = [f"--{name}={value}" for name, value in options.items()]
    return subprocess.Popen(
        [preloaded.folder() / "python", "-m", "spm.fusion.train", *words],
        env={**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def checkpoints(folder: Path) -> list[str]:
    """Names of the checkpoints: complete epochs, and steps of the next one."""
    return sorted(path.stem for path in (folder / "state").rglob("*.safetensors"))


def wait_until(is_true, training: subprocess.Popen[str]) -> None:
    """Wait for a state of a training."""
    while not is_true():
        assert training.poll() is None, finish(training, None)
        time.sleep(0.005)


def finish(training: subprocess.Popen[str], status: int | None) -> str:
    """Wait for the end of all processes of a training; its standard error."""
    log = training.communicate()[1]
    assert training.returncode == status, log
    return log


def test_a_training_that_is_killed_and_then_terminated_inside_an_epoch_ends_with_the_same_bytes(
    few_squares, tmp_path
):
    undisturbed, folder = start(few_squares, tmp_path / "a"), tmp_path / "b"
    killed = start(few_squares, folder, checkpoint_minutes=0.001)
    wait_until(lambda: any(not name.endswith("-0000000") for name in checkpoints(folder)), killed)
    killed.kill()
    finish(killed, -signal.SIGKILL)
    place = checkpoints(folder)[-1]
    epoch, step = map(int, place.split("-"))
    # Another interval is no reason to start anew.
    terminated = start(few_squares, folder, checkpoint_minutes=1000)
    wait_until(lambda: len(list((folder / "log").glob("events*"))) == 2, terminated)
    time.sleep(0.1)
    terminated.terminate()
    log = finish(terminated, 128 + signal.SIGTERM)
    assert f"state: continues at epoch {epoch + 1} of 2, after step {step}\n" in log
    assert "state: stopped by SIGTERM" in log
    assert checkpoints(folder)[-1] > place
    assert "state: continues at epoch" in finish(start(few_squares, folder), 0)
    finish(undisturbed, 0)
    for name in OUTPUTS:
        assert (tmp_path / "a" / name).read_bytes() == (folder / name).read_bytes(), name
    assert not (folder / "state").exists()
    assert weights.load(folder / OUTPUTS[0])[1]["config"]["accumulate"] == 2
