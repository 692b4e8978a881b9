import numpy as np
import pytest
import sklearn.metrics as sklearn_metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spm.score import masks, metrics

SCORES = arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1))


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = (draw(st.integers(1, 4)), 6, 5)
    prediction, truth = draw(arrays(bool, shape)), draw(arrays(bool, shape))
    truth[:, 2, 2] = True  # a truth is never empty
    return prediction, truth


@given(mask_pairs())
def test_iou_is_one_for_equal_masks_and_zero_for_disjoint_ones(pair):
    _, truth = pair
    assert (metrics.iou(truth, truth) == 1).all()
    assert (metrics.iou(~truth, truth) == 0).all()


@pytest.mark.slow
@given(mask_pairs())
def test_iou_equals_a_count_pixel_by_pixel(pair):
    predictions, truths = pair
    scores = metrics.iou(predictions, truths)
    for score, prediction, truth in zip(scores, predictions, truths, strict=True):
        pixels = list(zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True))
        both = sum(predicted and true for predicted, true in pixels)
        either = sum(predicted or true for predicted, true in pixels)
        assert score == both / either


@pytest.mark.slow
@given(mask_pairs(), st.randoms())
def test_iou_follows_its_frame_and_does_not_change_in_a_mirror(pair, generator):
    prediction, truth = pair
    scores = metrics.iou(prediction, truth)
    order = generator.sample(range(len(truth)), len(truth))
    assert (metrics.iou(prediction[order], truth[order]) == scores[order]).all()
    assert (metrics.iou(prediction[:, ::-1], truth[:, ::-1]) == scores).all()
    assert (metrics.iou(prediction[:, :, ::-1], truth[:, :, ::-1]) == scores).all()


@pytest.mark.slow
@given(mask_pairs(), mask_pairs())
def test_more_truth_outside_the_prediction_lowers_the_iou(pair, other):
    prediction, truth = pair[0][:1], pair[1][:1]
    grown = truth | (other[1][:1] & ~prediction)
    before, after = metrics.iou(prediction, truth), metrics.iou(prediction, grown)
    assert (after < before) if (grown.sum() > truth.sum() and before > 0) else (after == before)


@pytest.mark.slow
@given(mask_pairs(), mask_pairs())
def test_more_truth_inside_the_prediction_raises_the_iou(pair, other):
    prediction, truth = pair[0][:1], pair[1][:1]
    grown = truth | (other[1][:1] & prediction)
    before, after = metrics.iou(prediction, truth), metrics.iou(prediction, grown)
    assert (after > before) if grown.sum() > truth.sum() else (after == before)


def test_an_empty_truth_scores_zero_where_it_is_allowed():
    prediction, truth = np.ones((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    prediction[1] = False
    assert metrics.iou(prediction, truth, allow_empty=True).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (np.ones((2, 4, 4), bool), np.ones((2, 4, 5), bool), r"\(2, 4, 4\) and \(2, 4, 5\)"),
        (
            np.ones((4, 4), bool),
            np.ones((4, 4), bool),
            r"expected masks of equal shape \(n, h, w\)",
        ),
        (np.ones((1, 4, 4)), np.ones((1, 4, 4), bool), "float64 and bool"),
        (
            np.ones((2, 4, 4), bool),
            np.stack([np.ones((4, 4), bool), np.zeros((4, 4), bool)]),
            "truth mask 1 has no pixel",
        ),
    ],
)
def test_masks_that_cannot_be_scored_raise_an_error(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        metrics.iou(prediction, truth)


@pytest.mark.parametrize("ious", [[], [[0.5]], [float("nan")], [1.1], [-0.1]])
def test_values_that_are_no_scores_raise_an_error(ious):
    with pytest.raises(ValueError, match="expected"):
        metrics.auc(ious)


def test_the_grid_is_the_product_that_the_authors_scripts_use():
    assert metrics.GRID.tolist() == [0.05 * i for i in range(21)]
    assert metrics.GRID[6] > 0.3


def test_an_iou_of_exactly_0_3_misses_ciou_at_0_3_and_0_5_reaches_iou_at_0_5():
    assert metrics.ciou_at([0.3], 0.3) == 0
    assert metrics.ciou_at([np.nextafter(0.3, 1)], 0.3) == 1
    assert metrics.ciou_at([0.5], 0.5) == 1


@pytest.mark.slow
@given(SCORES)
def test_auc_equals_scikit_learns(ious):
    rates = [np.mean(ious >= 0.05 * i) for i in range(21)]
    assert metrics.auc(ious) == pytest.approx(
        sklearn_metrics.auc([0.05 * i for i in range(21)], rates), abs=1e-12
    )


@given(SCORES)
def test_auc_is_a_mean_over_frames_and_lies_between_its_bounds(ious):
    assert metrics.auc(ious) == pytest.approx(metrics.auc_per_frame(ious).mean(), abs=1e-12)
    assert 0.025 - 1e-12 <= metrics.auc(ious) <= 1 + 1e-12
    assert abs(metrics.auc(ious) - ious.mean()) <= 0.025 + 1e-12


@given(SCORES)
def test_success_never_rises_with_the_threshold(ious):
    assert (np.diff(metrics.success_rate(ious, metrics.GRID)) <= 0).all()


def test_ciou_is_the_mean_over_the_classes_of_each_frame():
    assert metrics.ciou([0.2, 1.0, 0.4], [1, 0, 1], 2).tolist() == pytest.approx([1.0, 0.3])


@pytest.mark.parametrize(("frame", "frames"), [([0, 0], 2), ([0, 2], 2), ([0], 1)])
def test_ciou_needs_a_class_in_every_frame_and_a_frame_for_every_class(frame, frames):
    with pytest.raises(ValueError, match="expected"):
        metrics.ciou([0.5, 0.5], frame, frames)


def inactive_fractions(class_maps, px):
    """Of the maps (n, classes, h, w): (n, classes)."""
    frames, classes, *size = class_maps.shape
    fractions = masks.inactive_fractions(class_maps.reshape(-1, *size), px, 0.2)
    return fractions.reshape(frames, classes)


def test_nsa_of_uniform_class_maps_is_one():
    maps = np.full((2, 11, 3, 3), 1 / 11)
    inactive = inactive_fractions(maps, 8)
    assert metrics.nsa(inactive, np.eye(11, dtype=bool)[:2]).tolist() == [1, 1]


def test_nsa_counts_only_silent_classes_and_a_pixel_at_the_level_is_inactive():
    maps = np.array([[[[1.0, 1.0]], [[0.2, 0.3]]]])
    inactive = inactive_fractions(maps, 2)
    assert metrics.nsa(inactive, np.array([[True, False]])).tolist() == [0.5]
    with pytest.raises(ValueError, match="every class of a frame sounds"):
        metrics.nsa(inactive, np.array([[True, True]]))
    with pytest.raises(ValueError, match=r"two arrays \(n, classes\)"):
        metrics.nsa(inactive, np.array([[True]]))


HEAT = arrays(np.float64, (2, 3, 4), elements=st.integers(0, 5).map(float))  # with ties


@pytest.mark.slow
@given(HEAT, arrays(np.bool_, (2, 3, 4)))
def test_pixel_ap_equals_scikit_learns(heat, truth):
    truth[:, 0, 0] = True
    expected = [
        sklearn_metrics.average_precision_score(t.ravel(), h.ravel())
        for t, h in zip(truth, heat, strict=True)
    ]
    assert metrics.pixel_ap(heat, truth) == pytest.approx(expected, abs=1e-12)


def test_pixel_ap_needs_finite_maps_of_the_truths_shape():
    truth = np.ones((1, 2, 2), bool)
    with pytest.raises(ValueError, match="finite maps"):
        metrics.pixel_ap(np.full((1, 2, 2), np.nan), truth)
    with pytest.raises(ValueError, match="finite maps"):
        metrics.pixel_ap(np.ones((1, 2, 3)), truth)


def test_a_threshold_that_must_be_exceeded_is_not_met_exactly():
    assert metrics.success_matrix([0.5, 0.51], [0.5], strict=True).ravel().tolist() == [False, True]


def test_auc_over_another_grid_is_the_area_over_that_grid():
    assert metrics.auc([0.4, 0.9], [0.0, 0.5, 1.0]) == pytest.approx(
        (1 + 0.5) / 2 * 0.5 + 0.5 / 2 * 0.5
    )


@given(arrays(np.float32, (3, 6, 5), elements=st.integers(0, 3)), arrays(bool, (3, 6, 5)))
def test_the_pointing_game_is_the_mean_hit_of_every_hottest_pixel(maps, truths):
    for score, heat, truth in zip(metrics.pointing_game(maps, truths), maps, truths, strict=True):
        pixels = list(zip(heat.ravel().tolist(), truth.ravel().tolist(), strict=True))
        hits = [hit for value, hit in pixels if value == max(pixels)[0]]
        assert score == sum(hits) / len(hits)


@given(arrays(np.float32, (2, 6, 5), elements=st.integers(0, 9)), mask_pairs())
def test_the_pointing_game_does_not_change_with_the_scale_or_in_a_mirror(maps, pair):
    truth = np.repeat(pair[1][:1], 2, axis=0)
    scores = metrics.pointing_game(maps, truth)
    assert (metrics.pointing_game(2 * maps + 1, truth) == scores).all()
    assert (metrics.pointing_game(maps[:, ::-1], truth[:, ::-1]) == scores).all()


def test_the_pointing_game_needs_maps_and_truth_of_one_shape():
    with pytest.raises(ValueError, match=r"not \(1, 4, 4\) and \(1, 4, 5\)"):
        metrics.pointing_game(np.ones((1, 4, 4)), np.ones((1, 4, 5), bool))
