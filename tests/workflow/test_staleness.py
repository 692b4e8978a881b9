"""The staleness matrix: after every change, the plan has the jobs that the data flow says, no more and no fewer.

Snakemake makes every plan; tests/workflow/flow.py says what it should be. docs/staleness.md is made from these plans:
`python -m pytest tests/workflow/test_staleness.py --write-docs`.
"""

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.support import conda, flow, planner
from tests.support.changes import (
    BOXES,
    HEADER,
    REVIEWS,
    ROW,
    RULES,
    Change,
    Edits,
    changes,
    entered,
    laid_over,
    of_key,
)
from tests.support.planner import Call, Job
from tests.support.project import ROOT, Project, checkout

DOCS = ROOT / "docs/staleness.md"
CHANGES = {change.name: change for change in changes()}
INTRODUCTION = """\
# What reruns after a change

Made by tests/workflow/test_staleness.py, which holds Snakemake's plan after each of {count} changes against the data
flow: no job more, none fewer. To make it anew: `python -m pytest tests/workflow/test_staleness.py --write-docs`.

The plans are those of a project of {videos} videos in {shards} shards, with {runs} runs, both kinds of test sets, given
and detected boxes, and two protocols, in which everything is up to date. "2 of 3" counts a stage's jobs; one without a
number reruns whole. What follows a stage is listed after it.

- What a job depends on: its section of the config, its code and all that this imports, its inputs' content, and under
  `--use-conda` its environment's file. The order of keys, comments, docstrings, formatting, times and the place of the
  checkout don't count; in an environment's file they do, as Snakemake takes its text.
- Within one run, all that follows a job that reruns reruns too; a later one compares content: `make retry` runs twice.
- With and without `--use-conda` are different environments: a switch reruns everything.
"""


def edited(folder: Path, edits: Edits, *, older: bool = False) -> None:
    for name, edit in edits.items():
        file = folder / name
        file.write_text(edit(file.read_text() if file.exists() else ""))
        if older:
            os.utime(file, (0, 0))


def up_to_date(folder: Path, *options: str, environment: Mapping[str, str]) -> Project:
    """A project in which every output is there, and Snakemake has noted what it was made from."""
    project = Project(folder, flow.CONFIG, environment=environment)
    folder.mkdir()
    manifest = HEADER + "".join(map(ROW.format, flow.VIDEOS))
    for name, text in {
        "manifest.csv": manifest,
        "boxes.csv": BOXES,
        "reviews.csv": REVIEWS,
        "weights.safetensors": "",
    }.items():
        (folder / name).write_text(text)
        (folder / f"again.{name}").write_text(text)
    for line in project.run("all", "--summary").splitlines():
        if line.startswith(("results/", "logs/")):
            file = folder / line.split("\t")[0]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"made of nothing: {file.name}")
    project.run("all", "--touch", "--forceall", *options)
    return project


def call(change: Change, project: Project, scratch: Path) -> Call:
    """The call of Snakemake that plans a project after a change, in copies of what was changed."""
    scratch.mkdir()
    folder, basedir = project.folder, ROOT
    if change.files:
        folder = Path(shutil.copytree(folder, scratch / "project"))
        edited(folder, change.files, older=change.older)
    if change.code:
        basedir = checkout(scratch / "checkout")
        edited(basedir, change.code)
    config = folder / "mine.yaml"
    if change.config:
        config = scratch / "mine.yaml"
        config.write_text(yaml.safe_dump(laid_over(flow.CONFIG, change.config)))
    return Call(str(basedir), str(folder), ("all", "--dry-run", "--configfile", str(config)))


class Plans:
    """Of each change, the jobs that there are after it, and those of them that would run."""

    def __init__(self, scratch: Path) -> None:
        environment = conda.install(scratch, conda.tested())
        plain = up_to_date(scratch / "plain", environment=environment)
        within = up_to_date(scratch / "within", "--use-conda", environment=environment)
        calls = {}
        for number, (name, change) in enumerate(CHANGES.items()):
            project, options = (
                (within, ["--use-conda"]) if name.startswith("envs/") else (plain, [])
            )
            planned = call(change, project, scratch / str(number))
            calls[name] = planned._replace(arguments=[*planned.arguments, *options])
        reshaping = [name for name in CHANGES if name in flow.ENTERS or name.startswith("manifest")]
        forced = {name: calls[name] for name in reshaping}
        forced[""] = call(Change("", ()), plain, scratch / "whole")
        made = planner.plans(
            [
                *calls.values(),
                *(
                    each._replace(arguments=[*each.arguments, "--forceall"])
                    for each in forced.values()
                ),
            ],
            environment,
        )
        self.stale = dict(zip(calls, made, strict=False))
        self.jobs = dict(zip(forced, made[len(calls) :], strict=True))

    def there(self, name: str) -> frozenset[Job]:
        """All jobs of the project after a change."""
        return self.jobs.get(name, self.jobs[""])


@pytest.fixture(scope="module")
def plans(tmp_path_factory) -> Plans:
    return Plans(tmp_path_factory.mktemp("staleness"))


def names(jobs: frozenset[Job]) -> str:
    return ", ".join(sorted(map(str, jobs)))


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_reruns_what_reads_it_and_nothing_else(plans, name):
    due, stale = flow.expected(plans.there(name), entered(CHANGES[name])), plans.stale[name]
    assert not due - stale, f"{name}: {names(due - stale)} should rerun and would not"
    where = "tests/workflow/flow.py is the place to say so, if that is right"
    assert not stale - due, f"{name}: {names(stale - due)} would rerun for nothing; {where}"


def test_every_rule_has_its_place_in_the_data_flow():
    rules = re.split(r"^rule ", "".join((ROOT / path).read_text() for path in RULES), flags=re.M)[
        1:
    ]
    working = {rule.split(":")[0] for rule in rules if "\n    output:" in rule}
    assert working == set(flow.READS), (
        f"READS of {flow.__file__} lists the stages and what they read"
    )


def test_a_section_or_a_value_that_nobody_listed_is_asked_for():
    with pytest.raises(LookupError, match=r"reviews\.seed, .*: say in ENTERS of"):
        of_key("reviews", "seed", 0)


@pytest.mark.parametrize(
    "name", ["scores.protocols", "scores.seed", "tables.digits", "annotations.min_score"]
)
def test_scoring_anew_needs_no_gpu(plans, name):
    assert plans.stale[name]
    assert not {job.rule for job in plans.stale[name]} & flow.GPU


@pytest.mark.parametrize(
    "name", ["spectrograms.preset", "index.val_solos", "detector.lr", "train.lr"]
)
def test_no_video_is_decoded_again_for_what_comes_after(plans, name):
    assert plans.stale[name]
    assert "clips" not in {job.rule for job in plans.stale[name]}


def said(there: frozenset[Job], stale: frozenset[Job]) -> str:
    """The stages of a plan in their order, with counts where not all of a stage's jobs would run."""
    every, some = Counter(job.rule for job in there), Counter(job.rule for job in stale)
    listed = [
        name if some[name] == every[name] else f"{some[name]} of {every[name]} {name}"
        for name in flow.READS
    ]
    return (
        ", ".join(text for name, text in zip(flow.READS, listed, strict=True) if some[name])
        or "nothing"
    )


def page(plans: Plans) -> str:
    """docs/staleness.md."""
    rows: dict[str, list[str]] = {}
    for name in CHANGES:
        rows.setdefault(said(plans.there(name), plans.stale[name]), []).append(f"`{name}`")
    table = "\n".join(f"| {', '.join(several)} | {stages} |" for stages, several in rows.items())
    corpus = flow.CONFIG["corpus"]
    about = INTRODUCTION.format(
        count=len(CHANGES),
        videos=len(flow.VIDEOS),
        shards=corpus["shards"],
        runs=len(flow.CONFIG["runs"]),
    )
    return f"{about}\n| what changes | what reruns |\n|---|---|\n{table}\n"


def test_the_page_on_staleness_is_what_snakemake_does(plans, request):
    if request.config.getoption("--write-docs"):
        DOCS.write_text(page(plans))
    assert DOCS.read_text() == page(plans), (
        "docs/staleness.md is not of this code: run with --write-docs"
    )
