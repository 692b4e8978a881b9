"""The conda environments hold the versions that the tests run with."""

import re
from pathlib import Path

import pytest
import yaml

from tests.support.project import ROOT

PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
)
NAMES = {
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "matplotlib-base": "matplotlib",
    "pyyaml": "PyYAML",
}
NOT_PYTHON = {"python", "pip", "ffmpeg", "deno"}
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_versions_are_those_of_the_constraints(path: Path):
    listed = yaml.safe_load(path.read_text())["dependencies"]
    lines = [line for line in listed if isinstance(line, str)]
    lines += [line for part in listed if isinstance(part, dict) for line in part["pip"]]
    packages = [re.match(r"([\w-]+) *(?:==?([\d.]+))?", line).groups() for line in lines]
    for name, version in packages:
        if name not in NOT_PYTHON and version:
            pinned = PINS[NAMES.get(name, name)]
            assert f"{pinned}.".startswith(f"{version}."), (
                f"{path.name} has {name} {version}, constraints.txt {pinned}"
            )


def test_every_rule_that_runs_a_stage_names_its_environment():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert len(re.findall(r"^rule ", rules, re.M)) == len(re.findall(r"^    conda:$", rules, re.M))
    assert {f"../envs/{path.name}" for path in ENVIRONMENTS} == set(
        re.findall(r'"(\.\./envs/\w+\.yaml)"', rules)
    )
