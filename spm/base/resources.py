"""Resources of jobs, and what is kept of them; changing these settings reruns nothing."""

from typing import Literal

from pydantic import Field

from spm.base.config import Section


class Cluster(Section):
    """Resources of jobs on a cluster (docs/cluster.md). Changing these settings reruns nothing."""

    nodes: int = Field(
        1,
        ge=1,
        le=1_024,
        description="Number of nodes per training. More than one needs SLURM.",
    )
    gpus: int = Field(
        1,
        ge=1,
        le=1_024,
        description="Number of GPUs per training and node. The GPUs share the batch, so the"
        " training learns the same with any number.",
    )
    cpu_rules: Literal["submit", "local"] = Field(
        "submit",
        description="submit: CPU rules are submitted to the cluster too; local: they run where"
        " snakemake was started, and only GPU rules are submitted.",
    )


class StateFolder(Section):
    """What is kept besides the results (docs/faults.md). Changing these settings reruns nothing."""

    finished: int = Field(
        3,
        ge=0,
        le=1_000,
        description="Number of results that are kept of each detector, clustering, audio network"
        " and run, in state/finished. If a setting is changed and put back, the earlier network"
        " comes back without training. 0: none.",
    )
