"""One row a clip: where it lies, what it shows, and which split it belongs to.

python -m spm.corpus.index --config '{}' --manifest music.csv --shards 16 --videos videos --clips clips
    --out clips.parquet --coverage-table coverage.csv
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.base.shards import shard_of, table_of
from spm.corpus import manifest as manifests
from spm.corpus.manifest import Video

GROUP_ROWS = 50_000  # held before they are written: about 40 MB
DECODED = {"ok", "partial"}  # statuses of a video that gave clips


class Index(Section):
    """Splits are positions in the published lists, counted per category before anything is found missing."""

    test_solos: int = Field(5, ge=0)  # the first videos of each solo category test
    test_duets: int = Field(2, ge=0)  # the first videos of each duet pair test
    val_solos: int = Field(0, ge=0)  # the next ones of each solo category choose the epoch
    missing: Literal["drop", "replace"] = (
        "drop"  # a missing test video: fewer, or the next one in its place
    )
    min_rms_db: float = -60.0  # dB re full scale: a quieter clip is not learnt from
    min_available: float = Field(
        0.3, ge=0, le=1
    )  # fraction of the videos below which scores are not comparable


def split_of(video: Video, position: int, config: Index) -> str:
    """The split that a position in its category's list means, unless the manifest names one."""
    tests, vals = {"solo": (config.test_solos, config.val_solos), "duet": (config.test_duets, 0)}[
        video.kind
    ]
    by_position = "test" if position < tests else "val" if position < tests + vals else "train"
    return video.split or by_position


def splits(videos: Sequence[Video], available: set[str], config: Index) -> dict[str, str]:
    """The split of every listed video.

    With `missing: drop` a video's position is that of the list, so that everybody's training set excludes the same
    videos; with `replace` only available videos are counted, so that the test set keeps its size.
    """
    if config.missing == "drop":
        return {video.video_id: split_of(video, video.position, config) for video in videos}
    seen: Counter[tuple[str, frozenset[str]]] = Counter()
    found = {}
    for video in videos:
        group = (video.kind, frozenset(video.categories))
        found[video.video_id] = split_of(video, seen[group], config)
        seen[group] += video.video_id in available
    return found


def rows(
    clips: Iterable[tuple[int, Mapping[str, Any]]],
    videos: Mapping[str, Video],
    split: Mapping[str, str],
    config: Index,
) -> Iterator[dict[str, Any]]:
    """Index rows of clips given as (shard, clip); a clip's row counts up within its shard."""
    row: Counter[int] = Counter()
    for shard, clip in clips:
        video = videos.get(clip["video_id"])
        if video is not None:
            yield {
                **clip,
                "shard": shard,
                "row": row[shard],
                "kind": video.kind,
                "categories": list(video.categories),
                "split": split[video.video_id],
                "audible": clip["rms_db"] >= config.min_rms_db,
            }
        row[shard] += 1


def coverage(
    videos: Sequence[Video],
    split: Mapping[str, str],
    status: Mapping[str, str],
    clips: Iterable[Mapping[str, Any]],
) -> pd.DataFrame:
    """Videos listed and available, clips and audible clips, per kind, category set and split."""
    count: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    group = {
        video.video_id: (video.kind, " ".join(video.categories), split[video.video_id])
        for video in videos
    }
    for video_id, key in group.items():
        count[key].update(["listed", *["available"] * (status.get(video_id) in DECODED)])
    for clip in clips:
        count[group[clip["video_id"]]].update(["clips", *["audible"] * clip["audible"]])
    columns = ["listed", "available", "clips", "audible"]
    table = [
        (*key, *(counter[column] for column in columns)) for key, counter in sorted(count.items())
    ]
    return pd.DataFrame(table, columns=["kind", "categories", "split", *columns])


def _written(
    index: Iterable[dict[str, Any]], write: Callable[..., None]
) -> Iterator[dict[str, Any]]:
    """The same rows, written as they pass; no more than a group is held."""
    waiting = iter(index)
    while group := list(islice(waiting, GROUP_ROWS)):
        write(**{name: [row[name] for row in group] for name in tables.INDEX.names})
        yield from group


def _check_available(available: int, listed: int, config: Index) -> None:
    if available < config.min_available * listed:
        raise UserError(
            f"only {available} of {listed} videos are available, index.min_available asks for"
            f" {config.min_available:.0%}: see the reasons in results/corpus/videos, fetch again with"
            " `make retry`, or lower it"
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
    """Gather the shards' clips into one index, in the order of shard and row."""
    listed = manifests.read(manifest)
    used = sorted({shard_of(video.video_id, shards) for video in listed})
    table = tables.read([table_of(videos, shard) for shard in used], ["video_id", "status"])
    status = dict(zip(*table.to_pydict().values(), strict=True))
    available = {video_id for video_id, what in status.items() if what in DECODED}
    _check_available(sum(video.video_id in available for video in listed), len(listed), config)
    split = splits(listed, available, config)
    columns = ["clip_id", "video_id", "start_s", "rms_db"]
    each = (
        (shard, clip)
        for shard in used
        for clip in tables.read(table_of(clips, shard), columns).to_pylist()
    )
    index = rows(each, {video.video_id: video for video in listed}, split, config)
    with tables.writer(out, tables.INDEX) as write, tables.atomic_write(coverage_table) as part:
        coverage(listed, split, status, _written(index, write)).to_csv(part, index=False)


if __name__ == "__main__":
    stage.main(run)
