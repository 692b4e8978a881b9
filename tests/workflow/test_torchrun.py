"""How trainings start: spm/workflow/torchrun.py; test_slurm.py starts one on two nodes."""

import subprocess

import pytest

from spm.workflow import torchrun


@pytest.mark.parametrize(
    ("nodes", "gpus", "resources", "command"),
    [
        (1, 1, {"gpu": 1}, "python"),
        (1, 4, {"gpu": 4}, "torchrun --standalone --nproc-per-node 4"),
    ],
)
def test_a_training_on_one_node_starts_without_srun(nodes, gpus, resources, command):
    cluster = {"nodes": nodes, "gpus": gpus}
    assert torchrun.resources(cluster) == resources
    assert torchrun.command(cluster, threads=8) == command


def test_a_training_on_several_nodes_has_a_task_on_each_and_meets_on_the_first():
    cluster = {"nodes": 2, "gpus": 4}
    resources = torchrun.resources(cluster)
    assert {name: resources[name] for name in ("nodes", "tasks", "gres", "gpu")} == {
        "nodes": 2, "tasks": 2, "gres": "gpu:4", "gpu": 0,
    }  # fmt: skip
    words = echo(torchrun.command(cluster, 32, "gpu:4"), SLURM_JOB_ID="70123").stdout.split()
    assert words[:2] == ["srun", "--nodes"]
    assert words[words.index("--gres") + 1] == "gpu:4"
    assert words[words.index("--cpus-per-task") + 1] == "32"
    assert words[words.index("--rdzv-endpoint") + 1].endswith(":20123")
    assert words[words.index("--rdzv-id") + 1] == "70123"
    assert "--gres" not in torchrun.command(cluster, 32)


def test_without_slurm_several_nodes_are_an_error():
    done = echo(torchrun.command({"nodes": 2, "gpus": 1}, 8))
    assert done.returncode != 0
    assert done.stderr.strip().endswith("SLURM_JOB_ID: is missing: cluster.nodes: 2 needs SLURM")


def echo(command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The words of a command, as the shell of a job expands them."""
    return subprocess.run(
        ["bash", "-euc", f"echo {command}"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environment},
        check=False,
    )
