"""The checked config, the plan made from it, and the helpers that need Snakemake itself.

Needs: the config. Gives: PLAN, REPORT, and what params and resources of the rules are made of.
"""

import os
import shlex
from pathlib import Path

from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from spm.base import project_files, validation, versions, yaml_file
from spm.base.errors import UserError
from spm.base.digest import code_digest as code_of
from spm.base.version import VERSION
from spm.workflow import torchrun
from spm.workflow.plan import CACHE, Plan
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


# Python would search the working directory for modules first: files beside the videos would run.
# The jobs of a cluster are started with this environment; conda's activation keeps the prefix.
os.environ.update(PYTHONSAFEPATH="1")
package = project_files.import_folder(CACHE)
# Threads that wait for each other must not compute meanwhile: on busy cores, a step would take ten
# times as long.
variables = f"PYTHONSAFEPATH=1 OMP_WAIT_POLICY=passive PYTHONPATH={shlex.quote(str(package))}"
shell.prefix(f"export {variables}; ")


try:
    if workflow.is_main_process:  # Snakemake's own reader accepts keys that stand twice
        yaml_file.check(workflow.configfiles)
    own = list(map(load_configfile, project_files.own_config(Path(workflow.basedir))))
    changes = [*own, workflow.config_settings.overwrite_config]
    if workflow.modifier.skip_configfile:  # this workflow is a module of another one
        changes = [dict(config)]
        config.update(project_files.with_defaults(config))
    config.update(validation.validate(config, project_files.SCHEMA, changes))
    if workflow.is_main_process:
        from spm.workflow import preflight  # takes half a second, which jobs are spared

        runs_here = workflow.resource_settings.nodes is None  # else, the number of cluster jobs
        with_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
        machine = preflight.Machine(local=runs_here, conda=with_conda)
        preflight.report(preflight.problems(config, project_files.FOLDER, machine))
    PLAN = Plan.from_config(dict(config), project_files.FOLDER)
    REPORT = ReportPlan(PLAN)
    box_warnings = REPORT.box_warnings() if workflow.is_main_process else []
    verdicts = REPORT.verdicts() if workflow.is_main_process else []
except UserError as error:
    raise WorkflowError(str(error)) from None
# For the first page of the report; no rule reads these.
config["versions"] = f"spm {VERSION}, {versions.version_string()}"
config["box_sources"] = PLAN.box_sources
config["box_warnings"] = box_warnings
config["verdicts"] = verdicts
section = PLAN.section
GPUS = config["cluster"]["gpus"]  # of each node of a training


def untracked_section(name):
    """A section for the command line only: Snakemake doesn't compare params made from threads."""
    return lambda wildcards, threads: section(name)


def untracked(value):
    """A value for the command line only, as `untracked_section`."""
    return lambda wildcards, threads: value


def memory(mb):
    """Memory of a job in MB; doubled each time that a cluster resubmits the job."""
    return lambda wildcards, attempt: mb * 2 ** (attempt - 1)
