import json

import pytest

from spm.base import tables
from spm.boxes import annotations, box_counts
from spm.boxes.annotations import Annotations, annotate_detections, annotate_given
from spm.boxes.category_map import CategoryMap
from spm.boxes.geometry import iou
from spm.boxes.review.decision_log import append
from spm.boxes.review.decisions import Decision, box_name, resolve

CLASSES = ["guitar", "violin", "cello", "flute"]
CLIP = {"clip_id": "c", "video_id": "v", "categories": ["acoustic_guitar"], "audible": True}


def box(category="guitar", score=0.95, x=0.1, w=0.2):
    sides = {"x": x, "y": 0.1, "w": w, "h": 0.2}
    return {"clip_id": "c", "frame": 0, "category": category, "score": score, **sides}


def decision(about, verdict, reviewer="ada", **changed):
    values = {key: about[key] for key in ("category", "x", "y", "w", "h")} | changed
    return Decision("c", 0, box_name(about), verdict, **values, reviewer=reviewer)


def annotated(boxes, decisions=(), config=None, **clip):
    config = config or Annotations()
    clips = {"c": CLIP | clip}
    categories = CategoryMap.of(CLASSES, config.class_map, any_class=config.any_class)
    return list(annotate_detections(boxes, clips, config, categories, resolve(decisions)))


def statuses(*args, **kwargs):
    return [row["status"] for row in annotated(*args, **kwargs)]


@pytest.mark.parametrize(
    ("boxes", "audible", "expected"),
    [
        ([box()], True, ["kept"]),
        ([box(score=0.9)], True, ["low-score"]),  # the score must be above 0.9
        ([box("violin")], True, ["other-category"]),
        ([box()], False, ["silent"]),
        ([box(score=0.92), box(score=0.99, x=0.4)], True, ["kept", "surplus"]),
        ([box(score=0.92), box(score=0.99, x=0.12)], True, ["kept", "overlap"]),
        ([], True, []),
    ],
)
def test_every_box_that_does_not_count_has_its_reason(boxes, audible, expected):
    rows = annotated(boxes, audible=audible)
    assert [row["status"] for row in rows] == expected
    assert all(row["category"] in ("acoustic_guitar", "violin") for row in rows)
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)


def test_per_category_limits_the_boxes_that_count_and_duplicates_never_do():
    boxes = [box(score=0.99 - n / 100, x=x) for n, x in enumerate((0.1, 0.11, 0.5, 0.75))]
    two = statuses(boxes, config=Annotations(per_category=2))
    assert two == ["kept", "overlap", "kept", "surplus"]
    three = statuses(boxes, config=Annotations(per_category=3, max_overlap=1))
    assert three == ["kept", "kept", "kept", "surplus"]


def test_a_category_without_a_class_takes_other_boxes_only_with_any_class():
    xylophone = {"categories": ["xylophone"]}
    assert statuses([box("violin")], **xylophone) == ["other-category"]
    any_class = Annotations(any_class=True)
    row = annotated([box("violin")], config=any_class, **xylophone)[0]
    assert (row["status"], row["category"]) == ("kept", "xylophone")
    assert row["box"] == box_name(box("violin"))
    duet = {"categories": ["violin", "xylophone"]}
    rows = annotated([box("violin"), box("cello", x=0.6)], config=any_class, **duet)
    renamed = {row["box"].split()[0]: row["category"] for row in rows}
    assert renamed == {"violin": "violin", "cello": "xylophone"}
    ambiguous = {"categories": ["erhu", "xylophone"]}  # the box could be either of the two
    assert statuses([box("cello")], config=any_class, **ambiguous) == ["other-category"]


def test_categories_without_a_class_are_listed_as_not_scorable():
    listed = ["acoustic_guitar", "violin", "xylophone", "erhu"]
    table = box_counts.table(annotated([box()]), listed, {"acoustic_guitar", "violin"})
    not_scorable = table[table["status"] == "not-scorable"]
    assert not_scorable["category"].tolist() == ["erhu", "xylophone"]


def test_a_reviewers_decision_overrules_the_rules():
    low, good, other = box(score=0.4), box(score=0.99, x=0.5), box("violin", x=0.7)
    accept = decision(low, "accept", category="acoustic_guitar")
    assert statuses([low, good], [accept]) == ["kept", "surplus"]
    assert statuses([good], [decision(good, "reject")]) == ["rejected"]
    assert statuses([low], [accept], audible=False) == ["kept"]
    relabel = decision(other, "relabel", category="acoustic_guitar")
    row = annotated([other], [relabel])[0]
    assert [row[name] for name in ("status", "category", "reviewer")] == [
        "kept", "acoustic_guitar", "ada",
    ]  # fmt: skip
    row = annotated([low], [decision(low, "redraw", x=0.3, w=0.5)])[0]
    assert [row[name] for name in ("status", "x", "w", "score")] == ["kept", 0.3, 0.5, 1.0]
    assert row["box"] == box_name(low)  # the name stays, so the box can be reviewed again


def test_a_decision_about_another_box_changes_nothing():
    assert statuses([box()], [decision(box(x=0.2), "reject")]) == ["kept"]


def test_given_boxes_can_be_reviewed_and_classes_are_read_from_the_detectors_json(
    squares, tmp_path
):
    (tmp_path / "b.csv").write_text(
        "video_id,time_s,category,x,y,w,h\ncello-00,0,cello,0.1,0.1,0.4,0.4\n"
    )
    drawn = {"category": "cello", "x": 0.1, "y": 0.1, "w": 0.4, "h": 0.4}
    append(
        tmp_path / "r.csv",
        Decision("cello-00_0000000", 0, box_name(drawn), "reject", **drawn, reviewer="ada"),
    )
    outputs = {
        "out": tmp_path / "a.parquet",
        "counts_table": tmp_path / "c.csv",
        "agreement": tmp_path / "g.csv",
    }
    source = {
        "manifest": squares.manifest,
        "boxes": tmp_path / "b.csv",
        "detections": None,
        "detector": None,
        "reviews": tmp_path / "r.csv",
    }
    annotations.run(Annotations(), index=squares.index, clips=squares.clips, **source, **outputs)
    assert tables.read(outputs["out"]).to_pylist()[0]["status"] == "rejected"
    (tmp_path / "w.json").write_text(json.dumps({"categories": ["cello", "guitar"]}))
    assert annotations.detector_classes(tmp_path / "w.safetensors", []) == {"cello", "guitar"}


CELLO = {"x": 0.1, "y": 0.1, "w": 0.2, "h": 0.2}
FRAMES = {"clip_id": "c", "start_s": 0, "frame_time_s": [0.0, 0.5]}


def given(category="cello", time_s=0.0, video_id="v"):
    return {"video_id": video_id, "time_s": time_s, "category": category, **CELLO}


def given_rows(boxes, decisions=(), listed=("v", "gone"), **clip):
    clips = [CLIP | FRAMES | {"categories": ["cello"]} | clip]
    class_map = Annotations().class_map
    return list(annotate_given(boxes, clips, listed, class_map, resolve(decisions)))


@pytest.mark.parametrize(
    ("box", "clip", "status", "category"),
    [
        (given(), {}, "kept", "cello"),
        (given("person"), {}, "other-category", "person"),
        (given("person"), {"audible": False}, "other-category", "person"),
        (given("flute"), {"categories": ["cello", "violin"]}, "other-category", "flute"),
        (given("Cello"), {}, "other-category", "Cello"),
        (given("guitar"), {"categories": ["acoustic_guitar"]}, "kept", "acoustic_guitar"),
        (given("guitar"), {"categories": ["guitar"]}, "kept", "guitar"),
        (given("acoustic_guitar"), {"categories": ["acoustic_guitar"]}, "kept", "acoustic_guitar"),
        (given(), {"audible": False}, "silent", "cello"),
        (given(time_s=0.14), {}, "kept", "cello"),
        (given(time_s=0.16), {}, "unmatched", "cello"),
        (given("person", time_s=7), {}, "unmatched", "person"),
        (given("person"), {"categories": []}, "kept", "person"),  # nobody says what sounds
        (given("guitar"), {"categories": []}, "kept", "acoustic_guitar"),
        (given(video_id="gone"), {}, "unmatched", "cello"),  # listed, but it has no clips
        (given(video_id="nobody"), {}, "unknown-video", "cello"),
        (given("person", video_id="nobody"), {}, "unknown-video", "person"),
    ],
)
def test_a_given_box_obeys_the_rules_of_detected_ones(box, clip, status, category):
    (row,) = given_rows([box], **clip)
    assert (row["status"], row["category"]) == (status, category)


def test_overlapping_and_surplus_given_boxes_are_kept():
    rows = given_rows([given(), given() | {"x": 0.11}, given() | {"x": 0.7}])
    assert [row["status"] for row in rows] == ["kept"] * 3


def test_a_reviewer_can_relabel_a_given_box_of_another_category():
    relabel = decision(CELLO | {"category": "person"}, "relabel", category="cello")
    (row,) = given_rows([given("person")], [relabel])
    assert (row["status"], row["category"], row["reviewer"]) == ("kept", "cello", "ada")


def test_the_summary_counts_kept_boxes_and_names_what_was_rejected():
    stray = [given(name, time_s=0.5) for name in ("person", "dog", "cat", "cow", "person")]
    boxes = [given(), *stray, given(time_s=8), given(video_id="nobody")]
    assert box_counts.summary(given_rows(boxes)) == (
        "1 kept, 7 rejected: 5 other-category (person, dog, cat, …), 1 unmatched,"
        " 1 unknown-video (nobody)"
    )
    assert box_counts.summary(given_rows([given()])) == "1 kept, 0 rejected"
    assert box_counts.summary(annotated([box(), box(score=0.2)])) == (
        "1 kept, 1 rejected: 1 low-score"
    )


def test_iou_of_touching_boxes_of_empty_boxes_and_of_none():
    assert iou([[0, 0, 0.5, 1]], [[0.5, 0, 0.5, 1]]).item() == 0
    assert iou([[0.5, 0.5, 0, 0]], [[0.5, 0.5, 0, 0]]).item() == 0
    assert iou([[0.1, 0.1, 0.2, 0.2]], []).shape == (1, 0)
