"""The outcome of fetch and of clips for all videos, from the tables of all shards.

Videos are grouped by status and reason, or listed one by one.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spm.base import tables
from spm.base.errors import UserError
from spm.base.statuses import FetchStatus, VideoStatus
from spm.base.words import count

# What each status means for the user, in the order of the report.
ADVICE: dict[str, str] = {
    FetchStatus.OK: "downloaded, or a local file",
    FetchStatus.RETRY: "the error may be temporary: `make retry` requests only these videos again",
    FetchStatus.BLOCKED: "not available to everybody: a login (fetch.cookies, a cookie file of your"
    " browser) or another country may help",
    FetchStatus.BAD: "no video at this address: correct it in the manifest",
    FetchStatus.GONE: "will not return; with index.missing: replace, the next video of its category"
    " is tested instead",
}


class VideoGroup(NamedTuple):
    """Videos with the same status and reason."""

    stage: str  # fetch or clips
    status: FetchStatus | VideoStatus
    reason: str
    videos: tuple[str, ...]  # their ids


def read(results: Path, shards: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The rows of the ledgers of some shards, or of all that there are.

    Raises
    ------
    UserError
        When there is no ledger.
    """
    folder = results / "corpus/fetch"
    files = _tables(folder, shards)
    if not files:
        command = "snakemake all --cores 2 --until fetch"
        raise UserError(
            f"{folder}: no ledger in this folder: expected those of fetch. Name the folder of the"
            f" results with --results, or run {command}"
        )
    return tables.read(files).to_pylist()  # type: ignore[no-any-return]


def _tables(folder: Path, shards: Collection[str] | None) -> list[Path]:
    """The tables of a folder; those of shards that the workflow no longer has do not count."""
    files = sorted(folder.glob("*.parquet"))
    return [file for file in files if shards is None or file.stem in shards]


def read_decoded(results: Path, shards: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The rows of the tables of decoded videos; none where no shard has been decoded yet."""
    files = _tables(results / "corpus/videos", shards)
    return tables.read(files).to_pylist() if files else []


def describe_tracks(row: Mapping[str, Any]) -> str:
    """The tracks of a video that are used.

    >>> describe_tracks({"picture_track": 0, "width": 640, "height": 360, "sound_track": 2,
    ...                  "channels": 2, "rate_hz": 48000})
    'track 0: 640 × 360 px; track 2: 2 channels, 48000 Hz'
    """
    tracks = []
    if row.get("width"):
        curve = f", {row['transfer']}" if row.get("transfer") not in (None, "sdr") else ""
        size = f"{row['width']} × {row['height']} px{curve}"
        tracks.append(f"track {row.get('picture_track')}: {size}")
    if row.get("rate_hz"):
        layout = f" ({row['layout']})" if row.get("layout") else ""
        sound = f"{count(row['channels'], 'channel')}{layout}, {row['rate_hz']} Hz"
        tracks.append(f"track {row.get('sound_track')}: {sound}")
    if row.get("program") is not None:
        tracks.append(f"program {row['program']}")
    return "; ".join(tracks)


def list_videos(
    fetched: Iterable[Mapping[str, Any]], decoded: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What is known of each video, sorted by id."""
    found = {row["video_id"]: row for row in decoded}
    videos = []
    for row in sorted(fetched, key=lambda row: str(row["video_id"])):
        video = found.get(row["video_id"], {})
        videos.append({
            "video_id": row["video_id"],
            "fetch": row["status"],
            "clips": video.get("status"),
            "reason": row["reason"] or video.get("reason", ""),
            "tracks": describe_tracks(video),
            "number_of_clips": video.get("clips"),
        })  # fmt: skip
    return videos


def generalize(row: Mapping[str, Any]) -> str:
    """The reason of a row without the parts that are specific to its video: file path and id.

    >>> generalize({"video_id": "a", "reason": "/videos/a.mp4: no such file"})
    'no such file'
    """
    reason = re.sub(r"^/.*: (?=[^/]+$)", "", str(row["reason"]))
    return re.sub(rf"\b{re.escape(str(row['video_id']))}\b", "…", reason)


def group_videos(rows: Iterable[Mapping[str, Any]]) -> list[VideoGroup]:
    """Fetched videos by status, in the order of ADVICE, and by reason, the most frequent first."""
    return _group("fetch", rows, [FetchStatus(name) for name in ADVICE])


def group_decoded(rows: Iterable[Mapping[str, Any]]) -> list[VideoGroup]:
    """Decoded videos by status and reason; those without a file are explained by `fetch`."""
    there = [row for row in rows if row["status"] != VideoStatus.MISSING]
    return _group("clips", there, list(VideoStatus))


def _group(
    stage: str,
    rows: Iterable[Mapping[str, Any]],
    order: Sequence[FetchStatus] | Sequence[VideoStatus],
) -> list[VideoGroup]:
    videos: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        videos[row["status"], generalize(row)].append(row["video_id"])
    groups = []
    for status in order:
        of_status = [key for key in videos if key[0] == status]
        for key in sorted(of_status, key=lambda key: (-len(videos[key]), key[1])):
            groups.append(VideoGroup(stage, status, key[1], tuple(sorted(videos[key]))))
    return groups
