import pytest

from spm.boxes.quality import overlaps, table

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


def of(given, found, split="test", category="cello"):
    rows = table(given, found, SPLIT, 0.5).set_index(["split", "category"])
    return rows.loc[(split, category)].tolist()


def test_precision_recall_and_overlap_of_two_found_one_missed_one_wrong():
    given = [box(), box(x=0.5), box(frame=1)]
    found = [box(), box(x=0.55), box(x=0.8), box(frame=1, status="low-score")]
    drawn, detected, matched, precision, recall, mean = of(given, found)
    assert (drawn, detected, matched) == (3, 3, 2)
    assert (precision, recall) == (2 / 3, 2 / 3)
    assert mean == pytest.approx((1 + 0.6) / 2)


def test_a_drawn_box_is_found_once_however_many_boxes_lie_on_it():
    assert of([box()], [box(), box(x=0.11)])[2] == 1
    # the second drawn box would be lost, if the first took the detection that both overlap
    assert len(overlaps([box(w=0.4), box(w=0.5)], [box(w=0.4), box(w=0.3)], 0.5)) == 2


def test_another_category_is_no_match_and_counts_against_both():
    given, found = [box()], [box(category="flute")]
    assert of(given, found)[:3] == [1, 0, 0]
    assert of(given, found, category="flute")[:3] == [0, 1, 0]
    assert of(given, found, category="all")[:3] == [1, 1, 0]


def test_frames_without_drawn_boxes_or_not_looked_at_do_not_count():
    given = [box(), box(frame=3)]
    found = [box(), box(clip="a")]
    assert of(given, found)[:3] == [1, 1, 1]
    assert "train" not in set(table(given, found, SPLIT, 0.5)["split"])


def test_nothing_kept_has_no_precision():
    row = table([box()], [box(status="low-score")], SPLIT, 0.5).iloc[0]
    assert row["recall"] == 0
    assert row[["precision", "mean_iou"]].isna().all()
