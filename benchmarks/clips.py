"""What cutting into clips costs above decoding, and whether its memory grows with the length of the video.

python -m benchmarks.clips [--videos FOLDER] [--rounds 5]

Prints, for the files of a folder and for a minute made here (640×360, 30 fps, H.264 and AAC), the wall time of the
clips stage with one thread over that of `ffmpeg -threads 1 -i VIDEO -f null -`, which decodes both tracks to nothing.
The two take turns; each figure is a median. Start-up and imports of Python don't count. Target: at most 1.3.
Then the peak memory of the stage, and of the ffmpeg it starts, for one, ten and forty minutes.
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


def make_minute(path: Path) -> Path:
    """Make a minute of moving pictures of some detail, with a tone."""
    sources = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=640x360:r=30:d=60",
        "-f",
        "lavfi",
        "-i",
        "sine=440:r=44100:d=60",
    ]
    codecs = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([binary(), "-v", "error", "-y", *sources, *codecs, str(path)], check=True)
    return path


def repeat(minute: Path, times: int) -> Path:
    """Put a video behind itself, several times."""
    path = minute.with_name(f"{times}-minutes.mp4")
    loop = ["-stream_loop", str(times - 1), "-i", str(minute), "-c", "copy", str(path)]
    subprocess.run([binary(), "-v", "error", "-y", *loop], check=True)
    return path


def decode_to_nothing(videos: Sequence[Path]) -> None:
    """Decode both tracks, and do nothing with them."""
    for video in videos:
        to_nothing = ["-threads", "1", "-i", str(video), "-f", "null", "-"]
        subprocess.run([binary(), "-nostdin", "-v", "fatal", *to_nothing], check=True)


def cut(videos: Sequence[Path], folder: Path) -> int:
    """Run the stage, with one thread; how many clips it made."""
    rest = {"status": "ok", "reason": "", "sha256": "", "bytes": 0, "extractor": "local"}
    rows = [{"video_id": video.stem, "path": str(video), **rest} for video in videos]
    tables.write_rows(folder / "ledger.parquet", schemas.LEDGER, rows)
    paths = {name: folder / f"{name}.parquet" for name in ("ledger", "clips", "videos")}
    run(Clips(), **paths, threads=1)
    return int(tables.read(folder / "clips.parquet", columns=["clip_id"]).num_rows)


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def compare(name: str, videos: Sequence[Path], rounds: int) -> None:
    """Print both times and their ratio; the two take turns, after one round that doesn't count."""
    with tempfile.TemporaryDirectory() as scratch:
        clips = cut(videos, Path(scratch))
        turns = [
            (
                seconds_of(lambda: decode_to_nothing(videos)),
                seconds_of(lambda: cut(videos, Path(scratch))),
            )
            for _ in range(rounds)
        ]
    bare_s, stage_s = (median(times) for times in zip(*turns, strict=True))
    ratio = median(ours / bare for bare, ours in turns)
    print(
        f"{name}: {clips} clips; decoding {bare_s:.2f} s, stage {stage_s:.2f} s, ratio {ratio:.2f} (target {TARGET})"
    )


def peaks_mb(video: Path, folder: Path) -> tuple[float, float]:
    """Peak memory, in MB, of a fresh process that cuts one video, and of its ffmpeg."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peaks, (video, folder))


def _peaks(video: Path, folder: Path) -> tuple[float, float]:
    cut([video], folder)
    own, children = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own / 1024, children / 1024


def main() -> None:
    """Compare times, then memory."""
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
        compare("a minute, made here", [minute], given.rounds)
        for minutes in (1, 10, 40):
            own, child = peaks_mb(repeat(minute, minutes), folder)
            print(f"memory, {minutes} min: stage {own:.0f} MB, ffmpeg {child:.0f} MB")


if __name__ == "__main__":
    main()
