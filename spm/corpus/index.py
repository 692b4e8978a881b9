"""The index: one row per clip, with its place in the shards, its categories and its split.

python -m spm.corpus.index --config '{}' --manifest music.csv --shards 16 --videos videos
    --clips clips --out clips.parquet --coverage-table coverage.csv
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pandas as pd
from pydantic import Field

from spm.base import csv_file, schemas, stage, tables
from spm.base.config import Section
from spm.base.errors import UserError
from spm.base.shards import shard_of, table_of
from spm.base.statuses import Kind, Split, VideoStatus
from spm.corpus import manifest as manifests
from spm.corpus.manifest import Group, Video

GROUP_ROWS = 50_000  # rows in memory before they are written: about 40 MB
ONE_IN = 5  # videos of which `auto` takes the first for test
DECODED = {VideoStatus.OK, VideoStatus.PARTIAL}  # statuses of a video with clips
COUNTS = ("listed", "available", "clips", "audible")  # columns of the coverage table
Tests = Annotated[int, Field(ge=0, le=10_000)] | Literal["auto"]


class Index(Section):
    """How videos are assigned to training, validation and test.

    Splits follow the positions in the manifest, counted per category, whether a video is available
    or not.
    """

    test_solos: Tests = Field(
        5,
        description="Number of test videos per solo category: the first ones listed. auto, for few"
        " videos: the first of each five of a category; the only video of a category is for"
        " training, except in each fifth category.",
    )
    test_duets: Tests = Field(
        2,
        description="Number of test videos per pair of duet categories: the first listed; or auto,"
        " as for solos. Duets that are not for test are for training, like all ensembles and all"
        " videos without categories; only the manifest's column split can make these test videos.",
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
    train_every_s: int = Field(
        1,
        ge=1,
        le=3_600,
        description="Only training clips that start at a multiple of so many s are used. 1: all.",
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


class Place(NamedTuple):
    """The place of a video among those of its kind."""

    group: int  # 0-based number of its category set, in the order of the manifest
    position: int  # 0-based, in its category set
    size: int  # number of videos of its category set


def split_at(place: Place, tests: Tests, vals: int) -> Split:
    """The split of a video by its place.

    With `auto` every category of two videos or more has a test video and a training video, and a
    test video remains one when videos are added.

    >>> [str(split_at(Place(3, position, 2), "auto", 1)) for position in range(2)]
    ['test', 'train']
    """
    if tests == "auto":
        starts_five = place.position % ONE_IN == 0
        is_test = starts_five and (place.size > 1 or place.group % ONE_IN == 0)
        is_val = 0 < place.position <= min(vals, ONE_IN - 1, place.size - 2)
    else:
        is_test = place.position < tests
        is_val = place.position < tests + vals
    if is_test:
        return Split.TEST
    return Split.VAL if is_val else Split.TRAIN


def splits(videos: Sequence[Video], available: set[str], config: Index) -> dict[str, Split]:
    """The split of every listed video: the manifest's, or else that of its place.

    With `missing: drop` all listed videos count for the places, so that everybody's training set
    excludes the same videos. With `replace` only available videos count, so that the test set keeps
    its size. The windows of one video are all in the split of the first, as they are one recording.
    """
    counted = available if config.missing == "replace" else {video.video_id for video in videos}
    split: dict[str, Split] = {}
    of_source: dict[str, Split] = {}
    for video, place in _places(videos, counted):
        by_place = split_at(place, *_numbers(video, config))
        if video.window:
            by_place = of_source.setdefault(video.shard_key, by_place)
        split[video.video_id] = video.split or by_place
    return split


def _numbers(video: Video, config: Index) -> tuple[Tests, int]:
    """Numbers of test and validation videos of the video's kind and categories."""
    if not video.categories or video.kind == Kind.ENSEMBLE:
        return 0, 0
    if video.kind == Kind.DUET:
        return config.test_duets, 0
    return config.test_solos, config.val_solos


def _places(videos: Sequence[Video], counted: set[str]) -> Iterator[tuple[Video, Place]]:
    """The place of each video; the videos that are not counted move no other one."""
    counts = Counter(_group(video) for video in videos if video.video_id in counted)
    number: dict[Group, int] = {}
    for kind in Kind:
        of_kind = [group for group in counts if group[0] == kind]
        number |= {group: n for n, group in enumerate(of_kind)}
    position: Counter[Group] = Counter()
    for video in videos:
        group = _group(video)
        yield video, Place(number.get(group, 0), position[group], counts[group])
        position[group] += video.video_id in counted


def _group(video: Video) -> Group:
    return video.kind, frozenset(video.categories)


def is_used(clip: Mapping[str, Any], split: Split, config: Index) -> bool:
    """Whether a clip is in the index; neighboring seconds of a training video are much alike."""
    return split != Split.TRAIN or int(clip["start_s"]) % config.train_every_s == 0


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
        if video is not None and is_used(clip, split[video.video_id], config):
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
    used = sorted({shard_of(video.shard_key, shards) for video in listed})
    table = tables.read([table_of(videos, shard) for shard in used], ["video_id", "status"])
    status = dict(zip(*table.to_pydict().values(), strict=True))
    available = {video_id for video_id, value in status.items() if value in DECODED}
    _check_available(sum(video.video_id in available for video in listed), len(listed), config)
    split = splits(listed, available, config)
    by_id = {video.video_id: video for video in listed}
    index = rows(_read_clips(clips, used), by_id, split, config)
    with tables.writer(out, schemas.INDEX) as write:
        counts = coverage(listed, split, status, _write_through(index, write))
        csv_file.write(coverage_table, counts)


if __name__ == "__main__":
    stage.main(run)
