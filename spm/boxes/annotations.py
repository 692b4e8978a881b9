"""The boxes that count, and why each other one fell.

python -m spm.boxes.annotations --config '{}' --index clips.parquet --clips clips --boxes boxes.csv
    --out annotations.parquet --counts-table counts.csv --agreement agreement.csv        (boxes that somebody drew)
python -m spm.boxes.annotations --config '{}' --index clips.parquet --clips clips --detections detect
    --detector weights.safetensors --reviews reviews.csv …                               (a detector's, reviewed)
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.boxes import ground_truth
from spm.boxes.geometry import iou
from spm.boxes.ground_truth import Row
from spm.boxes.review import decisions
from spm.boxes.review.decisions import BoxKey, Decision
from spm.corpus import clip_reader


class Annotations(Section):
    """The paper keeps detections above 0.9 and cleans the rest by hand; these are the rules before the hand."""

    min_score: float = Field(0.9, ge=0, le=1)  # a detection must score more
    max_overlap: float = Field(
        0.5, gt=0, le=1
    )  # IoU with a better box of the category; more is the same thing twice
    per_category: int = Field(1, ge=1)  # boxes of one category in one frame, the best first
    class_map: dict[str, str] = Field(
        {"guitar": "acoustic_guitar"}
    )  # a detector's name → the manifest's
    any_class: bool = False  # a category that no class names takes the boxes of any class; false: it is not scorable


@dataclass(frozen=True)
class Names:
    """What a detector's boxes are called here."""

    class_map: Mapping[str, str]
    namable: frozenset[str]  # categories that some class of the detector means
    any_class: bool

    def of(self, box: Row, listed: Sequence[str]) -> str:
        """A box's category; where one listed category has no class, a box that no other explains may be it."""
        category = self.class_map.get(box["category"], str(box["category"]))
        nameless = [name for name in listed if name not in self.namable]
        return (
            nameless[0]
            if self.any_class and len(nameless) == 1 and category not in listed
            else category
        )


def names_of(classes: Iterable[str], config: Annotations) -> Names:
    """The names for a detector of these classes."""
    return Names(
        config.class_map, frozenset(config.class_map.get(c, c) for c in classes), config.any_class
    )


def judge(
    found: Iterable[Row], clip: Mapping[str, Any], config: Annotations, names: Names
) -> Iterator[Row]:
    """A frame's boxes with the status of each: those that a person decided about first, then the best first.

    rejected (by a person), low-score, other-category (not what the video is listed as playing), silent (the clip is
    too quiet for anything to sound), overlap (a better box of the category is there already), surplus (enough boxes of
    the category stand), kept. What a person accepted is kept whatever the rules say.
    """
    kept: list[Row] = []
    for box in sorted(
        found, key=lambda box: (not box.get("verdict"), -box["score"], box["x"], box["y"])
    ):
        category = box["category"] if box.get("verdict") else names.of(box, clip["categories"])
        row = {**box, "category": category, "video_id": clip["video_id"]}
        better = [other for other in kept if other["category"] == category]
        status = _by_hand(row) or _by_rule(row, clip, config, better)
        kept += [row] if status == "kept" else []
        yield {**row, "status": status}


def _by_hand(box: Row) -> str | None:
    return {"reject": "rejected", None: None}.get(box.get("verdict"), "kept")


def _by_rule(box: Row, clip: Mapping[str, Any], config: Annotations, better: Sequence[Row]) -> str:
    return (
        "low-score" if not box["score"] > config.min_score
        else "other-category" if box["category"] not in clip["categories"]
        else "silent" if not clip["audible"]
        else "overlap" if better and iou([_sides(box)], [_sides(b) for b in better]).max() > config.max_overlap
        else "surplus" if len(better) >= config.per_category
        else "kept"
    )  # fmt: skip


def _sides(box: Row) -> list[float]:
    return [box[side] for side in "xywh"]


def reviewed(box: Row, decided: Mapping[BoxKey, Decision]) -> Row:
    """A box with its name, and as the decision that stands leaves it, with verdict and reviewer."""
    named = {**box, "box": decisions.name_of(box)}
    decision = decided.get((box["clip_id"], box["frame"], named["box"]))
    if decision is None:
        return named
    redrawn = {**{side: getattr(decision, side) for side in "xywh"}, "score": 1.0}
    about = {
        "category": decision.category,
        "verdict": decision.verdict,
        "reviewer": decision.reviewer,
    }
    return {**named, **(redrawn if decision.verdict == "redraw" else {}), **about}


def from_detections(
    detections: Iterable[Row],
    clips: Mapping[str, Row],
    config: Annotations,
    names: Names,
    decided: Mapping[BoxKey, Decision],
) -> Iterator[Row]:
    """Judge every frame of a detector's table; clips that the index leaves out are left out."""
    frames: dict[tuple[str, int], list[Row]] = {}
    for box in detections:
        frames.setdefault((box["clip_id"], box["frame"]), []).append(box)
    for (clip_id, _), boxes in frames.items():
        if clip_id in clips:
            yield from judge(
                [reviewed(box, decided) for box in boxes], clips[clip_id], config, names
            )


def from_given(
    boxes: Sequence[Row], clips: Sequence[Row], decided: Mapping[BoxKey, Decision]
) -> Iterator[Row]:
    """Boxes that somebody drew, each bound to the frame nearest in time; one that no frame is near is `unmatched`."""
    used = set()
    for clip, frame, drawn in ground_truth.nearest_frames(ground_truth.by_video(boxes), clips):
        for box in drawn:
            used.add(tuple(box.values()))
            here = {
                "clip_id": clip["clip_id"],
                "frame": frame,
                "time_s": clip["frame_time_s"][frame],
                "score": 1.0,
            }
            known = reviewed({**box, **here}, decided)
            yield {**known, "status": _by_hand(known) or ("kept" if clip["audible"] else "silent")}
    for box in boxes:
        if tuple(box.values()) not in used:
            yield {**box, "clip_id": None, "frame": None, "score": 1.0, "status": "unmatched"}


def counts(rows: Sequence[Row], categories: Iterable[str], namable: Iterable[str]) -> pd.DataFrame:
    """Boxes per category and status; a category of the corpus that no box can name is listed as not scorable."""
    table = (
        pd.DataFrame(rows, columns=["category", "status"])
        .value_counts()
        .sort_index()
        .rename("boxes")
        .reset_index()
    )
    never = sorted(
        set(categories)
        - set(namable)
        - {row["category"] for row in rows if row["status"] == "kept"}
    )
    absent = pd.DataFrame({"category": never, "status": "not-scorable", "boxes": 0})
    return pd.concat([table, absent], ignore_index=True).sort_values(
        ["category", "status"], ignore_index=True
    )


def _key(row: Row) -> tuple[Any, ...]:
    return (
        row["clip_id"] or "~",
        row["frame"] or 0,
        row["category"],
        -row["score"],
        row["x"],
        row["y"],
    )


def classes_of(detector: Path | None, found: Sequence[Row]) -> set[str]:
    """Classes that the detector knows, by the JSON beside its weights; else those that it was seen to find."""
    if detector is None:
        return {box["category"] for box in found}
    return set(json.loads(detector.with_suffix(".json").read_text(encoding="utf-8"))["categories"])


def _gather(
    config: Annotations,
    index: Path,
    clips: Path,
    boxes: Path | None,
    detections: Path | None,
    detector: Path | None,
    decided: Mapping[BoxKey, Decision],
) -> tuple[list[Row], Iterable[str]]:
    """Judged boxes of one source, and the categories that it can name."""
    table = tables.read(index)
    indexed = {row["clip_id"]: row for row in table.to_pylist()}
    if boxes is not None:
        timed = tables.read(
            clip_reader.files(table, clips), ["clip_id", "frame_time_s"]
        ).to_pylist()
        listed = [
            {**indexed[clip["clip_id"]], **clip} for clip in timed if clip["clip_id"] in indexed
        ]
        rows = list(from_given(ground_truth.read(boxes), listed, decided))
        return rows, {row["category"] for row in rows}
    if detections is None:
        raise UserError("annotations want --boxes or --detections")
    found = [
        box
        for path in clip_reader.files(table, detections)
        for box in tables.read(path).to_pylist()
    ]
    names = names_of(classes_of(detector, found), config)
    return list(from_detections(found, indexed, config, names, decided)), names.namable


def run(
    config: Annotations,
    *,
    index: Path,
    clips: Path,
    boxes: Path | None,
    detections: Path | None,
    detector: Path | None,
    reviews: Path | None,
    out: Path,
    counts_table: Path,
    agreement: Path,
) -> None:
    """Gather the boxes of one source, given or detected, into one table; apply what people decided about them."""
    taken = decisions.read(reviews) if reviews else []
    rows, namable = _gather(
        config, index, clips, boxes, detections, detector, decisions.resolve(taken)
    )
    tables.write_rows(out, tables.ANNOTATIONS, sorted(rows, key=_key))
    listed = {
        category
        for row in tables.read(index, ["categories"]).to_pylist()
        for category in row["categories"]
    }
    for path, table in (
        (counts_table, counts(rows, listed, namable)),
        (agreement, decisions.agreement(taken)),
    ):
        with tables.atomic_write(path) as part:
            table.to_csv(part, index=False, float_format="%.4f")


if __name__ == "__main__":
    stage.main(run)
