"""What a list of an AudioSet's size costs before anything is learnt: its rules read, its plan made, its index.

python -m benchmarks.scale [--videos 20000 200000 2000000] [--plot docs/scale.svg]

Made-up manifests with ten clips a video, in a shard for every 500 videos; each step in a process of its own, whose time
on the processor and peak of memory are printed. A step's start costs about 1 s and 150 MB, whatever the size.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from spm.base.shards import shard_of, table_of

ROOT = Path(__file__).parents[1]
CLIPS = 10  # a video, as AudioSet's
SHARD_VIDEOS = 500
RULES = """
import sys; from pathlib import Path; from spm.corpus import membership
membership.shard_digests(Path(sys.argv[1], "manifest.csv"), int(sys.argv[2]), Path(sys.argv[1], ".snakemake/spm"))
"""
SHARD = """
import sys; from pathlib import Path; from spm.base.shards import shard_of; from spm.corpus import manifest
manifest.read(Path(sys.argv[1], "manifest.csv"), wanted=lambda video_id: shard_of(video_id, int(sys.argv[2])) == 0)
"""
WATCH = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
sys.exit(done.returncode)
"""
STEPS = {
    "list": "the list, first time",
    "again": "the list, in each job",
    "shard": "one shard's rows, in each fetch",
    "plan": "a dry run of all",
    "index": "the index of its clips",
}


class Cost(NamedTuple):
    """Of one step on a list of so many videos."""

    step: str
    videos: int
    processor_s: float
    peak_mb: float


def manifest(path: Path, count: int) -> list[str]:
    """Write a list of made-up solos of eleven categories; their ids."""
    ids = [f"v{number:010d}" for number in range(count)]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = (
            (name, f"https://example.org/{name}", "solo", f"category-{n % 11}")
            for n, name in enumerate(ids)
        )
        csv.writer(file, lineterminator="\n").writerows(
            [("video_id", "url", "kind", "categories"), *rows]
        )
    return ids


def _clips(names: Sequence[str]) -> pa.Table:
    """What the index reads of the clips of some videos."""
    starts = range(CLIPS)
    return pa.table(
        {
            "clip_id": [f"{name}_{1000 * second:07d}" for name in names for second in starts],
            "video_id": [name for name in names for _ in starts],
            "start_s": [float(second) for _ in names for second in starts],
            "rms_db": pa.array([-20.0] * (len(names) * CLIPS), pa.float32()),
        }
    )


def shards(folder: Path, ids: Sequence[str], count: int) -> None:
    """Write the tables of videos and clips that the index reads, without pictures and sound."""
    of: dict[int, list[str]] = {}
    for name in ids:
        of.setdefault(shard_of(name, count), []).append(name)
    for stage in ("videos", "clips"):
        (folder / stage).mkdir()
    for shard, names in of.items():
        videos = pa.table({"video_id": names, "status": ["ok"] * len(names)})
        pq.write_table(videos, table_of(folder / "videos", shard))
        pq.write_table(_clips(names), table_of(folder / "clips", shard))


def measure(step: str, videos: int, *command: str) -> Cost:
    """Run a command in a process of its own: its time on the processor and its peak of memory."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    cost = Cost(step, videos, *json.loads(done.stdout))
    print(
        f"{videos:>9,} videos  {STEPS[step]:<32} {cost.processor_s:7.1f} s {cost.peak_mb:>7.0f} MB",
        flush=True,
    )
    return cost


def plan(folder: Path, number: int) -> list[str]:
    """The command line of a dry run of the whole workflow, with both kinds of rules that go by shard."""
    config = {"corpus": {"manifest": "manifest.csv", "shards": number}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    where = ["--directory", str(folder), "--configfile", str(folder / "mine.yaml"), "--cores", "2"]
    return [
        "-m",
        "snakemake",
        "all",
        "--snakefile",
        str(ROOT / "Snakefile"),
        *where,
        "--dry-run",
        "--quiet",
        "rules",
    ]


def index(folder: Path, number: int) -> list[str]:
    """The command line of the index."""
    files = {
        "manifest": "manifest.csv",
        "videos": "videos",
        "clips": "clips",
        "out": "index.parquet",
    }
    options = [part for name, file in files.items() for part in (f"--{name}", str(folder / file))]
    more = ["--shards", str(number), "--coverage-table", str(folder / "coverage.csv")]
    return ["-m", "spm.corpus.index", "--config", "{}", *options, *more]


def costs(count: int) -> Iterator[Cost]:
    """Every step on a list of one size."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, number = Path(scratch), -(-count // SHARD_VIDEOS)
        ids = manifest(folder / "manifest.csv", count)
        yield measure("list", count, "-c", RULES, scratch, str(number))
        yield measure("again", count, "-c", RULES, scratch, str(number))
        yield measure("shard", count, "-c", SHARD, scratch, str(number))
        yield measure("plan", count, *plan(folder, number))
        shards(folder, ids, number)
        yield measure("index", count, *index(folder, number))


def plot(found: Sequence[Cost], out: Path) -> None:
    """Draw time and memory against the number of videos."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "scale"
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, column, name in zip(
        axes, ("processor_s", "peak_mb"), ("s of a processor", "MB at the peak"), strict=True
    ):
        for step, label in STEPS.items():
            own = [cost for cost in found if cost.step == step]
            axis.loglog(
                [cost.videos for cost in own],
                [getattr(cost, column) for cost in own],
                "o-",
                label=label,
            )
        axis.set(xlabel="videos in the list", ylabel=name)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8, frameon=False)
    figure.savefig(out, metadata={"Date": None})


def main() -> None:
    """Each size in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    found = [cost for count in given.videos for cost in costs(count)]
    if given.plot:
        plot(found, given.plot)


if __name__ == "__main__":
    main()
