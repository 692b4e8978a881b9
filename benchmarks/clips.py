"""Time and memory of the stage `clips`, compared with ffmpeg, which only decodes the same videos.

python -m benchmarks.clips [--videos FOLDER] [--rounds 5]

ffmpeg: `ffmpeg -threads 1 -i VIDEO -f null -`, which decodes both tracks and writes nothing. Ours:
`spm.corpus.clips.run` with one thread; start and imports of Python are not included. Both process
the .mp4 files of --videos, if it is given, and one minute that is made here (640×360 px, 30 frames
per second, H.264 and AAC). They run in turn. Printed: the median wall times in s, and the median
of ours / ffmpeg. Target: at most 1.3.

Also printed: the peak memory, in MB, of the stage and of its ffmpeg for videos of 1, 10 and 40
minutes. It must not grow with the length of the video.
"""

import argparse
import multiprocessing
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from spm.base import schemas, tables
from spm.corpus.clips import Clips, run
from spm.corpus.media.ffmpeg import binary

TARGET = 1.3
PICTURES = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=30:d=60"]
TONE = ["-f", "lavfi", "-i", "sine=440:r=44100:d=60"]
CODECS = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"]


def make_minute(path: Path) -> Path:
    """Write a video of one minute: a moving test picture and a tone."""
    command = [binary(), "-v", "error", "-y", *PICTURES, *TONE, *CODECS, str(path)]
    subprocess.run(command, check=True)
    return path


def repeat(minute: Path, times: int) -> Path:
    """Write a video that is the minute, played `times` times."""
    path = minute.with_name(f"{times}-minutes.mp4")
    loop = ["-stream_loop", str(times - 1), "-i", str(minute), "-c", "copy", str(path)]
    subprocess.run([binary(), "-v", "error", "-y", *loop], check=True)
    return path


def only_decode(videos: Sequence[Path]) -> None:
    """Decode both tracks of each video, and drop the result."""
    for video in videos:
        to_nothing = ["-threads", "1", "-i", str(video), "-f", "null", "-"]
        subprocess.run([binary(), "-nostdin", "-v", "fatal", *to_nothing], check=True)


def cut(videos: Sequence[Path], folder: Path) -> int:
    """Run the stage with one thread; the number of clips."""
    rest = {"status": "ok", "reason": "", "sha256": "", "bytes": 0, "extractor": "local"}
    rows = [{"video_id": video.stem, "path": str(video), **rest} for video in videos]
    tables.write_rows(folder / "ledger.parquet", schemas.LEDGER, rows)
    paths = {name: folder / f"{name}.parquet" for name in ("ledger", "clips", "videos")}
    run(Clips(), **paths, threads=1)
    return int(tables.read(folder / "clips.parquet", columns=["clip_id"]).num_rows)


def wall_time_s(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def compare(name: str, videos: Sequence[Path], rounds: int) -> None:
    """Print both times and their ratio."""
    ffmpeg_s, stage_s = [], []
    with tempfile.TemporaryDirectory() as scratch:
        clips = cut(videos, Path(scratch))  # the first round is not counted
        for _ in range(rounds):
            ffmpeg_s.append(wall_time_s(lambda: only_decode(videos)))
            stage_s.append(wall_time_s(lambda: cut(videos, Path(scratch))))
    ratio = median(ours / bare for bare, ours in zip(ffmpeg_s, stage_s, strict=True))
    print(f"{name}: {clips} clips; ffmpeg {median(ffmpeg_s):.2f} s,", end=" ")
    print(f"stage {median(stage_s):.2f} s, ratio {ratio:.2f} (target: {TARGET})")


def peaks_mb(video: Path, folder: Path) -> tuple[float, float]:
    """Peak memory, in MB, of a new process that cuts one video, and of its ffmpeg."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peaks_mb, (video, folder))


def _peaks_mb(video: Path, folder: Path) -> tuple[float, float]:
    cut([video], folder)
    stage_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ffmpeg_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return stage_kb / 1024, ffmpeg_kb / 1024


def main() -> None:
    """Compare the times, then measure the memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=Path, help="a folder of .mp4 files")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if given.videos:
            compare(f"{given.videos.name}/", sorted(given.videos.glob("*.mp4")), given.rounds)
        minute = make_minute(folder / "minute.mp4")
        compare("one minute", [minute], given.rounds)
        for minutes in (1, 10, 40):
            stage_mb, ffmpeg_mb = peaks_mb(repeat(minute, minutes), folder)
            print(f"memory, {minutes} min: stage {stage_mb:.0f} MB, ffmpeg {ffmpeg_mb:.0f} MB")


if __name__ == "__main__":
    main()
