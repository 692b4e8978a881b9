"""A changed setting that is put back brings the finished network back, without training."""

import hashlib
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.slurm import until

pytestmark = pytest.mark.slow
NETWORK = "results/fusion/train/spm/network.safetensors"
HISTORY = "results/fusion/train/spm/history.parquet"
AUDIO = "results/audio/pretrain/main/audio.safetensors"


def digests(project: Project) -> dict[str, str]:
    files = (NETWORK, NETWORK.replace("safetensors", "json"), HISTORY, AUDIO)
    return {
        name: hashlib.sha256((project.folder / name).read_bytes()).hexdigest() for name in files
    }


def interrupt(project: Project, target: str, checkpoint: str, log: Path) -> None:
    """Press Ctrl-C when the training has written a checkpoint."""
    with project.running(target, log=log) as snakemake:
        until(lambda: any(project.folder.glob(checkpoint)), "a checkpoint", 600)
        os.killpg(snakemake.pid, signal.SIGINT)
        assert snakemake.wait(120) != 0


def test_a_finished_network_comes_back_after_an_interrupted_trial(undisturbed, tmp_path):
    shutil.copytree(undisturbed.folder, tmp_path / "project", copy_function=shutil.copy2)
    project = Project(tmp_path / "project", undisturbed.config)
    before = digests(project)
    project.config["pretrain"]["epochs"] = 1000
    interrupt(project, AUDIO, "state/audio/pretrain/main/*/*.safetensors", tmp_path / "log")
    assert not (project.folder / AUDIO).exists()
    project.config["pretrain"] = undisturbed.config["pretrain"]
    project.config["train"]["epochs"] = 1000
    interrupt(project, NETWORK, "state/fusion/train/spm/*/*.safetensors", tmp_path / "log")
    assert not (project.folder / NETWORK).exists()
    project.config["train"] = undisturbed.config["train"]
    log = project.run(NETWORK)
    assert "taken from state/finished/train/spm/" in log
    assert "epoch" not in log
    assert digests(project) == before
    # The trial can be continued where it was interrupted.
    assert any(project.folder.glob("state/fusion/train/spm/*/*.safetensors"))
