"""CPU time and memory of the workflow's own work on long lists of videos, before any training.

python -m benchmarks.scale [--videos 20000 200000 2000000] [--plot docs/scale.svg]

The lists are made here: ten clips per video, and one shard per 500 videos. Each step runs in its
own process: reading the list, planning the workflow, and making the index. Printed: CPU time in s
and peak memory in MB of each step, for each size of --videos. The start of a process is included:
about 1 s and 150 MB, whatever the size. There is no target; docs/scale.md shows the figures.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from spm.base.shards import shard_of, table_of

ROOT = Path(__file__).parents[1]
CLIPS = 10  # per video, as in AudioSet
CATEGORIES = (
    "accordion", "banjo", "cello", "drum", "flute", "guitar", "harmonica", "harp", "horn", "oboe",
    "piano",
)  # fmt: skip
SHARD_VIDEOS = 500
# Arguments of the two scripts: the folder and the number of shards.
READ_LIST = """
import sys; from pathlib import Path; from spm.corpus import membership
folder, shards = Path(sys.argv[1]), int(sys.argv[2])
membership.shard_digests(folder / "manifest.csv", shards, folder / ".snakemake/spm")
"""
READ_SHARD = """
import sys; from pathlib import Path
from spm.base.shards import shard_of; from spm.corpus import manifest
folder, shards = Path(sys.argv[1]), int(sys.argv[2])
manifest.read(folder / "manifest.csv", wanted=lambda video_id: shard_of(video_id, shards) == 0)
"""
# Runs a command, and prints its CPU time in s and its peak memory in MB.
MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=sys.stderr)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
sys.exit(done.returncode)
"""
STEPS = {
    "list": "reading the list, first time",
    "again": "reading the list, in each job",
    "shard": "rows of one shard, in each fetch",
    "plan": "dry run of everything",
    "index": "index of its clips",
}


class Cost(NamedTuple):
    """Cost of one step for a list of `videos` videos."""

    step: str
    videos: int
    cpu_s: float
    peak_mb: float


def write_manifest(path: Path, count: int) -> list[str]:
    """Write a list of invented solo videos of eleven categories; their ids."""
    ids = [f"v{number:010d}" for number in range(count)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("video_id", "url", "kind", "categories"))
        for number, video_id in enumerate(ids):
            url = f"https://example.org/{video_id}"
            writer.writerow((video_id, url, "solo", CATEGORIES[number % len(CATEGORIES)]))
    return ids


def _clips(ids: Sequence[str]) -> pa.Table:
    """The columns of the clips of some videos that the index reads."""
    starts = range(CLIPS)
    columns = {
        "clip_id": [f"{video_id}_{1000 * start:07d}" for video_id in ids for start in starts],
        "video_id": [video_id for video_id in ids for _ in starts],
        "start_s": [float(start) for _ in ids for start in starts],
        "rms_db": pa.array([-20.0] * (len(ids) * CLIPS), pa.float32()),
    }
    return pa.table(columns)


def write_shards(folder: Path, ids: Sequence[str], shards: int) -> None:
    """Write the tables of videos and clips that the index reads, without images and sound."""
    ids_of_shard: dict[int, list[str]] = defaultdict(list)
    for video_id in ids:
        ids_of_shard[shard_of(video_id, shards)].append(video_id)
    for stage in ("videos", "clips"):
        (folder / stage).mkdir()
    for shard, members in ids_of_shard.items():
        videos = pa.table({"video_id": members, "status": ["ok"] * len(members)})
        pq.write_table(videos, table_of(folder / "videos", shard))
        pq.write_table(_clips(members), table_of(folder / "clips", shard))


def measure(step: str, videos: int, *arguments: str) -> Cost:
    """Run Python with these arguments in its own process; its CPU time and peak memory."""
    command = [sys.executable, "-c", MEASURE, sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    cost = Cost(step, videos, *json.loads(done.stdout))
    figures = f"{cost.cpu_s:7.1f} s {cost.peak_mb:>7.0f} MB"
    print(f"{videos:>9,} videos  {STEPS[step]:<32} {figures}", flush=True)
    return cost


def plan_command(folder: Path, shards: int) -> list[str]:
    """The arguments of Python for a dry run of the whole workflow."""
    config = {"corpus": {"manifest": "manifest.csv", "shards": shards}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = ["-m", "snakemake", "all", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    command += ["--directory", str(folder), "--configfile", str(folder / "mine.yaml")]
    return [*command, "--dry-run", "--quiet", "rules"]


def index_command(folder: Path, shards: int) -> list[str]:
    """The arguments of Python for the stage `index`."""
    files = {
        "manifest": "manifest.csv",
        "videos": "videos",
        "clips": "clips",
        "out": "index.parquet",
        "coverage-table": "coverage.csv",
    }
    command = ["-m", "spm.corpus.index", "--config", "{}", "--shards", str(shards)]
    for name, file in files.items():
        command += [f"--{name}", str(folder / file)]
    return command


def costs(videos: int) -> Iterator[Cost]:
    """Costs of all steps for a list of one size."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, shards = Path(scratch), -(-videos // SHARD_VIDEOS)
        ids = write_manifest(folder / "manifest.csv", videos)
        yield measure("list", videos, "-c", READ_LIST, scratch, str(shards))
        yield measure("again", videos, "-c", READ_LIST, scratch, str(shards))
        yield measure("shard", videos, "-c", READ_SHARD, scratch, str(shards))
        yield measure("plan", videos, *plan_command(folder, shards))
        write_shards(folder, ids, shards)
        yield measure("index", videos, *index_command(folder, shards))


def plot(measured: Sequence[Cost], out: Path) -> None:
    """Draw time and memory against the number of videos."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "scale"
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    labels = {"cpu_s": "CPU time in s", "peak_mb": "peak memory in MB"}
    for axis, (column, label) in zip(axes, labels.items(), strict=True):
        for step, name in STEPS.items():
            points = [cost for cost in measured if cost.step == step]
            videos = [cost.videos for cost in points]
            axis.loglog(videos, [getattr(cost, column) for cost in points], "o-", label=name)
        axis.set(xlabel="videos in the list", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8, frameon=False)
    figure.savefig(out, metadata={"Date": None})


def main() -> None:
    """Measure each size in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    measured = []
    for videos in given.videos:
        measured += costs(videos)
    if given.plot:
        plot(measured, given.plot)


if __name__ == "__main__":
    main()
