"""Frames of test videos to draw boxes on, and what is suggested on each."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from spm.base import tables
from spm.base.errors import UserError
from spm.base.shards import table_of
from spm.base.statuses import Split
from spm.boxes.formats.frames import BoxRow, spread
from spm.boxes.geometry import iou
from spm.boxes.ground_truth import ClipRow, group_by_video
from spm.boxes.review.draw_answers import FrameId, FrameRows
from spm.boxes.statuses import BoxStatus
from spm.corpus import clip_reader

SUGGESTED = (BoxStatus.KEPT, BoxStatus.LOW_SCORE)  # statuses of detections
MIN_SCORE = 0.1
MAX_SUGGESTIONS = 4  # on a frame
SQUARE = 1.0  # aspect ratio of a video whose size is not known
SAME_IOU = 0.7  # of two suggestions for one object


def read_clips(index: Path, clips: Path, split: str = Split.TEST) -> list[ClipRow]:
    """Rows of the index, with the times of their frames, by video and time.

    Raises
    ------
    UserError
        If a table is missing, or no video is in the split.
    """
    if missing := next((path for path in (index, clips) if not path.exists()), None):
        raise UserError(
            f"there is no {missing}: cut your videos into clips first, with snakemake"
            " results/corpus/index/clips.parquet --cores 2 and the config of your videos; or name"
            " the folder of results with --results"
        )
    table = clip_reader.select(index, split=split, audible=False)
    if not table.num_rows:
        raise UserError(
            f"{index} has no clips of {split} videos: there is nothing to draw on. coverage.csv"
            " beside it counts the videos of each split"
        )
    times_s = pa.array(clip_reader.frame_times(table, clips), pa.list_(pa.float64()))
    rows: list[ClipRow] = table.append_column("frame_time_s", times_s).to_pylist()
    return sorted(rows, key=lambda row: (row["video_id"], row["start_s"]))


def choose_frames(
    clips: Sequence[ClipRow], per_video: int, answered: Collection[FrameId]
) -> list[BoxRow]:
    """Frames to show: some of each video, and all that have an answer; by video and time.

    Parameters
    ----------
    clips : sequence
        As `read_clips` returns them.
    per_video : int
        Number of frames that are spread over the audible clips of each video. They do not depend
        on the answers. Silent clips are used only if there are not enough audible ones.
    answered : collection
        Clip and frame of rows in the file.
    """
    chosen: list[BoxRow] = []
    for video_clips in group_by_video(clips).values():
        frames = list(_frames(video_clips))
        audible = [frame for frame in frames if frame["audible"]]
        picked = spread(audible, per_video)
        silent = [frame for frame in frames if not frame["audible"]]
        picked += spread(silent, per_video - len(picked))
        ids = {frame_id(frame) for frame in picked} | set(answered)
        chosen += [frame for frame in frames if frame_id(frame) in ids]
    return chosen


def _frames(clips: Sequence[ClipRow]) -> Iterator[BoxRow]:
    """All frames of a video's clips."""
    columns = ("clip_id", "video_id", "shard", "row", "categories", "audible")
    for clip in clips:
        shared = {name: clip[name] for name in columns}
        for frame, time_s in enumerate(clip["frame_time_s"]):
            yield {**shared, "frame": frame, "time_s": time_s}


def frame_id(row: Mapping[str, Any]) -> FrameId:
    """Clip and frame of a row."""
    return row["clip_id"], row["frame"]


def aspect_ratios(videos: Path, shards: Collection[int]) -> dict[str, float]:
    """Width by height of each video as players show it; empty if the tables are missing."""
    ratios = {}
    columns = ["video_id", "width", "height", "rotation_deg"]
    for path in [table_of(videos, shard) for shard in sorted(shards)]:
        for row in tables.read(path, columns).to_pylist() if path.exists() else ():
            if row["width"] and row["height"]:
                ratio = row["width"] / row["height"]
                turned = (row["rotation_deg"] or 0) % 180 == 90
                ratios[row["video_id"]] = 1 / ratio if turned else ratio
    return ratios


def read_detections(annotations: Path, frames: Sequence[BoxRow]) -> dict[FrameId, list[BoxRow]]:
    """Detections on the frames, of the categories of their videos; none if there is no table."""
    listed = {frame_id(frame): frame["categories"] for frame in frames}
    found: defaultdict[FrameId, list[BoxRow]] = defaultdict(list)
    for row in tables.read(annotations).to_pylist() if annotations.exists() else ():
        is_useful = row["status"] in SUGGESTED and row["score"] >= MIN_SCORE
        if is_useful and row["category"] in listed.get(frame_id(row), ()):
            found[frame_id(row)].append({**_box(row), "source": f"detected, {row['score']:.2f}"})
    return found


def _box(row: Mapping[str, Any]) -> BoxRow:
    return {name: row[name] for name in ("category", "x", "y", "w", "h")}


def suggestions(
    frame: BoxRow,
    detections: Sequence[BoxRow],
    frames: Sequence[BoxRow],
    stored: Mapping[FrameId, FrameRows],
) -> list[BoxRow]:
    """Boxes that may fit a frame: those of its video's nearest answered frame, then detections.

    Parameters
    ----------
    frames : sequence
        All frames of the queue.
    """
    boxed = [
        other
        for other in frames
        if other["video_id"] == frame["video_id"]
        and frame_id(other) != frame_id(frame)
        and stored.get(frame_id(other), FrameRows((), ())).boxes
    ]
    found: list[BoxRow] = []
    if boxed:
        nearest = min(boxed, key=lambda other: abs(other["time_s"] - frame["time_s"]))
        for box in stored[frame_id(nearest)].describe()["boxes"]:
            if box["category"] in frame["categories"]:
                found.append({**_box(box), "source": f"as at {nearest['time_s']:.2f} s"})
    return _distinct([*found, *detections])[:MAX_SUGGESTIONS]


def _distinct(boxes: Sequence[BoxRow]) -> list[BoxRow]:
    """Boxes without those that nearly cover an earlier one of the same category."""
    found: list[BoxRow] = []
    for box in boxes:
        same = [_sides(other) for other in found if other["category"] == box["category"]]
        if not same or iou([_sides(box)], same).max() < SAME_IOU:
            found.append(box)
    return found


def _sides(box: Mapping[str, Any]) -> list[float]:
    return [box[side] for side in "xywh"]
