"""The boxes that count, and why each other one fell.

python -m spm.boxes.annotations --config '{}' --index clips.parquet --clips clips --boxes boxes.csv
    --out annotations.parquet --counts counts.csv              (boxes that somebody drew)
python -m spm.boxes.annotations --config '{}' --index clips.parquet --clips clips --detections detect
    --out annotations.parquet --counts counts.csv              (a detector's)
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.boxes import truth
from spm.boxes.truth import Row
from spm.corpus import reading


class Annotations(Section):
    """The paper keeps detections above 0.9 and cleans the rest by hand; these are the rules in place of the hand."""

    min_score: float = Field(0.9, ge=0, le=1)  # a detection must score more
    per_category: int = Field(1, ge=1)  # boxes of one category in one frame, the best first
    class_map: dict[str, str] = {"guitar": "acoustic_guitar"}  # a detector's name → the manifest's  # noqa: RUF012


def named(box: Row, config: Annotations) -> str:
    """A box's category by the manifest's name."""
    return config.class_map.get(box["category"], str(box["category"]))


def judge(found: Iterable[Row], clip: Mapping[str, Any], config: Annotations) -> Iterator[Row]:
    """A frame's detections with the status of each, best first.

    low-score, other-category (not what the video is listed as playing), silent (the clip is too quiet for anything
    to sound), surplus (a better box of the category stands), kept.
    """
    kept: Counter[str] = Counter()
    for box in sorted(found, key=lambda box: (-box["score"], box["x"], box["y"])):
        category = named(box, config)
        status = (
            "low-score" if not box["score"] > config.min_score
            else "other-category" if category not in clip["categories"]
            else "silent" if not clip["audible"]
            else "surplus" if kept[category] >= config.per_category
            else "kept"
        )  # fmt: skip
        kept[category] += status == "kept"
        yield {**box, "category": category, "video_id": clip["video_id"], "status": status}


def from_detections(detections: Iterable[Row], clips: Mapping[str, Row], config: Annotations) -> Iterator[Row]:
    """Judge every frame of a detector's table; clips that the index leaves out are left out."""
    frames: dict[tuple[str, int], list[Row]] = {}
    for box in detections:
        frames.setdefault((box["clip_id"], box["frame"]), []).append(box)
    for (clip_id, _), boxes in frames.items():
        if clip_id in clips:
            yield from judge(boxes, clips[clip_id], config)


def from_given(boxes: Sequence[Row], clips: Sequence[Row]) -> Iterator[Row]:
    """Boxes that somebody drew, each bound to the frame nearest in time; one that no frame is near is `unmatched`."""
    used = set()
    for clip, frame, drawn in truth.nearest_frames(truth.by_video(boxes), clips):
        for box in drawn:
            used.add(tuple(box.values()))
            here = {"clip_id": clip["clip_id"], "frame": frame, "time_s": clip["frame_time_s"][frame]}
            yield {**box, **here, "score": 1.0, "status": "kept" if clip["audible"] else "silent"}
    for box in boxes:
        if tuple(box.values()) not in used:
            yield {**box, "clip_id": None, "frame": None, "score": 1.0, "status": "unmatched"}


def counts(rows: Sequence[Row], categories: Iterable[str], namable: set[str]) -> pd.DataFrame:
    """Boxes per category and status; a category of the corpus that no box can name is listed as not scorable."""
    table = pd.DataFrame(rows, columns=["category", "status"]).value_counts().sort_index().rename("boxes").reset_index()
    never = pd.DataFrame({"category": sorted(set(categories) - namable), "status": "not-scorable", "boxes": 0})
    return pd.concat([table, never], ignore_index=True).sort_values(["category", "status"], ignore_index=True)


def _key(row: Row) -> tuple[Any, ...]:
    return (row["clip_id"] or "~", row["frame"] or 0, row["category"], -row["score"], row["x"], row["y"])


def run(
    config: Annotations,
    *,
    index: Path,
    clips: Path,
    boxes: Path | None,
    detections: Path | None,
    out: Path,
    counts_table: Path,
) -> None:
    """Gather the boxes of one source, given or detected, into one table."""
    table = tables.read(index)
    indexed = {row["clip_id"]: row for row in table.to_pylist()}
    if boxes is not None:
        timed = tables.read(reading.files(table, clips), ["clip_id", "frame_time_s"]).to_pylist()
        listed = [{**indexed[clip["clip_id"]], **clip} for clip in timed if clip["clip_id"] in indexed]
        rows = list(from_given(truth.read(boxes), listed))
        namable = {row["category"] for row in rows}
    elif detections is not None:
        found = [box for path in reading.files(table, detections) for box in tables.read(path).to_pylist()]
        rows = list(from_detections(found, indexed, config))
        namable = {named(box, config) for box in found}
    else:
        raise UserError("annotations want --boxes or --detections")
    tables.write_rows(out, tables.ANNOTATIONS, sorted(rows, key=_key))
    listed_categories = {category for row in indexed.values() for category in row["categories"]}
    with tables.whole(counts_table) as part:
        counts(rows, listed_categories, namable).to_csv(part, index=False)


if __name__ == "__main__":
    stage.main(run)
