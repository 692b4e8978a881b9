"""Where jobs run, and on how much; no stage reads it, so a change reruns nothing."""

from typing import Literal

from pydantic import Field

from spm.base.config import Section


class Cluster(Section):
    """GPUs of a job, and which rules an executor like SLURM's gets; partitions and times are the profile's."""

    gpus: int = Field(1, ge=1)  # of one training; its batch is shared among them
    cpu_rules: Literal["submit", "local"] = (
        "submit"  # local: where snakemake was started; GPU rules are submitted
    )
