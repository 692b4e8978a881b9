"""Checks before anything is planned: config, videos, boxes and machine together, in one pass.

rules/common.smk asks once per command, not in every job, and `spm doctor` shows the same.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from spm.base.errors import UserError
from spm.corpus import membership
from spm.workflow.plan import CACHE, Config, Plan, resolve_path
from spm.workflow.preflight import boxes, corpus, hardware, pretrained, settings
from spm.workflow.preflight.facts import Facts, Machine, Problem, Severity, error

__all__ = ["Machine", "Problem", "Severity", "check", "problems", "report"]

Check = Callable[[Facts], Iterator[Problem]]

OF_SETTINGS: tuple[Check, ...] = (
    settings.lists,
    settings.run_settings,
    settings.detector_settings,
    settings.files,
    boxes.given,
    boxes.reviews,
    boxes.none,
    hardware.devices,
    hardware.batches,
    hardware.packages,
    pretrained.baselines,
    pretrained.untrained_runs,
    hardware.copied_results,
)
OF_VIDEOS: tuple[Check, ...] = (
    corpus.training,
    corpus.testsets,
    corpus.pseudo_labels,
    boxes.scored,
    boxes.unscored,
    boxes.detector,
    boxes.untrained_classes,
    corpus.worth,
    corpus.few,
    corpus.unknown,
    corpus.media,
)


def check(config: Config, base_dir: Path, machine: Machine) -> tuple[Facts, list[Problem]]:
    """What is known of a project in the current folder, and all its problems, errors first.

    Parameters
    ----------
    config : Config
        The whole config, checked against its schema.
    base_dir : Path
        The folder of the Snakefile.
    machine : Machine
        Where the jobs run.
    """
    plan = Plan(config, resolve_path(config["corpus"]["manifest"], base_dir), {})
    try:
        facts = Facts(plan, membership.videos(Path(plan.manifest), CACHE), machine)
    except UserError as fault:
        facts = Facts(plan, [], machine)
        found = [error(str(fault)), *_found(OF_SETTINGS, facts)]
    else:
        found = _found((*OF_SETTINGS, *OF_VIDEOS), facts)
    return facts, sorted(found, key=lambda problem: list(Severity).index(problem.severity))


def problems(config: Config, base_dir: Path, machine: Machine) -> list[Problem]:
    """All problems of a project in the current folder, errors first; see `check`."""
    return check(config, base_dir, machine)[1]


def _found(checks: Iterable[Check], facts: Facts) -> list[Problem]:
    return [problem for check in checks for problem in check(facts)]


def report(found: Iterable[Problem]) -> None:
    """Print warnings and notes.

    Raises
    ------
    UserError
        If there are errors: one line for each.
    """
    errors = [problem.line for problem in found if problem.severity is Severity.ERROR]
    for problem in found:
        if problem.severity is not Severity.ERROR:
            print(f"{problem.severity}: {problem.line}", file=sys.stderr)
    if errors:
        raise UserError("\n".join(errors))
