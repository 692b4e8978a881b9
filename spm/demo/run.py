"""Run the whole workflow on the embedded corpus, with one line per stage on the terminal.

python -m spm.demo.run --out demo --cores 2

What Snakemake and the stages print goes to `OUT/demo.log`. Interrupted runs continue.
"""

import argparse
import re
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import pandas as pd

CONFIG = "workflow/configs/demo.yaml"
CORPUS = '{"solos": 10}'  # settings of the corpus; fewer videos than by default, for a shorter run
# Seconds on two cores from the end of the stage before; they weigh the stages for the time that is
# left.
EXPECTED_S = {
    "corpus": 55, "fetch": 5, "clips": 12, "spectrograms": 4, "index": 1, "clusters": 4,
    "pretrain": 30, "detector": 50, "detect": 35, "annotations": 1, "quality": 1, "negatives": 1,
    "baseline_maps": 45, "train": 65, "maps": 25, "scores": 15, "tables": 1, "report": 8,
    "page": 5,
}  # fmt: skip
# Jobs that run beside another one, each with half of the cores: shards, and the chains that do not
# read each other: boxes, sounds with the trained network, and networks without training. This takes
# less time than one after the other with all cores.
SIDE_BY_SIDE = (
    "clips", "spectrograms", "detector", "detect", "clusters", "pretrain", "train", "maps",
    "baseline_maps",
)  # fmt: skip
FIRST = "results/fusion/maps/spm/solo.parquet"  # end of the longest chain of these jobs
# Stages that only draw and write what people read are one line.
REPORT = {
    "figures", "samples", "cluster_plot", "best_worst", "overlay_videos", "paper", "paper_figures",
    "pages", "cards", "costs", "overview",
}  # fmt: skip
WHAT = {
    "corpus": "122 videos drawn and synthesized",
    "fetch": "files checked and hashed",
    "clips": "videos cut into clips of 1 s",
    "spectrograms": "log-mel spectrograms",
    "index": "clips listed, with their split",
    "clusters": "sounds clustered (step 1)",
    "pretrain": "audio network trained on clusters (step 2)",
    "detector": "Faster R-CNN trained on frames",
    "detect": "boxes detected",
    "annotations": "boxes above 0.9 and given boxes selected",
    "quality": "detected boxes compared with given ones",
    "negatives": "other sounds chosen for the test frames",
    "train": "fusion trained, frozen audio (step 3)",
    "maps": "heat maps of the test clips drawn",
    "baseline_maps": "the same by networks without training",
    "scores": "CIoU and AUC, with baselines and intervals",
    "tables": "score table written",
    "report": "figures, films, pages and cards made",
    "page": "everything in one page, report.html",
}
JOB_COUNT = re.compile(r"^(\w+) +(\d+)$")
FINISHED = re.compile(r"^Finished jobid: \d+ \(Rule: (\w+)\)")


class Stages:
    """Prints a line when a stage has finished, with an estimate of the time that is left."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.jobs_left: Counter[str] = Counter()
        self.jobs: Counter[str] = Counter()
        self.left_s = sum(EXPECTED_S.values())
        self.expected_done_s = 0.0

    def plan(self, rule: str, jobs: int) -> None:
        """Note how many jobs of a rule Snakemake will run."""
        self.jobs[stage_of(rule)] += jobs
        self.jobs_left[stage_of(rule)] += jobs

    def skip_unplanned(self) -> None:
        """Expect no time for stages without a job: an earlier run has made their results."""
        planned = {"page", *self.jobs}
        self.left_s = sum(seconds for stage, seconds in EXPECTED_S.items() if stage in planned)

    def job_finished(self, rule: str) -> None:
        """Count a finished job; the last one of a stage prints the stage's line."""
        stage = stage_of(rule)
        self.jobs_left[stage] -= 1
        if not self.jobs_left[stage]:
            self.stage_finished(stage)

    def stage_finished(self, stage: str) -> None:
        """Print the line of a stage."""
        expected_s = EXPECTED_S.get(stage, 0)
        self.expected_done_s += expected_s
        self.left_s -= expected_s
        elapsed_s = time.monotonic() - self.started_s
        # This machine's speed against the expectation, from what has run so far.
        slowness = elapsed_s / max(self.expected_done_s, 1)
        left = f"about {minutes(self.left_s * slowness)} left" if self.left_s > 0 else "done"
        print(f"{minutes(elapsed_s):>6}  {stage:<14}{WHAT.get(stage, ''):<43}{left}", flush=True)


def stage_of(rule: str) -> str:
    """The line that a rule belongs to."""
    return "report" if rule in REPORT else rule


def minutes(seconds: float) -> str:
    """Minutes and seconds.

    >>> minutes(83.4)
    '1:23'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def follow(lines: Iterator[str], stages: Stages) -> None:
    """Read Snakemake's log while it runs: first the number of jobs per rule, then finished jobs."""
    for line in lines:
        text = line.rstrip()
        if count := JOB_COUNT.match(text):
            if count[1] == "total":
                stages.skip_unplanned()
            elif count[1] != "all":
                stages.plan(count[1], int(count[2]))
        elif (done := FINISHED.match(text)) and done[1] != "all":
            stages.job_finished(done[1])


def run_logged(command: Sequence[str], log: Path, stages: Stages) -> None:
    """Run a command, append what it prints to the log, and follow it.

    Raises
    ------
    SystemExit
        If the command fails: with the last lines of the log and where to find it.
    """
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        assert process.stdout is not None  # it is a pipe
        follow(_copied(process.stdout, file), stages)
    if process.wait():
        print("\n".join(log.read_text(encoding="utf-8").splitlines()[-20:]), file=sys.stderr)
        sys.exit(f"demo: error: {command[0]} failed; the whole log is {log}")


def _copied(lines: Iterable[str], file: TextIO) -> Iterator[str]:
    """The same lines, each written to the file first."""
    for line in lines:
        file.write(line)
        yield line


def summary(scores: Path) -> str:
    """The table that counts: the trained run and the baselines, under the first protocol."""
    table = pd.read_csv(scores)
    first = table.iloc[0]
    table = table[(table[["testset", "box_source", "protocol"]] == first[
        ["testset", "box_source", "protocol"]
    ]).all(axis=1)]  # fmt: skip
    lines = [
        f"{first.frames} frames of {first.videos} test videos, {first.box_source} boxes, protocol "
        f"{first.protocol}; 95 % intervals over videos",
        f"  {'':<22}{'AUC':<24}CIoU@0.3",
    ]
    for row in table.to_dict("records"):
        auc = f"{row['auc']:.3f} [{row['auc low']:.3f}, {row['auc high']:.3f}]"
        name = f"{row['run']} (trained)" if row["trained"] else str(row["run"])
        lines.append(f"  {name:<22}{auc:<24}{row['ciou@0.3']:.3f}")
    return "\n".join(lines)


def verdict(path: Path) -> str:
    """The verdict on the run under the first protocol, in lines for a terminal.

    A second sentence says what the run does on silence, noise and off-screen sound.
    """
    first, *others = path.read_text(encoding="utf-8").splitlines()
    on_negatives = [sentence for sentence in others if "finds a source" in sentence]
    return "\n".join(textwrap.fill(sentence, 100) for sentence in [first, *on_negatives[:1]])


def closing(out: Path) -> str:
    """What to open and what to try next."""
    return f"""
Open      {out}/overview.html, the whole report in one page (opens offline); with the rules and
          their times: {out}/report.html
Try next  . .venv/bin/activate
          spm localize VIDEO     heat maps over any video, by a network that needs no training
          spm manifest FOLDER    your own videos: docs/tutorial.md

These scores are of a drawn corpus. They show that the workflow works, and say nothing about
MUSIC."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Render the corpus, run the workflow, make the report, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder of everything")
    parser.add_argument("--cores", type=int, default=2, help="processor cores to use")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    log = given.out / "demo.log"
    stages = Stages()
    print(f"The whole workflow on the embedded corpus; the log is {log}", flush=True)
    corpus = str(given.out / "corpus")
    run_logged([sys.executable, "-m", "spm.demo", "--config", CORPUS, "--out", corpus], log, stages)
    stages.stage_finished("corpus")
    snakemake = [
        sys.executable, "-m", "snakemake", "all", "--cores", str(given.cores),
        "--directory", str(given.out), "--configfile", CONFIG, "--set-threads",
        *(f"{rule}={max(1, given.cores // 2)}" for rule in SIDE_BY_SIDE), "--prioritize", FIRST,
    ]  # fmt: skip
    run_logged(snakemake, log, stages)
    run_logged([*snakemake, "--report", "report.html"], log, stages)
    stages.stage_finished("page")
    tables = given.out / "results/report/tables"
    print("\n" + summary(tables / "scores.csv"))
    print("\n" + verdict(tables / "verdict.txt"))
    print(closing(given.out))


if __name__ == "__main__":
    main()
