"""Projects in which everything is up to date, and Snakemake's plans for them after a change."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import yaml

from spm.base import csv_file
from spm.corpus.index import COUNTS
from tests.support import conda, flow
from tests.support.changes import (
    BOXES,
    HEADER,
    MODULES,
    REVIEWS,
    Change,
    Edits,
    digested,
    entered,
    laid_over,
    row_of,
)
from tests.support.planner import Job, Plan, Planner
from tests.support.project import ROOT, checkout

# Of all tables that a plan reads.
COLUMNS = ("kind", "categories", "split", *COUNTS, "category", "status", "boxes")


@contextmanager
def edited(
    folder: Path, edits: Edits, *, older: bool = False, same_time: bool = False
) -> Iterator[list[Path]]:
    """Files of a folder with other texts, for a while.

    `older` sets their times to 1970; with `same_time` they keep their times.
    """
    before = {}
    for name, edit in edits.items():
        file = folder / name
        before[file] = (file.read_text(), file.stat().st_mtime_ns) if file.exists() else None
        file.write_text(edit(file.read_text() if file.exists() else ""))
        if older:
            os.utime(file, (0, 0))
        if same_time and before[file]:
            os.utime(file, ns=(before[file][1], before[file][1]))
    try:
        yield list(before)
    finally:
        for file, state in before.items():
            restore(file, state)


def command_line(
    checkout: Path, project: Path, options: Iterable[str], config: Path | None = None
) -> list[str]:
    """Arguments of Snakemake for all stages; the config is mine.yaml, or another file."""
    files = {
        "--configfile": config or project / "mine.yaml",
        "--snakefile": checkout / "Snakefile",
        "--directory": project,
    }
    words = [word for name, path in files.items() for word in (name, str(path))]
    return ["all", *words, "--cores", "2", *options]


def restore(file: Path, state: tuple[str, int] | None) -> None:
    """Give a file its former text and time; without a state, delete it."""
    if state is None:
        file.unlink()
        return
    text, time_ns = state
    file.write_text(text)
    os.utime(file, ns=(time_ns, time_ns))


def write_project(folder: Path) -> Path:
    """Config, manifest, boxes and reviews of a project."""
    folder.mkdir()
    (folder / "plugins").mkdir()
    manifest = HEADER + "".join(map(row_of, flow.VIDEOS))
    inputs = {
        "manifest.csv": manifest,
        "boxes.csv": BOXES,
        "reviews.csv": REVIEWS,
        "cookies.txt": "",
        "weights.safetensors": "",
        "weights.json": json.dumps({"categories": ["flute", "cello"]}),
        "a.mp4": "film",
    }
    for name, text in inputs.items():
        (folder / name).write_text(text)
        (folder / f"again.{name}").write_text(text)
    (folder / "mine.yaml").write_text(yaml.safe_dump(flow.CONFIG))
    return folder


def write_outputs(folder: Path, summary: str) -> None:
    """Every output that a summary of Snakemake lists, with a made-up content.

    A table that the next plan reads has no rows, and the digest of its content beside it.
    """
    names = [line.split("\t")[0] for line in summary.splitlines()]
    files = [folder / name for name in names if name.startswith(("results/", "logs/", "overview"))]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"made of nothing: {file.name}")
    for file in files:
        if file.suffix == ".csv" and file.with_suffix(".json") in files:
            csv_file.write_text(file, f"{','.join(COLUMNS)}\n")


class Changed(NamedTuple):
    """A project after a change."""

    command: list[str]  # arguments of Snakemake that plan it
    code: Sequence[Path]  # changed files of the checkout


def combined(changes: Iterable[Change]) -> Change:
    """Several changes as one; each file is changed by one of them."""
    parts = list(changes)
    return Change(
        " and ".join(part.name for part in parts),
        (),
        reduce(laid_over, [part.config for part in parts], {}),
        {file: edit for part in parts for file, edit in part.files.items()},
        {file: edit for part in parts for file, edit in part.code.items()},
        older=any(part.older for part in parts),
        same_time=any(part.same_time for part in parts),
        moved=any(part.moved for part in parts),
    )


def kind_of(change: Change) -> Hashable:
    """Changes of one kind are made for one plan.

    They are modules that the same stages import, for Python and for the digest of their code; and
    modules and keys that no stage uses.
    """
    is_key = bool(change.config) and change.name != "cluster.nodes"  # which needs other options
    if (change.name in MODULES or is_key) and not entered(change):
        return "unused"
    if change.name in MODULES:
        return frozenset(entered(change)), frozenset(digested()[change.name])
    return change.name


class Matrix:
    """Two projects, one of them made with conda, and their plans after changes."""

    def __init__(self, scratch: Path, changes: Mapping[str, Change]) -> None:
        self.scratch, self.changes = scratch, changes
        # On any machine, the plans are those of one without a GPU.
        self.environment = {**conda.install(scratch, conda.tested()), "CUDA_VISIBLE_DEVICES": ""}
        self.checkout = checkout(scratch / "checkout")
        self.plain = write_project(scratch / "plain")
        self.planner = Planner(self.checkout, self.environment)
        self._plans: dict[str, Plan] = {}
        self._kinds: dict[Hashable, list[str]] = {}
        for name, change in changes.items():
            self._kinds.setdefault(kind_of(change), []).append(name)
        write_outputs(self.plain, self._run(self.plain, "--summary"))
        self.with_conda = Path(shutil.copytree(self.plain, scratch / "with-conda"))
        self.with_weights = Path(shutil.copytree(self.plain, scratch / "with-weights"))
        own = laid_over(flow.CONFIG, flow.OWN_WEIGHTS)
        (self.with_weights / "mine.yaml").write_text(yaml.safe_dump(own))
        self._run(self.with_weights, "--touch", "--forceall")
        self._run(self.plain, "--touch", "--forceall")
        self._run(self.with_conda, "--touch", "--forceall", "--use-conda")

    def _run(self, project: Path, *options: str) -> str:
        """Run Snakemake for an unchanged project; its output."""
        done = self.planner.run(command_line(self.checkout, project, options), project)
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextmanager
    def after(self, change: Change) -> Iterator[Changed]:
        """Make a change, and undo it in the end."""
        name = change.name
        project, options, config, basedir = self.plain, ["--dry-run"], None, self.checkout
        if name.startswith("envs/") or name == "detector.backend":  # needs another environment
            project, options = self.with_conda, ["--dry-run", "--use-conda"]
        if name.startswith("detect.weights:"):
            project = self.with_weights
        if name == "cluster.nodes":  # needs a cluster
            options = ["--dry-run", "--jobs", "1"]
        if change.config:
            config = self.scratch / "changed.yaml"
            config.write_text(yaml.safe_dump(laid_over(flow.CONFIG, change.config)))
        if change.moved:
            basedir = self.scratch / "moved"
            shutil.copytree(self.checkout, basedir, dirs_exist_ok=True)
        with (
            edited(project, change.files, older=change.older, same_time=change.same_time),
            edited(basedir, change.code) as code,
        ):
            yield Changed(command_line(basedir, project, options, config), code)

    def plan(self, name: str) -> Plan:
        """The plan after a change.

        Changes of one kind are made together. Where the expected jobs rerun, the plan is that of
        each of them. Else each has a plan of its own, so that a test names it.
        """
        alike = self._kinds[kind_of(self.changes[name])]
        if self._plans.keys().isdisjoint(alike):
            plan = self.plan_of([self.changes[other] for other in alike])
            if plan.stale == flow.expected(plan.jobs, entered(self.changes[name])):
                self._plans |= dict.fromkeys(alike, plan)
        if name not in self._plans:
            self._plans[name] = self.plan_of([self.changes[name]])
        return self._plans[name]

    def plan_of(self, changes: Iterable[Change]) -> Plan:
        """The plan after several changes."""
        with self.after(combined(changes)) as changed:
            return self.planner.plan(changed.command, ROOT, changed=changed.code)

    def real_plan(self, changes: Iterable[Change]) -> frozenset[Job]:
        """Jobs that Snakemake's command line would run after several changes."""
        with self.after(combined(changes)) as changed:
            done = subprocess.run(
                [sys.executable, "-m", "snakemake", *changed.command],
                capture_output=True,
                text=True,
                env={**os.environ, **self.environment},
                check=True,
            )
        return printed_jobs(done.stdout + done.stderr)


def printed_jobs(output: str) -> frozenset[Job]:
    """The jobs that a dry run prints, `all` left out."""
    assert "Nothing to be done" in output or "This was a dry-run" in output, output
    blocks = re.split(r"^(?:local)?rule (\w+):\n", output, flags=re.M)[1:]
    jobs = set()
    for rule, block in zip(blocks[::2], blocks[1::2], strict=True):
        wildcards = re.search(r"^    wildcards: (.*)$", block.split("\n\n")[0], re.M)
        pairs = re.findall(r"(\w+)=([^,]*)", wildcards[1]) if wildcards else []
        jobs.add(Job(rule, frozenset(pairs)))
    return frozenset(job for job in jobs if job.rule != "all")
