"""Time and memory of the stage `clips`, compared with ffmpeg, which only decodes the same videos.

python -m benchmarks.clips [--videos FOLDER] [--rounds 5] [--seconds 60] [--repeats 1 10 40]

ffmpeg: `ffmpeg -threads 1 -i VIDEO -f null -`, which decodes both tracks and writes nothing. Ours:
`spm.corpus.clips.run` with one thread; start and imports of Python are not included. Both process
the .mp4 files of --videos, if it is given, and a video of --seconds that is made here (640×360 px,
30 frames per second, H.264 and AAC). They run in turn. Printed: the median wall times
in s, and the median of ours / ffmpeg. Target: at most 1.1.

Also printed: the peak memory, in MB, of the stage and of its ffmpeg for this video, played 1, 10
and 40 times. It must not grow with the length of the video.
"""

import argparse
import multiprocessing
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks import timing
from spm.base import schemas, tables
from spm.corpus.clips import Clips, run
from spm.corpus.media.ffmpeg import binary

TARGET = 1.1
PICTURES, TONE = "testsrc2=s=640x360:r=30", "sine=440:r=44100"
CODECS = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"]


def make_video(path: Path, seconds: int) -> Path:
    """Write a video: a moving test picture and a tone."""
    inputs = []
    for source in (PICTURES, TONE):
        inputs += ["-f", "lavfi", "-i", f"{source}:d={seconds}"]
    command = [binary(), "-v", "error", "-y", *inputs, *CODECS, str(path)]
    subprocess.run(command, check=True)
    return path


def repeat(video: Path, times: int) -> Path:
    """Write a video that is another one, played `times` times."""
    path = video.with_name(f"{times}-times.mp4")
    loop = ["-stream_loop", str(times - 1), "-i", str(video), "-c", "copy", str(path)]
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


def compare(name: str, videos: Sequence[Path], rounds: int) -> None:
    """Print both times and their ratio."""
    ffmpeg_s, stage_s = [], []
    with tempfile.TemporaryDirectory() as scratch:
        clips = cut(videos, Path(scratch))  # the first round is not counted
        for _ in range(rounds):
            ffmpeg_s.append(timing.seconds(lambda: only_decode(videos)))
            stage_s.append(timing.seconds(lambda: cut(videos, Path(scratch))))
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
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 10, 40])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if given.videos:
            compare(f"{given.videos.name}/", sorted(given.videos.glob("*.mp4")), given.rounds)
        video = make_video(folder / "video.mp4", given.seconds)
        compare(f"{given.seconds} s", [video], given.rounds)
        for times in given.repeats:
            stage_mb, ffmpeg_mb = peaks_mb(repeat(video, times), folder)
            print(f"memory, {times} × {given.seconds} s:", end=" ")
            print(f"stage {stage_mb:.0f} MB, ffmpeg {ffmpeg_mb:.0f} MB")


if __name__ == "__main__":
    main()
