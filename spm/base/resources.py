"""Resources of jobs; no stage reads these settings, so changing them reruns nothing."""

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
