"""Time of the stages `fetch` and `clips` per video, for many short local videos.

python -m benchmarks.short_videos [--videos 1000] [--seconds 2] [--processes 2]

The videos are copies of one video (320×240 px, 25 frames per second, H.264 and AAC), each with
other bytes at its end. Printed: wall time and processor time of each stage, per video and for 5,000
videos. Target: at most 150 s for 5,000 videos with two processes on two cores.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from spm.corpus import clips, fetch, manifest
from spm.corpus.media.ffmpeg import binary

MANY = 5_000
TARGET_S = 150
PICTURES, TONE = "testsrc2=s=320x240:r=25", "sine=440:r=44100"
CODECS = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"]


def make_videos(folder: Path, count: int, seconds: float) -> Path:
    """Write the videos and their manifest; the path of the manifest."""
    first = folder / "first.mp4"
    inputs = ["-f", "lavfi", "-i", f"{PICTURES}:d={seconds}"]
    inputs += ["-f", "lavfi", "-i", f"{TONE}:d={seconds}"]
    subprocess.run([binary(), "-v", "error", *inputs, *CODECS, str(first)], check=True)
    content, names = first.read_bytes(), [f"v{number:05d}" for number in range(count)]
    for name in names:
        box = (8 + len(name)).to_bytes(4, "big") + b"free" + name.encode()
        (folder / f"{name}.mp4").write_bytes(content + box)
    path = folder / "manifest.csv"
    manifest.write(path, [(name, f"{name}.mp4", "solo", "violin") for name in names])
    return path


def processor_s() -> float:
    """Processor time of this process and of all that it has started."""
    own = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in [own, *own.children(recursive=True)])


def report(stage: str, count: int, run: Callable[[], None]) -> None:
    """Run a stage, and print its times."""
    before_s, start_s = processor_s(), time.monotonic()
    run()
    wall_s, cpu_s = time.monotonic() - start_s, processor_s() - before_s
    print(f"{stage}: {1000 * wall_s / count:.1f} ms per video,", end=" ")
    print(f"{1000 * cpu_s / count:.1f} ms of processor time;", end=" ")
    print(f"{MANY} videos: {MANY * wall_s / count:.0f} s (target: {TARGET_S} s)")


def main() -> None:
    """Make the videos, and run both stages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        listed = make_videos(folder, given.videos, given.seconds)
        tables = {name: folder / f"{name}.parquet" for name in ("ledger", "clips", "videos")}
        shard = {"shard": 0, "shards": 1, "store": folder / "store", "out": tables["ledger"]}
        settings = fetch.Fetch(workers=given.processes)
        report("fetch", given.videos, lambda: fetch.run(settings, manifest=listed, **shard))
        threads = given.processes
        report("clips", given.videos, lambda: clips.run(clips.Clips(), **tables, threads=threads))


if __name__ == "__main__":
    main()
