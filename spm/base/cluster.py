"""What is submitted where the workflow runs on a cluster; no stage reads it, so a change reruns nothing."""

from typing import Literal

from spm.base.config import Section


class Cluster(Section):
    """Which rules an executor like SLURM's gets; partitions, accounts and times are the profile's."""

    cpu_rules: Literal["submit", "local"] = "submit"  # local: where snakemake was started; GPU rules are submitted
