"""One-second clips: JPEG frames at known times, and 16 kHz mono sound; each video is decoded once.

python -m spm.corpus.clips --config '{}' --ledger L.parquet --clips C.parquet --videos V.parquet --threads 2

Both tracks are put on the container's clock, whose zero is the start of the file or its earliest time stamp, whichever
is later. Frame j of clip k is the picture on screen at k + j/n seconds, sample i of the sound is at i/16000 seconds.
"""

import errno
import glob
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ffmpeg
import numpy as np
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.base.progress import progress
from spm.corpus.media import limits
from spm.corpus.media.cut import RATE_HZ, cut, level_db, split_pictures
from spm.corpus.media.ffmpeg import binary
from spm.corpus.media.probe import Media, Pictures, Sound, Unusable, probe_in_subprocess

CHUNK_BYTES = 1 << 20
GROUP_ROWS = 64  # clips held before they are written: about 6 MB

# Silence fills gaps, and overlaps are cut, where sound strays from its time stamps by more than this. Less is jitter:
# Matroska rounds to 1 ms. At the start of the file 1 ms counts already.
STRAY_S = 0.02
SHORTFALL_S = 1.0  # a file that ends this much before the promised end was cut off
SOUND_FILTERS = f"aresample={RATE_HZ}:async=1:min_hard_comp={STRAY_S}:first_pts=0,aformat=sample_fmts=s16:channel_layouts=mono"
PROBE_S = 60  # a header is read in a fraction of a second
STOPPED = -1  # by us, in place of a status
NOT_STARTED = {126, 127}  # of the shell
KILLED = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
CAUGHT = 255  # ffmpeg heard the signal and stopped, or it failed with EPERM, of which it tells
OURS = re.compile(
    "No space left|quota exceeded|File too large|Permission denied|Read-only file", re.I
)


class Clips(Section):
    """How a video is sampled; the defaults are DSOL's frames, four a clip."""

    size: int = Field(
        default=256, ge=16, le=2048
    )  # px; frames are squeezed to squares, as DSOL does
    frames_per_clip: int = Field(default=4, ge=1, le=60)  # evenly spaced from the clip's start
    jpeg_quality: int = Field(default=2, ge=2, le=31)  # ffmpeg's q:v; 2 is best
    max_s: int | None = Field(
        default=14_400, ge=1
    )  # s; only the start of each video; null: all that its clock says
    memory_mb: int = Field(default=3000, ge=500)  # of addresses; a file that wants more is a row
    time_s: int = Field(default=1800, ge=1)  # on the clock; a file that takes longer is a row

    @property
    def bounds(self) -> limits.Bounds:
        """What ffmpeg may use for one file."""
        return limits.Bounds(self.memory_mb, self.time_s)


@dataclass(frozen=True)
class Decoded:
    """One video's two tracks, waiting on disk, and its row in the table of videos."""

    facts: dict[str, Any]
    folder: Path

    @property
    def pictures(self) -> Path:
        """JPEG frames, one after the other, each with its length before it."""
        return self.folder / "pictures.mpjpeg"

    @property
    def sound(self) -> Path:
        """16 kHz mono int16."""
        return self.folder / "sound.s16le"


def command(path: Path, media: Media, config: Clips, out: Decoded) -> list[str]:
    """Write ffmpeg's command line: one input, decoded once, and two outputs.

    Raises
    ------
    Unusable
        With the status `no-video` or `no-audio`, where a track is missing.
    """
    pictures, sound = _tracks(media)
    source = ffmpeg.input(
        f"file:{path}", threads=1, protocol_whitelist="file", itsoffset=_zero_s(media)
    )
    common = {"threads": 1} if config.max_s is None else {"threads": 1, "t": config.max_s}
    quick = {
        "huffman": "default",
        "flags:v": "+bitexact",
    }  # a twentieth of the time for 3 % of the size
    jpeg = {"f": "mpjpeg", "vcodec": "mjpeg", "q:v": config.jpeg_quality, **quick}
    both = ffmpeg.merge_outputs(
        source[str(pictures.stream)].output(
            f"file:{out.pictures}", vf=_picture_filters(config), **jpeg, **common
        ),
        source[str(sound.stream)].output(
            f"file:{out.sound}", af=SOUND_FILTERS, f="s16le", **common
        ),
    )
    options = [
        "-nostdin",
        "-y",
        "-v",
        "error",
        "-filter_threads",
        "1",
        *([] if media.jumps else ["-copyts"]),
    ]
    arguments: list[str] = both.global_args(*options).compile(binary())
    return arguments


def _zero_s(media: Media) -> float:
    # Left alone, ffmpeg sets the zero to the earliest stamp of any packet, and takes out the jumps. Elsewhere than in
    # broadcasts the stamps can be trusted, and that packet may be a codec's padding, which is neither seen nor heard.
    return 0.0 if media.jumps else -max(media.start_s, 0.0)


def _tracks(media: Media) -> tuple[Pictures, Sound]:
    if media.pictures is None:
        raise Unusable("no-video", "holds sound only")
    if media.sound is None:
        raise Unusable("no-audio", "holds pictures only")
    return media.pictures, media.sound


def _picture_filters(config: Clips) -> str:
    # fps, rounding up: output k is the last picture that began at or before k/n s, also at a variable rate.
    # JPEG's colors are BT.601's in full range, whatever the video's are; bitexact: the same on every processor.
    return (
        f"fps={config.frames_per_clip}:round=up:start_time=0,"
        f"scale={config.size}:{config.size}:flags=bilinear+accurate_rnd+bitexact"
        ":out_color_matrix=bt601:out_range=pc,setsar=1,format=yuvj420p"
    )


def decode(row: dict[str, Any], folder: Path, *, config: Clips) -> Decoded:
    """Decode one video of the ledger into files in `folder`; what is wrong with it is in its facts."""
    out = Decoded({"video_id": row["video_id"], "clips": 0}, folder)
    try:
        media = _usable(row, config)
        out.facts.update(_probed(media))
        arguments = command(Path(row["path"]), media, config, out)
    except Unusable as why:
        out.facts.update(status=why.status, reason=why.reason)
        return out
    folder.mkdir()
    code, said = _run_ffmpeg(arguments, row, config)
    out.facts.update(_measured(out, config))
    out.facts.update(judge(out.facts, _expected_s(media, config), code, said))
    return out


def _usable(row: dict[str, Any], config: Clips) -> Media:
    if row["status"] != "ok":
        raise Unusable("missing", f"{row['status']}: {row['reason']}")
    return probe_in_subprocess(Path(row["path"]), config.bounds._replace(time_s=PROBE_S))


def _probed(media: Media) -> dict[str, Any]:
    pictures, sound = media.pictures, media.sound
    return {
        name: getattr(pictures, name, None) for name in ("width", "height", "fps", "rotation_deg")
    } | {name: getattr(sound, name, None) for name in ("rate_hz", "channels")}


def _expected_s(media: Media, config: Clips) -> float:
    return min(media.length_s or 0.0, config.max_s or float("inf"))


def _run_ffmpeg(arguments: list[str], row: dict[str, Any], config: Clips) -> tuple[int, str]:
    """Run ffmpeg: its status, and what it said first; what the machine did wrong is an error of the job."""
    try:
        done = limits.run_limited(arguments, config.bounds)
    except limits.Timeout as error:
        return STOPPED, str(error)
    log = done.stderr.decode(errors="replace")
    if done.returncode in NOT_STARTED:
        raise UserError(
            f"ffmpeg: {arguments[0]} does not start ({log.strip()}); name another in SPM_FFMPEG"
        )
    if done.returncode in KILLED or (
        done.returncode == CAUGHT and os.strerror(errno.EPERM) not in log
    ):
        raise UserError(
            f"ffmpeg was stopped from outside at {row['video_id']}: run again, with more memory?"
        )
    if done.returncode and (fault := OURS.search(log)):
        raise UserError(f"ffmpeg could not write what it decoded of {row['video_id']}: {fault[0]}")
    return done.returncode, _first_line(log, row["path"])


def _first_line(log: str, path: str) -> str:
    """What ffmpeg said first, without what differs between machines and runs: addresses and paths."""
    lines = (
        re.sub(r"\[[^\[\]]* @ 0x[0-9a-f]+\] *", "", log)
        .replace(f"file:{path}", "input")
        .splitlines()
    )
    return next((line.strip() for line in lines if line.strip()), "ffmpeg ended without a word")


def _measured(out: Decoded, config: Clips) -> dict[str, Any]:
    """Length of the two decoded tracks, in seconds, and how many clips they make."""
    frames = sum(1 for _ in split_pictures(_chunks(out.pictures)))
    samples = out.sound.stat().st_size // 2 if out.sound.exists() else 0
    clips = min(frames // config.frames_per_clip, samples // RATE_HZ)
    return {
        "video_s": frames / config.frames_per_clip,
        "audio_s": samples / RATE_HZ,
        "clips": clips,
    }


def judge(facts: dict[str, Any], expected_s: float, code: int, said: str) -> dict[str, str]:
    """Say how the decoding of a video went.

    Parameters
    ----------
    facts : dict
        What came out: `video_s`, `audio_s` and `clips`.
    expected_s : float
        How long the file says it is, in seconds; 0 where it does not say.
    code : int
        ffmpeg's exit status.
    said : str
        The first line of ffmpeg's complaints.

    Returns
    -------
    dict
        `status` (ok, partial, short or unreadable) and `reason`.
    """
    got_s = max(facts["video_s"], facts["audio_s"])
    if code:
        return {"status": "partial" if facts["clips"] else "unreadable", "reason": said}
    if not (facts["video_s"] and facts["audio_s"]):
        return {
            "status": "unreadable",
            "reason": f"no {'sound' if facts['video_s'] else 'picture'} could be decoded",
        }
    if not facts["clips"]:
        return {
            "status": "short",
            "reason": f"{facts['video_s']:.2f} s of pictures, {facts['audio_s']:.2f} s of sound",
        }
    if got_s < expected_s - SHORTFALL_S:
        return {
            "status": "partial",
            "reason": f"ends after {got_s:.2f} s of the {expected_s:.2f} s it promises",
        }
    return {"status": "ok", "reason": ""}


def rows_of(video: Decoded, config: Clips) -> Iterator[dict[str, Any]]:
    """Read one decoded video's clips back, one after the other, as rows of the table of clips."""
    if not video.facts["clips"]:
        return
    steps = np.arange(config.frames_per_clip) / config.frames_per_clip
    name = video.facts["video_id"]
    streams = cut(_chunks(video.pictures), _chunks(video.sound), config.frames_per_clip)
    for start_s, (frames, pcm) in enumerate(streams):
        yield {
            "clip_id": f"{name}_{1000 * start_s:07d}",
            "video_id": name,
            "start_s": float(start_s),
            "frame_time_s": start_s + steps,
            "frames": frames,
            "pcm": pcm,
            "rms_db": level_db(pcm),
        }


def _all_rows(
    videos: Iterable[Decoded], facts: list[dict[str, Any]], config: Clips
) -> Iterator[dict[str, Any]]:
    """Rows of all clips, in the order of the videos, whose facts are noted and whose files go as they are used up."""
    for video in videos:
        facts.append(video.facts)
        yield from rows_of(video, config)
        shutil.rmtree(video.folder, ignore_errors=True)


def _chunks(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            yield from iter(partial(file.read, CHUNK_BYTES), b"")


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """A folder for the decoded tracks, as large as the clips; what a killed run left there goes first."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    for left in beside.parent.glob(f"{glob.escape(beside.name)}.*.decoded"):
        shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(".decoded", f"{beside.name}.", beside.parent) as folder:
        yield Path(folder)


def _written(write: Callable[..., None], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows in groups of one size, whatever the lengths of the videos they come from."""
    waiting = iter(rows)
    while group := list(islice(waiting, GROUP_ROWS)):
        write(**{name: [row[name] for row in group] for name in tables.CLIPS.names})


def _check_there(listed: list[dict[str, Any]]) -> None:
    """A store that was deleted or moved is no property of its videos: as rows they would silently be fewer."""
    fetched = [Path(row["path"]) for row in listed if row["status"] == "ok"]
    if away := [path for path in fetched if not path.exists()]:
        said = f"{len(away)} of {len(fetched)} videos that were fetched are no longer where they were, as {away[0]}"
        raise UserError(f"{said}: bring them back, or fetch again with `make retry`")


def run(config: Clips, *, ledger: Path, clips: Path, videos: Path, threads: int) -> None:
    """Cut every video of one shard, `threads` at once; a row for each, whether it could be cut or not."""
    listed = sorted(tables.read(ledger).to_pylist(), key=itemgetter("video_id"))
    _check_there(listed)
    facts: list[dict[str, Any]] = []
    with (
        _scratch(clips) as scratch,
        limits.pool(threads) as pool,
        tables.writer(clips, tables.CLIPS) as write,
    ):
        folders = [scratch / str(number) for number in range(len(listed))]
        decoded = pool.map(partial(decode, config=config), listed, folders)
        _written(write, _all_rows(progress(decoded, "clips", len(listed)), facts, config))
    tables.write_rows(videos, tables.VIDEOS, facts)


if __name__ == "__main__":
    stage.main(run)
