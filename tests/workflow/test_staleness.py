"""The staleness matrix: after each change exactly those jobs are stale that the data flow names.

tests/support/planner.py makes the plans with Snakemake in one process; a sample of them is compared
with the plans of Snakemake's command line. The expected jobs come from tests/support/flow.py.
This command writes docs/staleness.md from the plans:

python -m pytest tests/workflow/test_staleness.py --write-docs
"""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support import flow
from tests.support.changes import RULES, changes, entered, of_key
from tests.support.planner import Job
from tests.support.project import ROOT
from tests.support.staleness import Matrix

pytestmark = pytest.mark.slow
DOCS = ROOT / "docs/staleness.md"
CHANGES = {change.name: change for change in changes()}
# The first ones make all jobs stale, so that a plan lists them all.
EVERYTHING = ("corpus.shards", "openimages.max_per_class")
# At least one of each kind of change, and those for which the planner has code of its own: changed
# modules that the rules import (base/shards.py), a changed digest, and a moved checkout. Those of
# one row are made together, for one plan: each makes jobs stale that the others do not, or none.
SAMPLE = (
    EVERYTHING,
    ("clips.size", "manifest: a new video"),
    (
        "runs (a new run)",
        "spm/fusion/methods/dsol.py",
        "spm/score/metrics.py",
        "boxes.csv: an older file",
    ),
    ("spm/base/digest.py",),
    ("spm/base/shards.py",),
    ("envs/audio.yaml",),
    ("train.promote", "code: comments, docstrings, blank lines", "code: a moved checkout"),
)
INTRODUCTION = """\
# What reruns after a change

tests/workflow/test_staleness.py writes this page. It makes Snakemake's plan after each of {count}
changes and compares it with the data flow: no job is missing and none is superfluous. To write the
page again:

    python -m pytest tests/workflow/test_staleness.py --write-docs

The plans belong to a project with {videos} videos in {shards} shards, {runs} runs, solo, duet and
synthetic test sets, given and detected boxes, and two protocols, in which everything is up to date.
"2 of 3" counts the jobs of a stage; without a number, all jobs of the stage run again. The table
lists the stages in the order of the data flow.

- A job depends on its section of the config, on its code and all modules that this imports, and on
  the content of its inputs; with `--use-conda` also on the file of its environment.
- The order of keys, comments, docstrings, formatting, file times and the place of the checkout do
  not count. In the file of an environment they do, because Snakemake compares its text.
- Within one run of Snakemake, all jobs after a job that reruns rerun too. A later run compares
  content. That is why `make retry` runs Snakemake twice.
- Environments with and without `--use-conda` differ: changing that option reruns everything.
"""


@pytest.fixture(scope="module")
def matrix(tmp_path_factory) -> Iterator[Matrix]:
    matrix = Matrix(tmp_path_factory.mktemp("staleness"), CHANGES)
    yield matrix
    matrix.planner.close()


def listed(jobs: frozenset[Job]) -> str:
    return ", ".join(sorted(map(str, jobs)))


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_reruns_the_jobs_that_depend_on_it_and_no_others(matrix, name):
    plan = matrix.plan(name)
    due = flow.expected(plan.jobs, entered(CHANGES[name]))
    assert not due - plan.stale, f"{name}: {listed(due - plan.stale)} should rerun and would not"
    assert not plan.stale - due, (
        f"{name}: {listed(plan.stale - due)} would rerun without a reason;"
        " if that is right, add it to tests/support/flow.py"
    )


@pytest.mark.parametrize("names", SAMPLE, ids=" and ".join)
def test_the_command_line_of_snakemake_makes_the_same_plan(matrix, names):
    changes = [CHANGES[name] for name in names]
    plan = matrix.plan_of(changes)
    assert matrix.real_plan(changes) == plan.stale
    assert (plan.stale == plan.jobs) == (names == EVERYTHING)
    due = {name: flow.expected(plan.jobs, entered(CHANGES[name])) for name in names}
    for name, own in due.items():  # no change hides another
        others = frozenset().union(*(more for other, more in due.items() if other != name))
        assert not own or own - others, name


@pytest.mark.parametrize(
    "name", ["spm/base/errors.py", "spm/learn/weights.py", "spm/corpus/media/spans.py"]
)
def test_a_module_alone_reruns_what_it_reruns_together_with_others_of_its_kind(matrix, name):
    assert matrix.plan_of([CHANGES[name]]) == matrix.plan(name)


def test_every_rule_has_its_place_in_the_data_flow():
    text = "".join((ROOT / path).read_text() for path in RULES)
    rules = re.split(r"^rule ", text, flags=re.M)[1:]
    stages = {rule.split(":")[0] for rule in rules if "\n    output:" in rule}
    assert stages == set(flow.READS), (
        f"READS of {flow.__file__} lists all stages and what they read"
    )


def test_a_new_section_or_a_value_without_another_needs_an_entry():
    with pytest.raises(LookupError, match=r"reviews\.seed, .*: add it to ENTERS of"):
        of_key("reviews", "seed", 0)


@pytest.mark.parametrize(
    "name", ["scores.protocols", "scores.seed", "tables.digits", "annotations.min_score"]
)
def test_scoring_again_needs_no_gpu(matrix, name):
    rules = {job.rule for job in matrix.plan(name).stale}
    assert rules
    assert not rules & flow.GPU


@pytest.mark.parametrize(
    "name", ["spectrograms.preset", "index.val_solos", "detector.lr", "train.lr"]
)
def test_no_video_is_decoded_again_for_later_stages(matrix, name):
    rules = {job.rule for job in matrix.plan(name).stale}
    assert rules
    assert "clips" not in rules


def stages(jobs: frozenset[Job], stale: frozenset[Job]) -> str:
    """The stages of a plan in their order, with counts where only a part of the jobs would run."""
    count, stale_count = Counter(job.rule for job in jobs), Counter(job.rule for job in stale)
    texts = []
    for stage in flow.READS:
        if stale_count[stage] == count[stage] > 0:
            texts.append(stage)
        elif stale_count[stage]:
            texts.append(f"{stale_count[stage]} of {count[stage]} {stage}")
    return ", ".join(texts) or "nothing"


def page(matrix: Matrix) -> str:
    """The text of docs/staleness.md."""
    rows: dict[str, list[str]] = {}
    for name in CHANGES:
        rows.setdefault(stages(*matrix.plan(name)), []).append(f"`{name}`")
    table = "\n".join(f"| {', '.join(names)} | {reruns} |" for reruns, names in rows.items())
    introduction = INTRODUCTION.format(
        count=len(CHANGES),
        videos=len(flow.VIDEOS),
        shards=flow.CONFIG["corpus"]["shards"],
        runs=len(flow.CONFIG["runs"]),
    )
    return f"{introduction}\n| change | jobs that rerun |\n|---|---|\n{table}\n"


def test_the_page_on_staleness_is_up_to_date(matrix, request):
    if request.config.getoption("--write-docs"):
        DOCS.write_text(page(matrix))
    assert DOCS.read_text() == page(matrix), (
        "docs/staleness.md belongs to another state of the code: run this test with --write-docs"
    )
