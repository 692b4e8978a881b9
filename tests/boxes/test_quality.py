import pytest

from spm.boxes.quality import matched_ious, table

SPLIT = {"a": "train", "b": "test"}


def box(clip="b", x=0.1, category="cello", status="kept", frame=0, w=0.2):
    return {
        "clip_id": clip,
        "frame": frame,
        "category": category,
        "status": status,
        "x": x,
        "y": 0.1,
        "w": w,
        "h": 0.2,
    }


def quality_of(given, detections, split="test", category="cello"):
    rows = table(given, detections, SPLIT, 0.5).set_index(["split", "category"])
    return rows.loc[(split, category)].tolist()


def test_precision_recall_and_iou_of_two_matched_one_missed_and_one_wrong_box():
    given = [box(), box(x=0.5), box(frame=1)]
    detections = [box(), box(x=0.55), box(x=0.8), box(frame=1, status="low-score")]
    *counts, mean_iou = quality_of(given, detections)
    assert counts == [3, 3, 2, 2 / 3, 2 / 3]  # drawn, detected, matched, precision, recall
    assert mean_iou == pytest.approx((1 + 0.6) / 2)


def test_a_given_box_is_matched_once_even_if_several_boxes_overlap_it():
    assert quality_of([box()], [box(), box(x=0.11)])[2] == 1
    # The second given box would stay unmatched if the first one took the detection of both.
    assert len(matched_ious([box(w=0.4), box(w=0.5)], [box(w=0.4), box(w=0.3)], 0.5)) == 2


def test_a_box_of_another_category_does_not_match():
    given, detections = [box()], [box(category="flute")]
    assert quality_of(given, detections)[:3] == [1, 0, 0]
    assert quality_of(given, detections, category="flute")[:3] == [0, 1, 0]
    assert quality_of(given, detections, category="all")[:3] == [1, 1, 0]


def test_frames_without_given_boxes_or_without_detection_do_not_count():
    given = [box(), box(frame=3)]
    detections = [box(), box(clip="a")]
    assert quality_of(given, detections)[:3] == [1, 1, 1]
    assert "train" not in set(table(given, detections, SPLIT, 0.5)["split"])


def test_without_kept_detections_precision_is_missing():
    row = table([box()], [box(status="low-score")], SPLIT, 0.5).iloc[0]
    assert row["recall"] == 0
    assert row[["precision", "mean_iou"]].isna().all()
