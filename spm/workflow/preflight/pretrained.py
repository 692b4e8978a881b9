"""Weights of pretrained networks that baselines and runs without training need."""

from collections.abc import Iterator

from spm.base import runs
from spm.base.statuses import PretrainedBaseline
from spm.base.words import shown
from spm.learn.pretrained import PARTS, Package, find
from spm.workflow.preflight.facts import Facts, Problem, error

# The pretrained parts of each baseline.
BASELINE_PARTS = {
    PretrainedBaseline.OBJECT_PRIOR: ("efficientnet_lite0",),
    PretrainedBaseline.ZERO_SHOT: ("efficientnet_lite0", "yamnet"),
}


def baselines(facts: Facts) -> Iterator[Problem]:
    """Weights that can't be downloaded when a job needs them, and are not installed."""
    if facts.machine.conda:
        return  # the environments have them
    needed: dict[str, list[str]] = {}  # baselines that need a part
    for name in facts.plan.pretrained_networks:
        for part in BASELINE_PARTS[PretrainedBaseline(name)]:
            needed.setdefault(part, []).append(name)
    for part, names in needed.items():
        source = PARTS[part].source
        if isinstance(source, Package) and find(part) is None:
            yield error(
                f"scores.pretrained_baselines: {shown(names)} needs the weights of {part}, which"
                f" are not on this machine: {source.remedy}, or set {_without(facts, names)}"
            )


def untrained_runs(facts: Facts) -> Iterator[Problem]:
    """The same of runs whose method uses pretrained networks as they are."""
    if facts.machine.conda:
        return
    for run in facts.plan.runs:
        settings = facts.plan.run_config(run)
        if settings["method"] not in runs.UNTRAINED:
            continue
        for part in ("efficientnet_lite0", settings.get("tagger")):
            if part and find(part) is None and isinstance(PARTS[part].source, Package):
                yield error(
                    f"runs.{run}: method: {settings['method']} needs the weights of {part}, which"
                    f" are not on this machine: {PARTS[part].source.remedy}, or set runs.{run}:"
                    " false"
                )


def _without(facts: Facts, names: list[str]) -> str:
    """Settings with which some baselines are not needed."""
    listed = facts.config["scores"]["pretrained_baselines"]
    kept = ", ".join(name for name in listed if name not in names)
    mixes = bool(facts.plan.mixed_runs) and facts.config["maps"]["prior"] in names
    return f"scores.pretrained_baselines: [{kept}]" + (" and maps.prior_alpha: null" * mixes)
