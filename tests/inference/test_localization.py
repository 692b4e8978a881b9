"""Rows, boxes and audio classes of a localization."""

from dataclasses import replace

import numpy as np
import pytest

from spm.inference.localization import SIDES, box, peak


def spot(row: int, column: int, value: float) -> np.ndarray:
    """Twelve maps of 4 × 4 with one hot cell each."""
    maps = np.zeros((12, 4, 4), np.float32)
    maps[:, row, column] = value
    return maps


def test_peak_and_box_are_fractions_of_the_frame():
    heat = np.zeros((4, 8), np.float32)
    heat[1, 6] = 1
    heat[2, 5:7] = 0.6
    heat[3, 0] = 0.4
    assert peak(heat) == {"peak_x": 6.5 / 8, "peak_y": 1.5 / 4}
    assert box(heat) == {"x": 5 / 8, "y": 1 / 4, "w": 2 / 8, "h": 2 / 4}


def test_a_second_hot_place_does_not_enlarge_the_box():
    heat = np.zeros((4, 8), np.float32)
    heat[1, 6], heat[1, 0] = 1, 0.9
    assert box(heat) == {"x": 6 / 8, "y": 1 / 4, "w": 1 / 8, "h": 1 / 4}


@pytest.mark.slow
def test_a_second_has_the_peak_and_the_box_of_its_strongest_frame(localization):
    seconds = replace(localization, threshold=0).seconds()
    assert seconds["start_s"].tolist() == [0, 1, 2]
    strength = localization.maps.max((1, 2)).reshape(3, 4)
    assert seconds["score"].tolist() == strength.max(1).tolist()
    assert seconds["time_s"].tolist() == [n + strength[n].argmax() / 4 for n in range(3)]
    inside = seconds.eval("x <= peak_x <= x + w and y <= peak_y <= y + h")
    assert inside.all()


@pytest.mark.parametrize(("score", "boxes"), [(0.3, 3), (0.25, 3), (0.24, 0), (0.0, 0)])
def test_a_box_needs_a_score_that_reaches_the_threshold(score, boxes, localization):
    seconds = replace(localization, maps=spot(1, 2, score), threshold=0.25).seconds()
    assert seconds["score"].tolist() == pytest.approx(3 * [score])
    assert seconds[list(SIDES)].notna().all(axis=1).sum() == boxes


def test_a_threshold_of_zero_gives_no_box_to_a_frame_without_heat(localization):
    row = replace(localization, maps=spot(0, 0, 0), threshold=0).row(0)
    assert [row[side] for side in SIDES] == [None] * 4
    assert row["peak_x"] is None


def test_scores_are_not_stretched_to_the_maximum_of_the_video(localization):
    weak = replace(localization, maps=localization.maps / 10)
    assert weak.seconds()["score"].max() == pytest.approx(localization.maps.max() / 10)
    assert weak.heat.max() == pytest.approx(localization.maps.max() / 10)


def test_a_silent_second_has_neither_heat_nor_box(localization):
    rms_db = np.where(np.arange(12) < 4, -90.0, -10.0)
    half = replace(localization, maps=spot(1, 1, 0.9), rms_db=rms_db)
    seconds = half.seconds()
    assert seconds["audible"].tolist() == [False, True, True]
    assert seconds["score"].tolist() == pytest.approx([0, 0.9, 0.9])
    assert seconds["x"].isna().tolist() == [True, False, False]
    assert half.maps[0].max() == pytest.approx(0.9)  # as the network made it


def test_a_video_without_any_heat_has_rows(localization):
    seconds = replace(localization, maps=spot(0, 0, 0)).seconds()
    assert seconds["score"].tolist() == [0, 0, 0]
    assert seconds[[*SIDES, "peak_x", "peak_y"]].isna().all(axis=None)


def class_aware(localization, maps, **fields):
    """The localization with maps of categories; the map of the sound is their maximum."""
    return replace(localization, maps=np.max([*maps.values()], 0), by_category=maps, **fields)


def test_each_hot_category_has_a_box_and_the_hottest_names_the_row(localization):
    maps = {"cello": spot(1, 1, 0.5), "tuba": spot(3, 3, 0.8), "drum": spot(2, 0, 0.1)}
    row = class_aware(localization, maps).row(0)
    assert row["category"] == "tuba"
    found = [(each["category"], each["x"], each["y"]) for each in row["objects"]]
    assert found == [("tuba", 0.75, 0.75), ("cello", 0.25, 0.25)]


def test_a_category_with_less_than_half_of_the_hottest_ones_score_is_left_out(localization):
    maps = {"cello": spot(1, 1, 0.4), "tuba": spot(3, 3, 0.9)}
    objects = class_aware(localization, maps).objects(0)
    assert [each["category"] for each in objects] == ["tuba"]


def test_of_two_categories_at_one_place_the_hotter_one_is_kept(localization):
    maps = {"cello": spot(1, 1, 0.5), "double_bass": spot(1, 1, 0.6)}
    (found,) = class_aware(localization, maps).objects(0)
    assert found["category"] == "double_bass"


def test_a_box_inside_another_one_is_the_same_object(localization):
    wide = spot(1, 1, 0.9)
    wide[:, 1:3, 0:3] = 0.9
    objects = class_aware(localization, {"bird": wide, "turkey": spot(1, 1, 0.5)}).objects(0)
    assert [each["category"] for each in objects] == ["bird"]


def test_a_generic_category_is_named_only_where_no_other_one_is_hot(localization):
    maps = {"person": spot(0, 0, 0.4), "cello": spot(3, 3, 0.4)}
    maps["cello"][4:] = 0
    mixed = class_aware(localization, maps, generic=frozenset({"person"}))
    assert [mixed.row(frame)["category"] for frame in (0, 8)] == ["cello", "person"]


def test_a_generic_category_must_be_heard_under_its_own_name(localization, class_scores):
    """The tuba is heard in the last second only."""
    maps, generic = {"tuba": spot(0, 0, 0.4)}, frozenset({"tuba"})
    tagged = class_aware(localization, maps, generic=generic, class_scores=class_scores)
    assert [tagged.row(frame)["category"] for frame in (0, 8)] == [None, "tuba"]


def test_nothing_is_named_where_the_heat_has_another_reason(localization):
    maps = {"cello": spot(1, 1, 0.4)}
    row = replace(localization, maps=spot(3, 3, 0.9), by_category=maps).row(0)
    assert (row["category"], row["objects"]) == (None, [])
    assert (row["x"], row["y"]) == (0.75, 0.75)  # the box of the heat


def test_a_second_category_must_be_heard_under_its_own_name(localization, class_scores):
    """The tuba is heard in the last second only; the cello, in the seconds before."""
    maps = {"cello": spot(1, 1, 0.9), "tuba": spot(3, 3, 0.8)}
    tagged = class_aware(localization, maps, class_scores=class_scores)
    assert [each["category"] for each in tagged.objects(0)] == ["cello"]
    assert [each["category"] for each in tagged.objects(8)] == ["cello", "tuba"]


def test_a_row_without_a_hot_category_names_none(localization):
    rms_db = np.where(np.arange(12) < 4, -90.0, -10.0)
    assert class_aware(localization, {"cello": spot(1, 1, 0.1)}).row(8)["category"] is None
    hot = class_aware(localization, {"cello": spot(1, 1, 0.9)}, rms_db=rms_db)
    assert [hot.row(frame)["category"] for frame in (0, 8)] == [None, "cello"]


def test_audio_classes_are_named_per_second_and_for_the_video(localization, class_scores):
    tagged = replace(localization, class_scores=class_scores)
    first, _, last = (row["heard"] for row in tagged.rows())
    assert first == [{"class": "Cello", "score": 0.9}, {"class": "Music", "score": 0.4}]
    assert last == [{"class": "Tuba", "score": 0.7}, {"class": "Music", "score": 0.2}]
    assert [each["class"] for each in tagged.audio_classes()] == ["Cello", "Music", "Tuba"]
    assert tagged.audio_classes()[0]["score"] == 0.6  # mean of 0.9, 0.9 and 0


def test_audio_classes_of_silent_seconds_do_not_count(localization, class_scores):
    rms_db = np.where(np.arange(12) < 8, -10.0, -90.0)
    tagged = replace(localization, class_scores=class_scores, rms_db=rms_db)
    assert [each["class"] for each in tagged.audio_classes()] == ["Cello", "Music"]
    silent = replace(tagged, rms_db=np.full(12, -90.0))
    assert silent.audio_classes() == []


def test_a_network_without_audio_classes_names_no_sound(localization):
    assert localization.audio_classes() == []
    assert "heard" not in localization.row(0)
