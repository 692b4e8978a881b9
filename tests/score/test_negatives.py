"""Figures of negative frames equal those of the authors' own code, and say what they should."""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spm.score import masks, metrics, negatives
from tests.score import golden, reference_evaluators

THRESHOLD = 0.5
TOLERANCE = 1e-9
ABSOLUTE = negatives.protocol(THRESHOLD)


@cache
def authors() -> dict[str, Any]:
    """What the authors' own functions gave."""
    return json.loads((golden.DATA / "golden/negatives.json").read_text(encoding="utf-8"))


@cache
def given() -> dict[str, NDArray[Any]]:
    return golden.negative_inputs()


@cache
def boxes() -> list[NDArray[np.float64]]:
    return golden.solo_boxes(golden.dsol_json("solotest"), golden.maps()["solo_keys"])


@cache
def own_ious() -> NDArray[np.float64]:
    return masks.ious(ABSOLUTE, given()["own"], boxes())


@cache
def detections() -> tuple[NDArray[Any], ...]:
    """IoU, confidence, and whether the frame is positive: own and other maps in turns."""
    pixels = [masks.resize(given()[name], negatives.PX) for name in ("own", "other")]
    confidences = np.stack([negatives.top_quarter(part) for part in pixels], 1).ravel()
    ious = np.stack([own_ious(), np.zeros(len(own_ious()))], 1).ravel()
    return ious, confidences, np.tile([True, False], len(own_ious()))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["slavc", "sslalignment", "acl-ssl"])
def test_detection_figures_equal_those_of_the_authors_own_code(source):
    expected, (ious, confidences, sounding) = authors()[source], detections()
    found = negatives.average_precision(ious, confidences, sounding, from_zero=False)
    assert found == pytest.approx(expected["ap"], abs=TOLERANCE)
    found = negatives.max_f1(ious, confidences, sounding)
    assert found == pytest.approx(max(expected["f1"]), abs=TOLERANCE)
    assert negatives.loc_acc(ious[sounding]) == expected["precision_at_50"]


def test_confidence_is_that_of_slavc():
    pixels = masks.resize_cubic(given()["own"][:8], negatives.PX)
    expected = authors()["slavc"]["confidence_bicubic"]
    # theirs is a mean in single precision, and the bicubic interpolation is torch's
    assert negatives.top_quarter(pixels) == pytest.approx(expected, abs=1e-6)
    pixels = masks.resize(given()["own"][:8], negatives.PX)
    expected = authors()["slavc"]["confidence"]
    assert negatives.top_quarter(pixels) == pytest.approx(expected, abs=1e-6)


def test_foreground_of_negative_frames_is_that_of_the_authors_own_code():
    expected, shares = authors()["vssl_eval"], negatives.foreground_share(given()["other"], 0.5)
    assert shares[60:92] == pytest.approx(expected["pia_frames"], abs=TOLERANCE)
    assert shares.mean() == pytest.approx(expected["pia"], abs=TOLERANCE)
    assert negatives.inactive_auc(shares) == pytest.approx(expected["auc_pia"], abs=TOLERANCE)
    assert shares.mean() == pytest.approx(authors()["avsbench-robust"]["fpr"], abs=TOLERANCE)


def test_the_harmonic_mean_of_ious_and_inactive_area_is_that_of_the_authors_own_code():
    expected, shares = authors()["vssl_eval"], negatives.foreground_share(given()["other"], 0.5)
    assert own_ious().mean() == pytest.approx(expected["ciou"], abs=TOLERANCE)
    assert metrics.auc(own_ious()) == pytest.approx(expected["auc"], abs=TOLERANCE)
    found = negatives.harmonic_mean(own_ious().mean(), 1 - shares.mean())
    assert found == pytest.approx(expected["f"], abs=TOLERANCE)


def test_overlap_of_two_maps_is_that_of_the_authors_own_code():
    expected = authors()["vssl_eval"]
    found = negatives.map_ious(given()["own"], given()["other"], THRESHOLD)
    assert found[:64] == pytest.approx(expected["map_iou_frames"], abs=TOLERANCE)
    assert found.mean() == pytest.approx(expected["map_iou"], abs=TOLERANCE)


def test_iiou_is_that_of_the_authors_own_code():
    expected = authors()["iiou"]
    found = negatives.iiou(own_ious(), given()["picture"])
    assert found == pytest.approx(expected["iiou"], abs=TOLERANCE)
    found = negatives.iauc(own_ious(), given()["picture"])
    assert found == pytest.approx(expected["iauc"], abs=TOLERANCE)


def test_mean_iou_with_each_sound_is_that_of_avsbench_robust():
    expected = authors()["avsbench-robust"]
    other = masks.ious(ABSOLUTE, given()["other"], boxes())
    # they add 1e-7 to each union, and divide in single precision
    assert own_ious().mean() == pytest.approx(expected["miou_own"], abs=1e-7)
    assert other.mean() == pytest.approx(expected["miou_other"], abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_random_frames_have_the_figures_of_the_reference_evaluators(seed):
    generator = np.random.default_rng(seed)
    count = int(generator.integers(2, 500))
    ious, sounding = generator.random(count), generator.random(count) < 0.6
    confidences = generator.random(count).round(int(generator.integers(1, 4)))  # some are equal
    found = negatives.average_precision(ious, confidences, sounding, from_zero=False)
    expected = reference_evaluators.average_precision(ious, confidences, sounding)
    assert found == pytest.approx(expected, abs=TOLERANCE)
    expected = reference_evaluators.largest_f1(ious, confidences, sounding)
    assert negatives.max_f1(ious, confidences, sounding) == pytest.approx(expected, abs=TOLERANCE)
    expected = reference_evaluators.area_under_inactivity(ious)
    assert negatives.inactive_auc(ious) == pytest.approx(expected, abs=TOLERANCE)
    picture = generator.integers(0, count // 2 + 1, count)
    expected = reference_evaluators.pictures_that_pass(ious, picture, 0.3)
    assert negatives.iiou_per_picture(ious, picture, [0.3])[:, 0].tolist() == expected


def test_foreground_is_what_the_reference_evaluator_draws():
    maps = given()["other"][60:100]
    expected = [reference_evaluators.above(cells, 0.3).mean() for cells in maps]
    assert negatives.foreground_share(maps, 0.3) == pytest.approx(expected, abs=TOLERANCE)


def test_a_map_that_ignores_the_sound_has_no_average_precision_above_that_of_chance():
    sounding = np.tile([True, False], 50)
    confidences = np.repeat(np.linspace(0, 1, 50), 2)  # of a picture, whatever it sounds like
    found = negatives.average_precision(np.ones(100), confidences, sounding)
    assert found == pytest.approx(0.5, abs=0.02)


def test_a_perfect_system_has_an_average_precision_of_1_but_0_by_slavcs_code():
    sounding = np.tile([True, False], 50)
    found = [
        negatives.average_precision(sounding, sounding, sounding, from_zero=from_zero)
        for from_zero in (True, False)
    ]
    assert found == [1, 0]


def test_silent_maps_are_right_for_all_negative_frames_and_full_maps_for_none():
    silent, full = np.zeros((3, 14, 14), np.float32), np.ones((3, 14, 14), np.float32)
    assert negatives.foreground_share(silent, 0.5).tolist() == [0, 0, 0]
    assert negatives.foreground_share(full, 0.5).tolist() == [1, 1, 1]
    assert negatives.inactive_auc([1.0] * 3) == pytest.approx(0.025)
    assert negatives.false_positive_rate(negatives.maximum(full), 0.5) == 1


def test_arrays_of_different_lengths_are_an_error():
    with pytest.raises(ValueError, match=r"three arrays"):
        negatives.average_precision([0.5], [0.5, 0.1], [True])
    with pytest.raises(ValueError, match="finite"):
        negatives.max_f1([0.5], [np.nan], [True])
