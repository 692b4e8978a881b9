"""One-second clips: JPEG frames at known times, and 16 kHz mono sound; each video is decoded once.

python -m spm.corpus.clips --config '{}' --ledger L.parquet --clips C.parquet --videos V.parquet
    --threads 2

Both tracks use the container's clock. Its zero is the earliest time stamp of both, but not what a
codec puts before the start of the file. docs/media.md has the rules. Frame j of clip k is the
picture on screen at k + j/n seconds; sample i of the sound is at i/16000 seconds.
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

import numpy as np
from pydantic import Field

from spm.base import schemas, stage, tables
from spm.base.config import Section
from spm.base.constants import SAMPLE_RATE_HZ
from spm.base.errors import UserError
from spm.base.printable import printable
from spm.base.progress import progress
from spm.base.statuses import Downmix, FetchStatus, VideoStatus
from spm.corpus.fetched_files import content_fault
from spm.corpus.media import limits
from spm.corpus.media.contents import Media, Unusable
from spm.corpus.media.cut import cut, level_db, place, split_pictures
from spm.corpus.media.decode import Extent, Frames, Job
from spm.corpus.media.judgment import Lengths, judge, silenced
from spm.corpus.media.probe import probe_in_subprocess
from spm.corpus.media.temporary import Files, Measured

GROUP_ROWS = 64  # clips per row group of the table: about 6 MB in memory
PROBE_S = 600  # reading a file without decoding it takes a fraction of this time


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

    @property
    def frames(self) -> Frames:
        """What ffmpeg writes."""
        return Frames(self.size, self.frames_per_clip, self.jpeg_quality)


@dataclass(frozen=True)
class Decoded:
    """The temporary files of a video, and its row in the table of videos."""

    facts: dict[str, Any]
    files: Files
    start_s: float = 0.0  # of its first clip, in the original video
    sound_track: int = 0  # of the file with the sound

    def clips(self, frames_per_clip: int) -> Iterator[tuple[tuple[bytes, ...], bytes]]:
        """JPEG frames and sound of each clip."""
        sound = place(self.files.packets(self.sound_track))
        return cut(self.files.picture_chunks(), sound, frames_per_clip)


def decode(row: dict[str, Any], folder: Path, *, config: Clips) -> Decoded:
    """Decode one video of the ledger into files in `folder`.

    A video that can't be used has its status and the reason in the facts.
    """
    facts, files = {"video_id": row["video_id"], "clips": 0}, Files(folder)
    part = _part(row, config)
    try:
        media = _probe(row, config)
        facts.update(_media_facts(media))
        job = Job(Path(row["path"]), media, config.frames, part, files)
        pictures, sound = job.tracks
    except Unusable as error:
        reason = printable(error.reason)
        return Decoded(facts | {"status": error.status, "reason": reason}, files)
    folder.mkdir()
    code, message, mix = job.decode(config.bounds, row["video_id"])
    found, measured = _measure(files, config)
    stated_s = 0.0 if media.jumps else media.length_s or 0.0  # a broadcast states none
    lengths = Lengths(stated_s, pictures.length_s, sound.length_s).within(part)
    message = printable(message) or media.fault or silenced(sound, measured, part)
    status = judge(found, lengths, code, message)
    is_inverted = measured.inverted and media.is_stereo
    mix = Downmix.DIFFERENCE if is_inverted else mix
    facts |= found | status | {"downmix": mix}
    start_s = part.start_s + (row.get("offset_s") or 0.0)
    return Decoded(facts, files, start_s, int(is_inverted))


def _part(row: dict[str, Any], config: Clips) -> Extent:
    """The window of a video of the ledger, or all of it, but not more than `max_s`."""
    start_s, end_s = row.get("window_start_s"), row.get("window_end_s")
    if start_s is None or end_s is None:
        return Extent(0.0, config.max_s)
    return Extent(start_s, min(end_s - start_s, config.max_s or end_s))


def _probe(row: dict[str, Any], config: Clips) -> Media:
    if row["status"] != FetchStatus.OK:
        raise Unusable(VideoStatus.MISSING, f"{row['status']}: {row['reason']}")
    if row["sha256"] and (fault := content_fault(row)):
        raise UserError(fault)
    time_s = max(config.time_s, PROBE_S)
    bounds = config.bounds._replace(time_s=time_s, cpu_s=PROBE_S)
    return probe_in_subprocess(Path(row["path"]), bounds)


def _media_facts(media: Media) -> dict[str, Any]:
    """Columns of the table of videos; None for those of a missing track."""
    facts: dict[str, Any] = {"program": media.program}
    for name in ("width", "height", "fps", "rotation_deg", "transfer", "interlaced"):
        facts[name] = getattr(media.pictures, name, None)
    for name in ("rate_hz", "channels", "layout"):
        facts[name] = getattr(media.sound, name, None)
    facts["picture_track"] = getattr(media.pictures, "stream", None)
    facts["sound_track"] = getattr(media.sound, "stream", None)
    return facts


def _measure(files: Files, config: Clips) -> tuple[dict[str, Any], Measured]:
    """Lengths of the decoded tracks and number of clips; and more about the sound."""
    frames = sum(1 for _ in split_pictures(files.picture_chunks()))
    sound = files.measure_sound()
    found = {
        "video_s": frames / config.frames_per_clip,
        "audio_s": sound.samples / SAMPLE_RATE_HZ,
        "clips": min(frames // config.frames_per_clip, sound.samples // SAMPLE_RATE_HZ),
    }
    return found, sound


def rows_of(video: Decoded, config: Clips) -> Iterator[dict[str, Any]]:
    """The clips of one decoded video, in order, as rows of the table of clips."""
    if not video.facts["clips"]:
        return
    steps = np.arange(config.frames_per_clip) / config.frames_per_clip
    name = video.facts["video_id"]
    for second, (frames, pcm) in enumerate(video.clips(config.frames_per_clip)):
        start_s = video.start_s + second
        yield {
            "clip_id": f"{name}_{round(1000 * start_s):07d}",
            "video_id": name,
            "start_s": start_s,
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
        shutil.rmtree(video.files.folder, ignore_errors=True)


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
