"""What a list of an AudioSet's size costs before anything is learnt: reading it, and its index.

python -m benchmarks.scale [--videos 20000 200000 2000000]

Made-up manifests with ten clips a video, in a shard for every 500 videos; each step in a process of its own, whose time
on the processor and peak of memory are printed. A step's start costs about 1 s and 150 MB, whatever the size.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from spm.base import tables
from spm.base.shards import shard_of, table_of

CLIPS = 10  # a video, as AudioSet's
SHARD_VIDEOS = 500
READ = """
import sys; from pathlib import Path
from spm.base import shards; from spm.corpus import manifest
videos = manifest.read(Path(sys.argv[1]))
shards.members([{**vars(video), "position": None} for video in videos], int(sys.argv[2]))
"""
WATCH = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{used.ru_utime + used.ru_stime:7.1f} s of the processor {used.ru_maxrss // 1024:>6} MB")
sys.exit(status)
"""


def manifest(path: Path, count: int) -> list[str]:
    """Write a list of made-up solos of eleven categories; their ids."""
    ids = [f"v{number:010d}" for number in range(count)]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = ((name, f"https://example.org/{name}", "solo", f"category-{n % 11}") for n, name in enumerate(ids))
        csv.writer(file, lineterminator="\n").writerows([("video_id", "url", "kind", "categories"), *rows])
    return ids


def _clips(names: list[str]) -> Iterator[dict[str, object]]:
    for name in names:
        for second in range(CLIPS):
            yield {"clip_id": f"{name}_{1000 * second:07d}", "video_id": name, "start_s": second, "rms_db": -20.0}


def shards(folder: Path, ids: list[str], count: int) -> None:
    """Write the tables of videos and clips that the index reads, without pictures and sound."""
    of: dict[int, list[str]] = {}
    for name in ids:
        of.setdefault(shard_of(name, count), []).append(name)
    for shard, names in of.items():
        videos = [{"video_id": name, "status": "ok", "clips": CLIPS} for name in names]
        tables.write_rows(table_of(folder / "videos", shard), tables.VIDEOS, videos)
        tables.write_rows(table_of(folder / "clips", shard), tables.CLIPS, list(_clips(names)))


def measure(what: str, videos: int, *command: str) -> None:
    """Run a command in a process of its own; print its time on the processor and its peak of memory."""
    done = subprocess.run([sys.executable, "-c", WATCH, sys.executable, *command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    print(f"{videos:>9,} videos  {what:<8} {done.stdout.strip()}", flush=True)


def main() -> None:
    """Each size in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="+", default=[20_000, 200_000])
    for count in parser.parse_args().videos:
        with tempfile.TemporaryDirectory() as scratch:
            folder, number = Path(scratch), -(-count // SHARD_VIDEOS)
            ids = manifest(folder / "manifest.csv", count)
            measure("read", count, "-c", READ, str(folder / "manifest.csv"), str(number))
            shards(folder, ids, number)
            files = {"manifest": "manifest.csv", "videos": "videos", "clips": "clips", "out": "index.parquet"}
            options = [part for name, file in files.items() for part in (f"--{name}", str(folder / file))]
            more = ["--shards", str(number), "--coverage-table", str(folder / "coverage.csv")]
            measure("index", count, "-m", "spm.corpus.index", "--config", "{}", *options, *more)


if __name__ == "__main__":
    main()
