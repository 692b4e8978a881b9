"""Start of a training: one process, or torchrun with one process per GPU of one or more nodes."""

from collections.abc import Mapping
from typing import Any

PORTS = "$((20000 + SLURM_JOB_ID % 10000))"  # below those that Linux gives to other connections


def resources(cluster: Mapping[str, Any]) -> dict[str, int | str]:
    """Resources of a training's job.

    Parameters
    ----------
    cluster : mapping
        The section `cluster` of the config.

    Returns
    -------
    dict
        With several nodes, the SLURM plugin asks for the GPUs of each node (`gres`) and for one
        task per node, and runs the command on the first node, where `command` calls srun (`mpi`).
    """
    nodes, gpus = cluster["nodes"], cluster["gpus"]
    if nodes == 1:
        return {"gpu": gpus}
    tasks = {"nodes": nodes, "tasks": nodes, "tasks_per_gpu": 0, "mpi": "srun"}
    return {"gpu": 0, "gres": f"gpu:{gpus}", **tasks}


def command(cluster: Mapping[str, Any], threads: int, gres: str = "") -> str:
    """The words of a shell command before `-m`.

    Parameters
    ----------
    cluster : mapping
        The section `cluster` of the config.
    threads : int
        CPUs of each node.
    gres : str
        GPUs of each node, as SLURM names them; they are used only with several nodes.
    """
    nodes, gpus = cluster["nodes"], cluster["gpus"]
    if nodes == gpus == 1:
        return "python"
    if nodes == 1:
        return f"torchrun --standalone --nproc-per-node {gpus}"
    # The shell runs on the first node of the job.
    job = f"${{SLURM_JOB_ID:?is missing: cluster.nodes: {nodes} needs SLURM}}"
    return (
        f"srun --nodes {nodes} --ntasks {nodes} --cpus-per-task {threads}"
        f"{f' --gres {gres}' if gres else ''} --kill-on-bad-exit"
        f" torchrun --nnodes {nodes} --nproc-per-node {gpus}"
        f" --rdzv-id {job} --rdzv-backend c10d --rdzv-endpoint $(hostname):{PORTS}"
    )
