"""One-second clips: JPEG frames at known times, and 16 kHz mono sound; each video is decoded once.

python -m spm.corpus.clips --config '{}' --ledger L.parquet --clips C.parquet --videos V.parquet
    --threads 2

Both tracks use the container's clock. Its zero is the start of the file or the earliest time stamp,
whichever is later. Frame j of clip k is the picture on screen at k + j/n seconds; sample i of the
sound is at i/16000 seconds.
"""

import glob
import shutil
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

from spm.base import schemas, stage, tables
from spm.base.config import Section
from spm.base.constants import SAMPLE_BYTES, SAMPLE_RATE_HZ
from spm.base.errors import UserError
from spm.base.progress import progress
from spm.base.statuses import FetchStatus, VideoStatus
from spm.corpus.media import limits
from spm.corpus.media.cut import cut, level_db, split_pictures
from spm.corpus.media.ffmpeg import binary, run_ffmpeg
from spm.corpus.media.probe import Media, Pictures, Sound, Unusable, probe_in_subprocess

CHUNK_BYTES = 1 << 20
GROUP_ROWS = 64  # clips per row group of the table: about 6 MB in memory

# Where sound differs from its time stamps by more than this, gaps are filled with silence and
# overlaps are cut. Smaller differences are jitter: Matroska rounds to 1 ms. (At the start of the
# file, ffmpeg corrects differences from 1 ms on.)
MOST_DRIFT_S = 0.02
SHORTFALL_S = 1.0  # a file that ends this much before its stated end is incomplete
SOUND_FILTERS = (
    f"aresample={SAMPLE_RATE_HZ}:async=1:min_hard_comp={MOST_DRIFT_S}:first_pts=0"
    ",aformat=sample_fmts=s16:channel_layouts=mono"
)
PROBE_S = 60  # reading a header takes a fraction of a second


class Clips(Section):
    """How videos are cut into clips of one second. The defaults match DSOL's frames."""

    size: int = Field(
        default=256,
        ge=16,
        le=2048,
        description="Width and height of a frame, in px; frames are resized to squares.",
    )
    frames_per_clip: int = Field(
        default=4,
        ge=1,
        le=60,
        description="Number of frames per clip, evenly spaced from its start. Training draws one"
        " of them at random.",
    )
    jpeg_quality: int = Field(
        default=2,
        ge=2,
        le=31,
        description="JPEG quality of the frames, as ffmpeg's q:v: 2 is the best, 31 the smallest.",
    )
    max_s: int | None = Field(
        default=14_400,
        ge=1,
        le=1_000_000,
        description="Only the first seconds of each video are used, in s; null: the whole video.",
    )
    memory_mb: int = Field(
        default=3000,
        ge=500,
        le=1_000_000,
        description="Largest address space of the ffmpeg process of a video, in MB. A video that"
        " needs more is not cut, and its row gives the reason.",
    )
    time_s: int = Field(
        default=1800,
        ge=1,
        le=1_000_000,
        description="Longest time to decode a video, in s. A video that takes longer is stopped,"
        " and its row gives the reason.",
    )

    @property
    def bounds(self) -> limits.Bounds:
        """Limits of the ffmpeg process of one video."""
        return limits.Bounds(self.memory_mb, self.time_s)


@dataclass(frozen=True)
class Decoded:
    """The decoded tracks of a video in temporary files, and its row in the table of videos."""

    facts: dict[str, Any]
    folder: Path

    @property
    def pictures(self) -> Path:
        """JPEG frames, one after the other, each after a header with its length."""
        return self.folder / "pictures.mpjpeg"

    @property
    def sound(self) -> Path:
        """16 kHz mono int16."""
        return self.folder / "sound.s16le"


def command(path: Path, media: Media, config: Clips, out: Decoded) -> list[str]:
    """Ffmpeg's command line: one input, decoded once, and two outputs.

    Raises
    ------
    Unusable
        With the status `no-video` or `no-audio`, where a track is missing.
    """
    pictures, sound = _tracks(media)
    source = ffmpeg.input(
        f"file:{path}", threads=1, protocol_whitelist="file", itsoffset=_offset_s(media)
    )
    common: dict[str, int] = (
        {"threads": 1} if config.max_s is None else {"threads": 1, "t": config.max_s}
    )
    # Default Huffman tables need a twentieth of the time, for 3 % more bytes.
    fast = {"huffman": "default", "flags:v": "+bitexact"}
    jpeg = {"f": "mpjpeg", "vcodec": "mjpeg", "q:v": config.jpeg_quality, **fast}
    frames_out = source[str(pictures.stream)].output(
        f"file:{out.pictures}", vf=_picture_filters(config), **jpeg, **common
    )
    sound_out = source[str(sound.stream)].output(
        f"file:{out.sound}", af=SOUND_FILTERS, f="s16le", **common
    )
    options = ["-nostdin", "-y", "-v", "error", "-filter_threads", "1"]
    if not media.jumps:
        options.append("-copyts")
    outputs = ffmpeg.merge_outputs(frames_out, sound_out).global_args(*options)
    arguments: list[str] = outputs.compile(binary())
    return arguments


def _offset_s(media: Media) -> float:
    # For broadcasts, ffmpeg itself sets the zero to the earliest packet and removes jumps of the
    # clock. In other files the time stamps are reliable, and the earliest packet may be padding of
    # a codec, which is neither shown nor played.
    return 0.0 if media.jumps else -max(media.start_s, 0.0)


def _tracks(media: Media) -> tuple[Pictures, Sound]:
    if media.pictures is None:
        raise Unusable(VideoStatus.NO_VIDEO, "contains only sound")
    if media.sound is None:
        raise Unusable(VideoStatus.NO_AUDIO, "contains only pictures")
    return media.pictures, media.sound


def _picture_filters(config: Clips) -> str:
    # fps with rounding up: output k is the last picture that began at or before k/n s, also at a
    # variable rate. The colors of JPEG are BT.601 in full range, whatever the video's colors are.
    # bitexact: the same on every processor.
    return (
        f"fps={config.frames_per_clip}:round=up:start_time=0,"
        f"scale={config.size}:{config.size}:flags=bilinear+accurate_rnd+bitexact"
        ":out_color_matrix=bt601:out_range=pc,setsar=1,format=yuvj420p"
    )


def decode(row: dict[str, Any], folder: Path, *, config: Clips) -> Decoded:
    """Decode one video of the ledger into files in `folder`.

    A video that can't be used has its status and the reason in the facts.
    """
    out = Decoded({"video_id": row["video_id"], "clips": 0}, folder)
    try:
        media = _probe(row, config)
        out.facts.update(_media_facts(media))
        arguments = command(Path(row["path"]), media, config, out)
    except Unusable as error:
        out.facts.update(status=error.status, reason=error.reason)
        return out
    folder.mkdir()
    code, message = run_ffmpeg(arguments, config.bounds, row["path"], row["video_id"])
    out.facts.update(_measure(out, config))
    expected_s = min(media.length_s or 0.0, config.max_s or float("inf"))
    out.facts.update(judge(out.facts, expected_s, code, message))
    return out


def _probe(row: dict[str, Any], config: Clips) -> Media:
    if row["status"] != FetchStatus.OK:
        raise Unusable(VideoStatus.MISSING, f"{row['status']}: {row['reason']}")
    return probe_in_subprocess(Path(row["path"]), config.bounds._replace(time_s=PROBE_S))


def _media_facts(media: Media) -> dict[str, Any]:
    """Columns of the table of videos; None for those of a missing track."""
    facts = {}
    for name in ("width", "height", "fps", "rotation_deg"):
        facts[name] = getattr(media.pictures, name, None)
    for name in ("rate_hz", "channels"):
        facts[name] = getattr(media.sound, name, None)
    return facts


def _measure(out: Decoded, config: Clips) -> dict[str, Any]:
    """Lengths of the two decoded tracks, in s, and the number of clips that they make."""
    frames = sum(1 for _ in split_pictures(_chunks(out.pictures)))
    samples = out.sound.stat().st_size // SAMPLE_BYTES if out.sound.exists() else 0
    return {
        "video_s": frames / config.frames_per_clip,
        "audio_s": samples / SAMPLE_RATE_HZ,
        "clips": min(frames // config.frames_per_clip, samples // SAMPLE_RATE_HZ),
    }


def judge(facts: dict[str, Any], expected_s: float, code: int, message: str) -> dict[str, str]:
    """The status of a decoded video.

    Parameters
    ----------
    facts : dict
        The result of decoding: `video_s`, `audio_s` and `clips`.
    expected_s : float
        Length stated by the file, in seconds; 0 where it states none.
    code : int
        ffmpeg's exit status.
    message : str
        The first line of ffmpeg's messages.

    Returns
    -------
    dict
        `status` (ok, partial, short or unreadable) and `reason`.
    """
    video_s, audio_s = facts["video_s"], facts["audio_s"]
    status, reason = VideoStatus.OK, ""
    if code:
        status = VideoStatus.PARTIAL if facts["clips"] else VideoStatus.UNREADABLE
        reason = message
    elif not (video_s and audio_s):
        status = VideoStatus.UNREADABLE
        reason = f"no {'sound' if video_s else 'picture'} could be decoded"
    elif not facts["clips"]:
        status = VideoStatus.SHORT
        reason = f"{video_s:.2f} s of pictures, {audio_s:.2f} s of sound"
    elif (length_s := max(video_s, audio_s)) < expected_s - SHORTFALL_S:
        status = VideoStatus.PARTIAL
        reason = f"ends after {length_s:.2f} s of the stated {expected_s:.2f} s"
    return {"status": status, "reason": reason}


def rows_of(video: Decoded, config: Clips) -> Iterator[dict[str, Any]]:
    """The clips of one decoded video, in order, as rows of the table of clips."""
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
    """Rows of all clips, in the order of the videos.

    Each video's facts are appended to `facts`, and its files are deleted when they are used up.
    """
    for video in videos:
        facts.append(video.facts)
        yield from rows_of(video, config)
        shutil.rmtree(video.folder, ignore_errors=True)


def _chunks(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            yield from iter(partial(file.read, CHUNK_BYTES), b"")


@contextmanager
def _scratch(table: Path) -> Iterator[Path]:
    """A temporary folder next to a table, for the decoded tracks (as large as the clips).

    Folders left by a killed run are deleted first.
    """
    table.parent.mkdir(parents=True, exist_ok=True)
    for leftover in table.parent.glob(f"{glob.escape(table.name)}.*.decoded"):
        shutil.rmtree(leftover, ignore_errors=True)
    with TemporaryDirectory(".decoded", f"{table.name}.", table.parent) as folder:
        yield Path(folder)


def _write_groups(write: Callable[..., None], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows in groups of equal size, independent of the lengths of the videos."""
    iterator = iter(rows)
    while group := list(islice(iterator, GROUP_ROWS)):
        columns = {}
        for name in schemas.CLIPS.names:
            columns[name] = [row[name] for row in group]
        write(**columns)


def _check_store(listed: list[dict[str, Any]]) -> None:
    """Stop when fetched files are missing: as rows, they would silently shrink the corpus."""
    fetched = [Path(row["path"]) for row in listed if row["status"] == FetchStatus.OK]
    if missing := [path for path in fetched if not path.exists()]:
        raise UserError(
            f"{len(missing)} of {len(fetched)} fetched videos are missing, such as {missing[0]}:"
            " restore the files, or fetch them again with `make retry`"
        )


def run(config: Clips, *, ledger: Path, clips: Path, videos: Path, threads: int) -> None:
    """Cut all videos of one shard, `threads` at once; every video has a row in the table."""
    listed = sorted(tables.read(ledger).to_pylist(), key=itemgetter("video_id"))
    _check_store(listed)
    facts: list[dict[str, Any]] = []
    with (
        _scratch(clips) as scratch,
        limits.pool(threads) as pool,
        tables.writer(clips, schemas.CLIPS) as write,
    ):
        folders = [scratch / str(number) for number in range(len(listed))]
        decoded = pool.map(partial(decode, config=config), listed, folders)
        _write_groups(write, _all_rows(progress(decoded, "clips", len(listed)), facts, config))
    tables.write_rows(videos, schemas.VIDEOS, facts)


if __name__ == "__main__":
    stage.main(run)
