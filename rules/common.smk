"""The checked config, the plan made from it, and the helpers that need Snakemake itself.

Needs: the config. Gives: PLAN, REPORT, and what params and resources of the rules are made of.
"""

import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

from spm.base import validation, versions
from spm.base.errors import UserError
from spm.base.digest import code_digest as code_of
from spm.workflow.plan import Plan, file_digest
from spm.workflow.report_plan import FIGURE_TABLES, PAPER_TABLES, ReportPlan


wildcard_constraints:
    shard=r"\d{4}",
    run=r"[\w-]+",
    audio=r"[\w-]+",
    testset="solo|duet|synthetic|validation",
    box_source="given|detector",
    protocol=r"[\w.-]+",
    split="train|test",
    table="|".join(PAPER_TABLES),
    figure="|".join(FIGURE_TABLES),


shell.prefix(f"export PYTHONPATH={shlex.quote(str(workflow.basedir))}; ")


config.update(validation.coerce_numbers(config))
try:
    validation.validate(config, Path(workflow.basedir, "workflow/schemas/config.schema.json"))
    PLAN = Plan.from_config(config, Path(workflow.basedir))
except UserError as error:
    raise WorkflowError(str(error)) from None
REPORT = ReportPlan(PLAN)
config["versions"] = versions.version_string()  # for the first page of the report; no rule reads it
section = PLAN.section


def untracked_section(name):
    """A section for the command line only: Snakemake doesn't compare params made from threads."""
    return lambda wildcards, threads: section(name)


def memory(mb):
    """Memory of a job in MB; doubled each time that a cluster resubmits the job."""
    return lambda wildcards, attempt: mb * 2 ** (attempt - 1)
