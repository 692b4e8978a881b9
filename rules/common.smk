"""The checked config, the plan made from it, and the helpers that need Snakemake itself.

Needs: the config. Gives: PLAN, REPORT, and what params and resources of the rules are made of.
"""

import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from spm.base import validation, versions, yaml_file
from spm.base.errors import UserError
from spm.base.digest import code_digest as code_of
from spm.workflow import torchrun
from spm.workflow.plan import Plan
from spm.workflow.report_plan import FIGURE_TABLES, PAPER_TABLES, VERDICT, ReportPlan


wildcard_constraints:
    shard=r"\d{4}",
    run=r"[\w-]+",
    audio=r"[\w-]+",
    testset="solo|duet|ensemble|synthetic|validation",
    box_source="given|detector",
    protocol=r"[\w.-]+",
    split="train|test",
    table="|".join(PAPER_TABLES),
    figure="|".join(FIGURE_TABLES),


shell.prefix(f"export PYTHONPATH={shlex.quote(str(workflow.basedir))}; ")


try:
    if workflow.is_main_process:  # Snakemake's own reader accepts keys that stand twice
        yaml_file.check(workflow.configfiles)
    schema = Path(workflow.basedir, "workflow/schemas/config.schema.json")
    config.update(validation.validate(config, schema))
    if workflow.is_main_process:
        from spm.workflow import preflight  # takes half a second, which jobs are spared

        runs_here = workflow.resource_settings.nodes is None  # else, the number of cluster jobs
        with_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
        machine = preflight.Machine(local=runs_here, conda=with_conda)
        preflight.report(preflight.problems(config, Path(workflow.basedir), machine))
    PLAN = Plan.from_config(config, Path(workflow.basedir))
    REPORT = ReportPlan(PLAN)
    box_warnings = REPORT.box_warnings() if workflow.is_main_process else []
    verdicts = REPORT.verdicts() if workflow.is_main_process else []
except UserError as error:
    raise WorkflowError(str(error)) from None
# For the first page of the report; no rule reads these.
config["versions"] = versions.version_string()
config["box_sources"] = PLAN.box_sources
config["box_warnings"] = box_warnings
config["verdicts"] = verdicts
section = PLAN.section
GPUS = config["cluster"]["gpus"]  # of each node of a training


def untracked_section(name):
    """A section for the command line only: Snakemake doesn't compare params made from threads."""
    return lambda wildcards, threads: section(name)


def memory(mb):
    """Memory of a job in MB; doubled each time that a cluster resubmits the job."""
    return lambda wildcards, attempt: mb * 2 ** (attempt - 1)
