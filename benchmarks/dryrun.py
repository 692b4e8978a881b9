"""Time that Snakemake needs to plan the workflow, and to find that there is nothing to do.

python -m benchmarks.dryrun [--rounds 3] [--videos 5000] [--shards 16 1000] [--plans-only]

Plan: a dry run of the whole workflow for a list of 5,000 videos, in 16 and in 1,000 shards, in
turn. Nothing to do: the workflow runs on 16 videos of two seconds, one per shard, which takes
minutes; then the same command runs again and finds no job. --plans-only leaves this part out.
Printed: medians of the wall time and of the CPU time, in s, with the start of Snakemake. Targets:
30 s for the plan of 1,000 shards, 5 s for nothing to do in 16 shards.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import yaml

from spm.base.shards import shard_of
from spm.demo import scenario

ROOT = Path(__file__).parents[1]
FEW = 16  # shards of the workflow that runs
TARGET_S, IDLE_TARGET_S = 30, 5
TINY: dict[str, Any] = {
    "clips": {"size": 64, "frames_per_clip": 1},
    "index": {"test_solos": 1},
    "clusters": {"k": 2, "restarts": 1},
    "pretrain": {"epochs": 1},
    "train": {"visual": "mobilenet_v2", "start": "none", "crop": 48, "epochs": 1},
    "scores": {"bootstrap": 10},
    "figures": {"examples": 2},
}


class Duration(NamedTuple):
    """Wall time and CPU time of one call of Snakemake."""

    wall_s: float
    cpu_s: float


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file; the first row is the header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def project(folder: Path, rows: Iterable[Sequence[str]], shards: int, **sections: Any) -> Path:
    """Make a working directory with a manifest and a config."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "manifest.csv", [("video_id", "url", "kind", "categories"), *rows])
    corpus = {"manifest": "manifest.csv", "shards": shards, **sections.pop("corpus", {})}
    config = yaml.safe_dump({"corpus": corpus, **sections})
    (folder / "mine.yaml").write_text(config, encoding="utf-8")
    return folder


def snakemake(folder: Path, *options: str) -> str:
    """Run the workflow in a project; the output of Snakemake."""
    command = [sys.executable, "-m", "snakemake", "all", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--cores", "2", "--directory", str(folder)]
    command += ["--configfile", str(folder / "mine.yaml"), *options]
    # the jobs run `python`: it must be this one
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout + done.stderr


def timed(folder: Path, expected: str, *options: str) -> Duration:
    """Time one call; its output must contain the expected text."""
    before, start_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    if expected not in snakemake(folder, *options):
        raise SystemExit(f"the output of snakemake lacks {expected!r}")
    wall_s, after = time.perf_counter() - start_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Duration(wall_s, cpu_s)


def invented_rows(count: int) -> list[Sequence[str]]:
    """Rows of a manifest of videos that do not exist."""
    return [(f"video-{n:06d}", f"https://example.org/{n}", "solo", "cello") for n in range(count)]


def id_in_shard(name: str, shard: int) -> str:
    """The first id of the form `name-0`, `name-1`, … that belongs to the shard."""
    ids = (f"{name}-{number}" for number in count())
    return next(video_id for video_id in ids if shard_of(video_id, FEW) == shard)


def tiny(folder: Path) -> Path:
    """Make a project with one video of two seconds per shard; two files have eight ids each."""
    config = scenario.Demo(solos=1, duets=0, scenes=1, width=96, height=72)
    boxes, rows = [scenario.BOX_COLUMNS], []
    for number, video in enumerate(scenario.videos(config)[:2]):
        drawn = scenario.render(video, config=config, folder=folder)
        for shard in range(number, FEW, 2):
            video_id = id_in_shard(video.video_id, shard)
            rows.append((video_id, f"{video.video_id}.mp4", "solo", *video.categories))
            boxes += [(video_id, *box[1:]) for box in drawn]
    write_csv(folder / "boxes.csv", boxes)
    return project(folder, rows, FEW, corpus={"boxes": ["given"]}, **TINY)


def report(name: str, durations: Sequence[Duration], target_s: float) -> None:
    """Print one line of the table."""
    wall_s = median(duration.wall_s for duration in durations)
    cpu_s = median(duration.cpu_s for duration in durations)
    print(f"{name:<28} {wall_s:6.2f} s, CPU {cpu_s:6.2f} s (target: {target_s} s)", flush=True)


def compare_plans(folder: Path, rounds: int, videos: int, shards: Sequence[int]) -> None:
    """Time the plans of few and of many shards, in turn."""
    few, many = (project(folder / str(n), invented_rows(videos), n) for n in shards)
    few_plans, many_plans = [], []
    for _ in range(rounds):
        few_plans.append(timed(few, "Job stats", "-n"))
        many_plans.append(timed(many, "Job stats", "-n"))
    report(f"plan, {shards[0]} shards", few_plans, TARGET_S)
    report(f"plan, {shards[1]} shards", many_plans, TARGET_S)
    pairs = zip(few_plans, many_plans, strict=True)
    print(f"ratio {median(many.wall_s / few.wall_s for few, many in pairs):.1f}")


def time_nothing_to_do(folder: Path, rounds: int) -> None:
    """Run a small project, then time the call that finds no job."""
    done = tiny(folder)
    first = timed(done, "steps (100%) done")
    print(f"the run of {FEW} shards took {first.wall_s:.0f} s")
    idle = [timed(done, "Nothing to be done") for _ in range(rounds)]
    report(f"nothing to do, {FEW} shards", idle, IDLE_TARGET_S)


def main() -> None:
    """Time the plans, then the call with nothing to do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--videos", type=int, default=5_000)
    parser.add_argument("--shards", type=int, nargs=2, default=[16, 1_000])
    parser.add_argument("--plans-only", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        compare_plans(Path(scratch), given.rounds, given.videos, given.shards)
        if not given.plans_only:
            time_nothing_to_do(Path(scratch, "tiny"), given.rounds)


if __name__ == "__main__":
    main()
