import json

import pytest

from spm.base import tables
from spm.boxes import annotations
from spm.boxes.annotations import Annotations, counts, from_detections, names_of
from spm.boxes.geometry import iou
from spm.boxes.review.decisions import Decision, append, name_of, resolve

FIFTEEN = ["guitar", "violin", "cello", "flute"]
CLIP = {"clip_id": "c", "video_id": "v", "categories": ["acoustic_guitar"], "audible": True}


def box(category="guitar", score=0.95, x=0.1, w=0.2):
    return {
        "clip_id": "c",
        "frame": 0,
        "category": category,
        "score": score,
        "x": x,
        "y": 0.1,
        "w": w,
        "h": 0.2,
    }


def decision(about, verdict, reviewer="ada", **changed):
    now = {key: about[key] for key in ("category", "x", "y", "w", "h")} | changed
    return Decision("c", 0, name_of(about), verdict, **now, reviewer=reviewer)


def judged(boxes, decisions=(), config=None, **clip):
    config = config or Annotations()
    clips = {"c": CLIP | clip}
    return list(
        from_detections(boxes, clips, config, names_of(FIFTEEN, config), resolve(decisions))
    )


def statuses(*args, **kwargs):
    return [row["status"] for row in judged(*args, **kwargs)]


@pytest.mark.parametrize(
    ("boxes", "audible", "expected"),
    [
        ([box()], True, ["kept"]),
        ([box(score=0.9)], True, ["low-score"]),  # above 0.9, not at it
        ([box("violin")], True, ["other-category"]),
        ([box()], False, ["silent"]),
        ([box(score=0.92), box(score=0.99, x=0.4)], True, ["kept", "surplus"]),
        ([box(score=0.92), box(score=0.99, x=0.12)], True, ["kept", "overlap"]),
        ([], True, []),
    ],
)
def test_every_box_that_falls_has_its_reason(boxes, audible, expected):
    rows = judged(boxes, audible=audible)
    assert [row["status"] for row in rows] == expected
    assert all(row["category"] in ("acoustic_guitar", "violin") for row in rows)
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)


def test_so_many_boxes_of_a_category_count_as_the_config_says_but_none_twice():
    boxes = [
        box(score=0.99),
        box(score=0.98, x=0.11),
        box(score=0.97, x=0.5),
        box(score=0.96, x=0.75),
    ]
    assert statuses(boxes, config=Annotations(per_category=2)) == [
        "kept",
        "overlap",
        "kept",
        "surplus",
    ]
    assert statuses(boxes, config=Annotations(per_category=3, max_overlap=1)) == ["kept"] * 3 + [
        "surplus"
    ]


def test_a_category_without_a_class_takes_any_box_only_where_the_config_says_so():
    xylophone = {"categories": ["xylophone"]}
    assert statuses([box("violin")], **xylophone) == ["other-category"]
    open_to_all = Annotations(any_class=True)
    row = judged([box("violin")], config=open_to_all, **xylophone)[0]
    assert (row["status"], row["category"], row["box"]) == (
        "kept",
        "xylophone",
        name_of(box("violin")),
    )
    duet = {"categories": ["violin", "xylophone"]}
    rows = judged([box("violin"), box("cello", x=0.6)], config=open_to_all, **duet)
    assert {row["box"].split()[0]: row["category"] for row in rows} == {
        "violin": "violin",
        "cello": "xylophone",
    }
    two = {"categories": ["erhu", "xylophone"]}
    assert statuses([box("cello")], config=open_to_all, **two) == [
        "other-category"
    ]  # which of the two is unknown


def test_categories_that_no_class_means_are_listed_as_not_scorable():
    table = counts(
        judged([box()]),
        ["acoustic_guitar", "violin", "xylophone", "erhu"],
        {"acoustic_guitar", "violin"},
    )
    never = table[table["status"] == "not-scorable"]
    assert never["category"].tolist() == ["erhu", "xylophone"]


def test_what_a_person_decided_stands_above_the_rules():
    low, good, other = box(score=0.4), box(score=0.99, x=0.5), box("violin", x=0.7)
    assert statuses([low, good], [decision(low, "accept", category="acoustic_guitar")]) == [
        "kept",
        "surplus",
    ]
    assert statuses([good], [decision(good, "reject")]) == ["rejected"]
    assert statuses(
        [low], [decision(low, "accept", category="acoustic_guitar")], audible=False
    ) == ["kept"]
    relabelled = judged([other], [decision(other, "relabel", category="acoustic_guitar")])[0]
    assert (relabelled["status"], relabelled["category"], relabelled["reviewer"]) == (
        "kept",
        "acoustic_guitar",
        "ada",
    )
    redrawn = judged([low], [decision(low, "redraw", x=0.3, w=0.5)])[0]
    assert (redrawn["status"], redrawn["x"], redrawn["w"], redrawn["score"]) == (
        "kept",
        0.3,
        0.5,
        1.0,
    )
    assert redrawn["box"] == name_of(low)  # under its first name it can be decided about again


def test_a_decision_about_another_box_changes_nothing():
    assert statuses([box()], [decision(box(x=0.2), "reject")]) == ["kept"]


def test_given_boxes_can_be_reviewed_and_classes_come_from_the_detectors_json(squares, tmp_path):
    (tmp_path / "b.csv").write_text(
        "video_id,time_s,category,x,y,w,h\ncello-00,0,cello,0.1,0.1,0.4,0.4\n"
    )
    drawn = {"category": "cello", "x": 0.1, "y": 0.1, "w": 0.4, "h": 0.4}
    append(
        tmp_path / "r.csv",
        Decision("cello-00_0000000", 0, name_of(drawn), "reject", **drawn, reviewer="ada"),
    )
    left = {
        "out": tmp_path / "a.parquet",
        "counts_table": tmp_path / "c.csv",
        "agreement": tmp_path / "g.csv",
    }
    source = {
        "boxes": tmp_path / "b.csv",
        "detections": None,
        "detector": None,
        "reviews": tmp_path / "r.csv",
    }
    annotations.run(Annotations(), index=squares.index, clips=squares.clips, **source, **left)
    assert tables.read(left["out"]).to_pylist()[0]["status"] == "rejected"
    (tmp_path / "w.json").write_text(json.dumps({"categories": ["cello", "guitar"]}))
    assert annotations.classes_of(tmp_path / "w.safetensors", []) == {"cello", "guitar"}


def test_boxes_that_touch_do_not_overlap_and_empty_ones_divide_by_nothing():
    assert iou([[0, 0, 0.5, 1]], [[0.5, 0, 0.5, 1]]).item() == 0
    assert iou([[0.5, 0.5, 0, 0]], [[0.5, 0.5, 0, 0]]).item() == 0
    assert iou([[0.1, 0.1, 0.2, 0.2]], []).shape == (1, 0)
