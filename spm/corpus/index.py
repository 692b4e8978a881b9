"""The index: one row per clip, with its place in the shards, its categories and its split.

python -m spm.corpus.index --config '{}' --manifest music.csv --shards 16 --videos videos
    --clips clips --out clips.parquet --coverage-table coverage.csv
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from spm.base import schemas, stage, tables
from spm.base.config import Section
from spm.base.errors import UserError
from spm.base.shards import shard_of, table_of
from spm.base.statuses import Kind, Split, VideoStatus
from spm.corpus import manifest as manifests
from spm.corpus.manifest import Group, Video

GROUP_ROWS = 50_000  # rows in memory before they are written: about 40 MB
DECODED = {VideoStatus.OK, VideoStatus.PARTIAL}  # statuses of a video with clips
COUNTS = ("listed", "available", "clips", "audible")  # columns of the coverage table


class Index(Section):
    """How videos are assigned to training, validation and test.

    Splits follow the positions in the manifest, counted per category, whether a video is available
    or not.
    """

    test_solos: int = Field(
        5,
        ge=0,
        le=10_000,
        description="Number of test videos per solo category: the first ones listed.",
    )
    test_duets: int = Field(
        2,
        ge=0,
        le=10_000,
        description="Number of test videos per pair of duet categories: the first listed.",
    )
    val_solos: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Number of validation videos per solo category: the next ones after the test"
        " videos. They choose the epoch where train.keep is best.",
    )
    missing: Literal["drop", "replace"] = Field(
        "drop",
        description="What happens when a test video is not available. drop: the test set gets"
        " smaller; replace: the next available video takes its place.",
    )
    min_rms_db: float = Field(
        -60.0,
        ge=-200,
        le=0,
        description="Lowest level of a clip for training, in dB relative to full scale.",
    )
    min_available: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Fraction of the listed videos that must be available, or else the run stops,"
        " because its scores would not be comparable with others.",
    )


def split_of(video: Video, position: int, config: Index) -> Split:
    """The split of a video: the manifest's, or else that of its position in its category."""
    if video.split:
        return video.split
    is_solo = video.kind == Kind.SOLO
    tests = config.test_solos if is_solo else config.test_duets
    vals = config.val_solos if is_solo else 0
    if position < tests:
        return Split.TEST
    return Split.VAL if position < tests + vals else Split.TRAIN


def splits(videos: Sequence[Video], available: set[str], config: Index) -> dict[str, Split]:
    """The split of every listed video.

    With `missing: drop` all listed videos count for the position, so that everybody's training set
    excludes the same videos. With `replace` only available videos count, so that the test set keeps
    its size.
    """
    if config.missing == "drop":
        return {video.video_id: split_of(video, video.position, config) for video in videos}
    count: Counter[Group] = Counter()
    split = {}
    for video in videos:
        group = (video.kind, frozenset(video.categories))
        split[video.video_id] = split_of(video, count[group], config)
        count[group] += video.video_id in available
    return split


def rows(
    clips: Iterable[tuple[int, Mapping[str, Any]]],
    videos: Mapping[str, Video],
    split: Mapping[str, Split],
    config: Index,
) -> Iterator[dict[str, Any]]:
    """Index rows of clips, which are given as (shard, clip) in the order of their tables."""
    next_row: Counter[int] = Counter()  # of each shard
    for shard, clip in clips:
        video = videos.get(clip["video_id"])
        if video is not None:
            yield {
                **clip,
                "shard": shard,
                "row": next_row[shard],
                "kind": video.kind,
                "categories": list(video.categories),
                "split": split[video.video_id],
                "audible": clip["rms_db"] >= config.min_rms_db,
            }
        next_row[shard] += 1


def coverage(
    videos: Sequence[Video],
    split: Mapping[str, Split],
    status: Mapping[str, str],
    clips: Iterable[Mapping[str, Any]],
) -> pd.DataFrame:
    """Counts of videos and clips (COUNTS) per kind, category set and split."""
    counts: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    group: dict[str, tuple[str, str, str]] = {}
    for video in videos:
        key: tuple[str, str, str] = (video.kind, " ".join(video.categories), split[video.video_id])
        group[video.video_id] = key
        counts[key]["listed"] += 1
        counts[key]["available"] += status.get(video.video_id) in DECODED
    for clip in clips:
        key = group[clip["video_id"]]
        counts[key]["clips"] += 1
        counts[key]["audible"] += clip["audible"]
    table = []
    for key, count in sorted(counts.items()):
        table.append((*key, *[count[name] for name in COUNTS]))
    return pd.DataFrame(table, columns=["kind", "categories", "split", *COUNTS])


def _read_clips(folder: Path, shards: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The clips of the shards, one shard in memory at a time."""
    columns = ["clip_id", "video_id", "start_s", "rms_db"]
    for shard in shards:
        for clip in tables.read(table_of(folder, shard), columns).to_pylist():
            yield shard, clip


def _write_through(
    index: Iterable[dict[str, Any]], write: Callable[..., None]
) -> Iterator[dict[str, Any]]:
    """The same rows, each written before it is passed on; at most one group is in memory."""
    iterator = iter(index)
    while group := list(islice(iterator, GROUP_ROWS)):
        columns = {}
        for name in schemas.INDEX.names:
            columns[name] = [row[name] for row in group]
        write(**columns)
        yield from group


def _check_available(available: int, listed: int, config: Index) -> None:
    if available < config.min_available * listed:
        raise UserError(
            f"only {available} of {listed} videos are available: expected at least"
            f" {config.min_available:.0%} (index.min_available). The reasons are in"
            " results/corpus/videos; fetch again with `make retry`, or set a lower fraction"
        )


def run(
    config: Index,
    *,
    manifest: Path,
    shards: int,
    videos: Path,
    clips: Path,
    out: Path,
    coverage_table: Path,
) -> None:
    """Write the index of all clips, in the order of shard and row, and the coverage table."""
    listed = manifests.read(manifest)
    used = sorted({shard_of(video.video_id, shards) for video in listed})
    table = tables.read([table_of(videos, shard) for shard in used], ["video_id", "status"])
    status = dict(zip(*table.to_pydict().values(), strict=True))
    available = {video_id for video_id, value in status.items() if value in DECODED}
    _check_available(sum(video.video_id in available for video in listed), len(listed), config)
    split = splits(listed, available, config)
    by_id = {video.video_id: video for video in listed}
    index = rows(_read_clips(clips, used), by_id, split, config)
    with tables.writer(out, schemas.INDEX) as write, tables.atomic_write(coverage_table) as part:
        coverage(listed, split, status, _write_through(index, write)).to_csv(part, index=False)


if __name__ == "__main__":
    stage.main(run)
