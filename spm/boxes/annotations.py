"""One table of all boxes of a source: `kept`, or the reason why a box does not count.

python -m spm.boxes.annotations --config '{}' --manifest manifest.csv --index clips.parquet
    --clips clips --boxes boxes.csv --out annotations.parquet --counts-table counts.csv
    --agreement agreement.csv
python -m spm.boxes.annotations --config '{}' --manifest manifest.csv --index clips.parquet
    --clips clips --detections detect --detector weights.safetensors --reviews reviews.csv …

The first command takes given boxes, the second one the detections of a detector. Either applies the
decisions of reviewers. Its log has the number of kept boxes, and of rejected ones per reason. A
given frame where nothing sounds is a row without a box: it has no truth.
"""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from spm.base import csv_file, json_file, schemas, stage, tables
from spm.base.config import Section, Text
from spm.base.errors import UserError
from spm.base.words import count
from spm.boxes import box_counts, ground_truth
from spm.boxes.category_map import CategoryMap, name_in_video
from spm.boxes.formats import csv
from spm.boxes.formats.frames import BoxRow
from spm.boxes.geometry import iou
from spm.boxes.ground_truth import ClipRow
from spm.boxes.review import decisions
from spm.boxes.review.decisions import BoxKey, Decision, ReviewVerdict
from spm.boxes.statuses import BoxStatus
from spm.corpus import clip_reader
from spm.corpus import manifest as manifests

Decisions = Mapping[BoxKey, Decision]


class Annotations(Section):
    """Rules that decide which detections count as boxes, before any manual review.

    The paper keeps detections with a score above 0.9 and cleans them by hand. Of these settings
    only class_map applies to given boxes.
    """

    min_score: float = Field(
        0.9, ge=0, le=1, description="A detection counts only if its score is above this value."
    )
    max_overlap: float = Field(
        0.5,
        gt=0,
        le=1,
        description="A detection is a duplicate, and does not count, if its IoU with a better box"
        " of the same category is above this value.",
    )
    per_category: int = Field(
        1,
        ge=1,
        le=100,
        description="Boxes per category and frame that count; those with the best scores.",
    )
    class_map: dict[Text, Text] = Field(
        {"guitar": "acoustic_guitar"},
        description="Categories of detector classes that have another name in the manifest, as"
        " class: category. The mapping in your config file replaces all of it.",
    )
    any_class: bool = Field(
        False,
        description="Whether a category without a class of the detector takes boxes of any other"
        " class, if it is the only such category of the video. false: such categories (xylophone,"
        " erhu, tuba, clarinet) are not scorable.",
    )


def assign_statuses(
    boxes: Iterable[BoxRow], clip: ClipRow, config: Annotations, categories: CategoryMap
) -> Iterator[BoxRow]:
    """The detections on a frame, each with its status.

    Reviewed boxes come first, then those with better scores, because a kept box can make a later
    one a duplicate or surplus. A reviewer's decision overrules every rule.
    """
    kept: list[BoxRow] = []
    order = sorted(boxes, key=lambda b: (not b.get("verdict"), -b["score"], b["x"], b["y"]))
    for box in order:
        category = box["category"]
        if not box.get("verdict"):
            category = categories.category(box, clip["categories"])
        row = {**box, "category": category, "video_id": clip["video_id"]}
        better = [other for other in kept if other["category"] == category]
        status = _review_status(row) or _rule_status(row, clip, config, better)
        if status == BoxStatus.KEPT:
            kept.append(row)
        yield {**row, "status": status}


def _review_status(box: BoxRow) -> BoxStatus | None:
    """Status by the reviewer's verdict; None if nobody reviewed the box."""
    verdict = box.get("verdict")
    if verdict is None:
        return None
    return BoxStatus.REJECTED if verdict == ReviewVerdict.REJECT else BoxStatus.KEPT


def _rule_status(
    box: BoxRow, clip: ClipRow, config: Annotations, better: Sequence[BoxRow]
) -> BoxStatus:
    """Status by the first rule that rejects the box; `better` are kept boxes of its category."""
    if not box["score"] > config.min_score:
        return BoxStatus.LOW_SCORE
    if box["category"] not in clip["categories"]:
        return BoxStatus.OTHER_CATEGORY
    if not clip["audible"]:
        return BoxStatus.SILENT
    if better and iou([_sides(box)], [_sides(b) for b in better]).max() > config.max_overlap:
        return BoxStatus.OVERLAP
    if len(better) >= config.per_category:
        return BoxStatus.SURPLUS
    return BoxStatus.KEPT


def _sides(box: BoxRow) -> list[float]:
    return [box[side] for side in "xywh"]


def apply_review(box: BoxRow, decided: Decisions) -> BoxRow:
    """The box with its name, and, if it was reviewed, with category, verdict and reviewer.

    A redrawn box gets the reviewer's sides, and score 1.
    """
    named = {**box, "box": decisions.box_name(box)}
    decision = decided.get((box["clip_id"], box["frame"], named["box"]))
    if decision is None:
        return named
    review: dict[str, Any] = {
        "category": decision.category,
        "verdict": decision.verdict,
        "reviewer": decision.reviewer,
    }
    if decision.verdict == ReviewVerdict.REDRAW:
        review |= {side: getattr(decision, side) for side in "xywh"} | {"score": 1.0}
    return named | review


def annotate_detections(
    detections: Iterable[BoxRow],
    clips: Mapping[str, ClipRow],
    config: Annotations,
    categories: CategoryMap,
    decided: Decisions,
) -> Iterator[BoxRow]:
    """Rows of the detections on indexed clips."""
    frames: dict[tuple[str, int], list[BoxRow]] = {}
    for box in detections:
        frames.setdefault((box["clip_id"], box["frame"]), []).append(box)
    for (clip_id, _), boxes in frames.items():
        if clip_id in clips:
            reviewed = [apply_review(box, decided) for box in boxes]
            yield from assign_statuses(reviewed, clips[clip_id], config, categories)


def annotate_given(
    boxes: Sequence[BoxRow],
    clips: Sequence[ClipRow],
    listed: Collection[str],
    class_map: Mapping[str, str],
    decided: Decisions,
) -> Iterator[BoxRow]:
    """Rows of given boxes on the nearest frames.

    A box with no frame near it is `unmatched`, or `unknown-video` if its video is not `listed`.
    """
    matched = set()
    for clip, frame, frame_boxes in ground_truth.nearest_frames(
        ground_truth.group_by_video(boxes), clips
    ):
        for box in frame_boxes:
            matched.add(tuple(box.values()))
            frame_columns = {
                "clip_id": clip["clip_id"],
                "frame": frame,
                "time_s": clip["frame_time_s"][frame],
                "score": 1.0,
            }
            row = apply_review({**box, **frame_columns}, decided)
            if not row.get("verdict"):
                row["category"] = name_in_video(row["category"], clip["categories"], class_map)
            yield {**row, "status": _review_status(row) or _given_status(row, clip)}
    for box in boxes:
        if tuple(box.values()) not in matched:
            is_listed = box["video_id"] in listed
            status = BoxStatus.UNMATCHED if is_listed else BoxStatus.UNKNOWN_VIDEO
            yield {**box, "clip_id": None, "frame": None, "score": 1.0, "status": status}


def annotate_empty(frames: Sequence[BoxRow], clips: Sequence[ClipRow]) -> Iterator[BoxRow]:
    """Rows of frames where nothing sounds: they have no box, and so no truth."""
    for clip, frame, rows in ground_truth.nearest_frames(
        ground_truth.group_by_video(frames), clips
    ):
        yield {
            **rows[0],
            "clip_id": clip["clip_id"],
            "frame": frame,
            "time_s": clip["frame_time_s"][frame],
            "status": BoxStatus.NOTHING_SOUNDS,
        }


def _given_status(box: BoxRow, clip: ClipRow) -> BoxStatus:
    """Status of a given box by the rules of detections that apply to it.

    In a video without categories, boxes of every category count.
    """
    if clip["categories"] and box["category"] not in clip["categories"]:
        return BoxStatus.OTHER_CATEGORY
    return BoxStatus.KEPT if clip["audible"] else BoxStatus.SILENT


def _sort_key(row: BoxRow) -> tuple[Any, ...]:
    """By clip and frame; boxes without a frame come last."""
    clip_id, frame = row["clip_id"] or "~", row["frame"] or 0
    if row["status"] == BoxStatus.NOTHING_SOUNDS:
        return clip_id, frame, ""
    return clip_id, frame, row["category"], -row["score"], row["x"], row["y"]


def detector_classes(detector: Path | None, detections: Sequence[BoxRow]) -> set[str]:
    """Classes of a detector, from the JSON file of its weights; without it, those it detected."""
    if detector is None:
        return {box["category"] for box in detections}
    path = detector.with_suffix(".json")
    categories = json_file.read(path, signed=False).get("categories")
    if not isinstance(categories, list) or not all(isinstance(name, str) for name in categories):
        raise UserError(f"{path}: categories: expected the list of the detector's classes")
    return set(categories)


def _given_rows(
    config: Annotations, boxes: Path, manifest: Path, index: Path, clips: Path, decided: Decisions
) -> tuple[list[BoxRow], list[BoxRow]]:
    """Rows of the given boxes of a CSV file, and of its frames where nothing sounds."""
    index_table = tables.read(index)
    indexed = {row["clip_id"]: row for row in index_table.to_pylist()}
    files = clip_reader.files(index_table, clips)
    clip_rows = [
        {**indexed[clip["clip_id"]], **clip}
        for clip in tables.read(files, ["clip_id", "frame_time_s"]).to_pylist()
        if clip["clip_id"] in indexed
    ]
    listed = {video.video_id for video in manifests.read(manifest)}
    answers = csv.read_answers(boxes)
    given = [row for row in answers if row["category"]]
    empty = [row for row in answers if not row["category"]]
    rows = annotate_given(given, clip_rows, listed, config.class_map, decided)
    return list(rows), list(annotate_empty(empty, clip_rows))


def _detected_rows(
    config: Annotations, detections: Path, detector: Path | None, index: Path, decided: Decisions
) -> tuple[list[BoxRow], Iterable[str]]:
    """Rows of the detections, and the categories that the detector can detect."""
    index_table = tables.read(index)
    indexed = {row["clip_id"]: row for row in index_table.to_pylist()}
    boxes: list[BoxRow] = []
    for path in clip_reader.files(index_table, detections):
        boxes += tables.read(path).to_pylist()
    classes = detector_classes(detector, boxes)
    categories = CategoryMap.of(classes, config.class_map, any_class=config.any_class)
    rows = annotate_detections(boxes, indexed, config, categories, decided)
    return list(rows), categories.detectable


def run(
    config: Annotations,
    *,
    manifest: Path,
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
    """Write the boxes of one source with reviews applied, their counts, and the reviewers' κ."""
    all_decisions = decisions.read(reviews) if reviews else []
    decided = decisions.resolve(all_decisions)
    detectable: Iterable[str]
    empty: list[BoxRow] = []
    if boxes is not None:
        rows, empty = _given_rows(config, boxes, manifest, index, clips, decided)
        detectable = {row["category"] for row in rows}
    elif detections is not None:
        rows, detectable = _detected_rows(config, detections, detector, index, decided)
    else:
        raise UserError("annotations: no boxes given; expected --boxes or --detections")
    tables.write_rows(out, schemas.ANNOTATIONS, sorted([*rows, *empty], key=_sort_key))
    listed: set[str] = set()
    for row in tables.read(index, ["categories"]).to_pylist():
        listed.update(row["categories"])
    csv_file.write(counts_table, box_counts.table(rows, listed, detectable))
    with tables.atomic_write(agreement) as part:
        pairs = decisions.agreement(all_decisions)
        table = pd.DataFrame(pairs, columns=decisions.ReviewerAgreement._fields)
        table.to_csv(part, index=False, float_format="%.4f")
    source = "given" if boxes is not None else "detected"
    line = f"annotations: {source} boxes: {box_counts.summary(rows)}"
    if empty:
        line += f"; nothing sounds in {count(len(empty), 'frame')}"
    print(line, file=sys.stderr)


if __name__ == "__main__":
    stage.main(run)
