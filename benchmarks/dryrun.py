"""How long Snakemake thinks: a dry run of 16 and of 1,000 shards, and a run with nothing to do.

python -m benchmarks.dryrun [--rounds 3] [--plans-only]

Plans the whole workflow for 5,000 made-up videos in 16 and in 1,000 shards, in turn. Then, unless `--plans-only`, runs
it for real on 16 videos of two seconds, one a shard (minutes), and times the same command again, which finds nothing to
do. Figures are medians of wall time, Snakemake's start included, with the time
of the processor beside them. Targets: 30 s for the plan of 1,000 shards, 5 s for nothing to do in 16.
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
VIDEOS = 5_000
FEW, MANY = 16, 1_000  # shards
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


class Took(NamedTuple):
    """Seconds of one call of Snakemake."""

    wall_s: float
    processor_s: float


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file of a header and rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def project(folder: Path, rows: Iterable[Sequence[str]], shards: int, **sections: Any) -> Path:
    """A working directory with a manifest and a config."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "manifest.csv", [("video_id", "url", "kind", "categories"), *rows])
    corpus = {"manifest": "manifest.csv", "shards": shards, **sections.pop("corpus", {})}
    (folder / "mine.yaml").write_text(
        yaml.safe_dump({"corpus": corpus, **sections}), encoding="utf-8"
    )
    return folder


def snakemake(folder: Path, *options: str) -> str:
    """Run the workflow in a project; what it says."""
    where = ["--directory", str(folder), "--configfile", str(folder / "mine.yaml")]
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "all",
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--cores",
        "2",
        *where,
    ]
    path = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ["PATH"]]
    )  # jobs say `python`
    done = subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PATH": path},
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout + done.stderr


def timed(folder: Path, said: str, *options: str) -> Took:
    """Time one call, which must say something."""
    before, start_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    if said not in snakemake(folder, *options):
        raise SystemExit(f"expected of snakemake: {said!r}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(
        time.perf_counter() - start_s,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )


def made_up() -> list[Sequence[str]]:
    """Videos that nobody has."""
    return [(f"video-{n:06d}", f"https://example.org/{n}", "solo", "cello") for n in range(VIDEOS)]


def tiny(folder: Path) -> Path:
    """A project of one video of two seconds in each of 16 shards: two are rendered, and go by eight names each."""
    config = scenario.Demo(solos=1, duets=0, scenes=1, width=96, height=72)
    boxes, rows = [scenario.BOX_COLUMNS], []
    for number, video in enumerate(scenario.videos(config)[:2]):
        drawn = scenario.render(video, config=config, folder=folder)
        for shard in range(number, FEW, 2):
            name = next(
                name for n in count() if shard_of(name := f"{video.video_id}-{n}", FEW) == shard
            )
            rows.append((name, f"{video.video_id}.mp4", "solo", *video.categories))
            boxes += [(name, *box[1:]) for box in drawn]
    write_csv(folder / "boxes.csv", boxes)
    return project(folder, rows, FEW, corpus={"boxes": ["given"]}, **TINY)


def report(name: str, turns: Sequence[Took], target_s: float) -> None:
    """One line of the table."""
    wall_s, processor_s = (median(figures) for figures in zip(*turns, strict=True))
    print(
        f"{name:<30} {wall_s:6.2f} s, {processor_s:6.2f} s of the processor (target {target_s} s)",
        flush=True,
    )


def main() -> None:
    """Plan, then run and do nothing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plans-only", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        few, many = (
            project(Path(scratch, str(shards)), made_up(), shards) for shards in (FEW, MANY)
        )
        turns = [
            [timed(each, "Job stats", "-n") for each in (few, many)] for _ in range(given.rounds)
        ]
        report(f"plan, {FEW} shards", [turn[0] for turn in turns], TARGET_S)
        report(f"plan, {MANY} shards", [turn[1] for turn in turns], TARGET_S)
        print(f"ratio {median(turn[1].wall_s / turn[0].wall_s for turn in turns):.1f}")
        if not given.plans_only:
            done = tiny(Path(scratch, "tiny"))
            print(
                f"running {FEW} shards for real took {timed(done, 'steps (100%) done').wall_s:.0f} s"
            )
            idle = [timed(done, "Nothing to be done") for _ in range(given.rounds)]
            report(f"nothing to do, {FEW} shards", idle, IDLE_TARGET_S)


if __name__ == "__main__":
    main()
