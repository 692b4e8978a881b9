import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spm.score import metrics

SCORES = arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1))


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = (draw(st.integers(1, 4)), 6, 5)
    prediction, truth = draw(arrays(bool, shape)), draw(arrays(bool, shape))
    truth[:, 2, 2] = True  # a truth is never empty
    return prediction, truth


@given(mask_pairs())
def test_iou_is_one_for_equal_masks_and_zero_for_disjoint_ones(masks):
    _, truth = masks
    assert (metrics.iou(truth, truth) == 1).all()
    assert (metrics.iou(~truth, truth) == 0).all()


@given(mask_pairs())
def test_iou_counts_pixels_as_a_loop_over_them_does(masks):
    prediction, truth = masks
    for score, p, g in zip(
        metrics.iou(prediction, truth), prediction.tolist(), truth.tolist(), strict=True
    ):
        pairs = [
            (a, b)
            for row_p, row_g in zip(p, g, strict=True)
            for a, b in zip(row_p, row_g, strict=True)
        ]
        assert score == sum(a and b for a, b in pairs) / sum(a or b for a, b in pairs)


@given(mask_pairs(), st.randoms())
def test_iou_does_not_care_for_the_order_of_frames_nor_for_mirrors(masks, random):
    prediction, truth = masks
    scores = metrics.iou(prediction, truth)
    order = random.sample(range(len(truth)), len(truth))
    assert (metrics.iou(prediction[order], truth[order]) == scores[order]).all()
    assert (metrics.iou(prediction[:, ::-1], truth[:, ::-1]) == scores).all()
    assert (metrics.iou(prediction[:, :, ::-1], truth[:, :, ::-1]) == scores).all()


@given(mask_pairs(), mask_pairs())
def test_truth_that_grows_where_nothing_is_predicted_lowers_the_iou(masks, more):
    prediction, truth = masks[0][:1], masks[1][:1]
    grown = truth | (more[1][:1] & ~prediction)
    before, after = metrics.iou(prediction, truth), metrics.iou(prediction, grown)
    assert (after < before) if (grown.sum() > truth.sum() and before > 0) else (after == before)


@given(mask_pairs(), mask_pairs())
def test_truth_that_grows_where_something_is_predicted_raises_the_iou(masks, more):
    prediction, truth = masks[0][:1], masks[1][:1]
    grown = truth | (more[1][:1] & prediction)
    before, after = metrics.iou(prediction, truth), metrics.iou(prediction, grown)
    assert (after > before) if grown.sum() > truth.sum() else (after == before)


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (np.ones((2, 4, 4), bool), np.ones((2, 4, 5), bool), r"\(2, 4, 4\) and \(2, 4, 5\)"),
        (np.ones((4, 4), bool), np.ones((4, 4), bool), r"\(n, h, w\) expected"),
        (np.ones((1, 4, 4)), np.ones((1, 4, 4), bool), "float64 and bool"),
        (
            np.ones((2, 4, 4), bool),
            np.stack([np.ones((4, 4), bool), np.zeros((4, 4), bool)]),
            "truth in mask 1",
        ),
    ],
)
def test_masks_that_cannot_be_scored_are_named(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        metrics.iou(prediction, truth)


@pytest.mark.parametrize("ious", [[], [[0.5]], [float("nan")], [1.1], [-0.1]])
def test_scores_that_are_none_are_refused(ious):
    with pytest.raises(ValueError, match="expected"):
        metrics.auc(ious)


def test_the_grid_is_the_peers_product_and_not_the_decimal():
    assert metrics.GRID.tolist() == [0.05 * i for i in range(21)]
    assert metrics.GRID[6] > 0.3


def test_an_iou_of_exactly_three_tenths_misses_and_one_half_reaches():
    assert metrics.ciou_at([0.3], 0.3) == 0
    assert metrics.ciou_at([np.nextafter(0.3, 1)], 0.3) == 1
    assert metrics.ciou_at([0.5], 0.5) == 1


@settings(deadline=None)  # the first call imports scikit-learn
@given(SCORES)
def test_auc_is_sklearns_over_the_same_points(ious):
    sklearn = pytest.importorskip("sklearn.metrics")
    rates = [np.mean(ious >= 0.05 * i) for i in range(21)]
    assert metrics.auc(ious) == pytest.approx(
        sklearn.auc([0.05 * i for i in range(21)], rates), abs=1e-12
    )


@given(SCORES)
def test_auc_is_the_mean_of_what_each_frame_adds_and_between_its_bounds(ious):
    assert metrics.auc(ious) == pytest.approx(metrics.auc_per_frame(ious).mean(), abs=1e-12)
    assert 0.025 - 1e-12 <= metrics.auc(ious) <= 1 + 1e-12
    assert abs(metrics.auc(ious) - ious.mean()) <= 0.025 + 1e-12


@given(SCORES)
def test_success_never_rises_with_the_threshold(ious):
    assert (np.diff(metrics.success_rate(ious, metrics.GRID)) <= 0).all()


def test_ciou_is_the_mean_over_the_classes_of_its_own_frame():
    assert metrics.ciou([0.2, 1.0, 0.4], [1, 0, 1], 2).tolist() == pytest.approx([1.0, 0.3])


@pytest.mark.parametrize(("frame", "frames"), [([0, 0], 2), ([0, 2], 2), ([0], 1)])
def test_ciou_refuses_frames_without_a_class_and_classes_without_a_frame(frame, frames):
    with pytest.raises(ValueError, match=r"expected|must have"):
        metrics.ciou([0.5, 0.5], frame, frames)


def test_nsa_of_maps_that_share_everything_evenly_is_one():
    maps = np.full((2, 11, 3, 3), 1 / 11)
    assert metrics.nsa(maps, np.eye(11, dtype=bool)[:2]).tolist() == [1, 1]


def test_nsa_looks_only_at_silent_classes_and_counts_the_level_as_dark():
    maps = np.array([[[[1.0, 1.0]], [[0.2, 0.3]]]])
    assert metrics.nsa(maps, np.array([[True, False]])).tolist() == [0.5]
    with pytest.raises(ValueError, match="every class sounds"):
        metrics.nsa(maps, np.array([[True, True]]))


HEAT = arrays(np.float64, (2, 3, 4), elements=st.integers(0, 5).map(float))  # with ties


@given(HEAT, arrays(np.bool_, (2, 3, 4)))
def test_pixel_ap_is_sklearns(heat, truth):
    sklearn = pytest.importorskip("sklearn.metrics")
    truth[:, 0, 0] = True
    expected = [
        sklearn.average_precision_score(t.ravel(), h.ravel())
        for t, h in zip(truth, heat, strict=True)
    ]
    assert metrics.pixel_ap(heat, truth) == pytest.approx(expected, abs=1e-12)


def test_pixel_ap_wants_finite_maps_of_the_truths_shape():
    truth = np.ones((1, 2, 2), bool)
    with pytest.raises(ValueError, match="finite maps"):
        metrics.pixel_ap(np.full((1, 2, 2), np.nan), truth)
    with pytest.raises(ValueError, match="finite maps"):
        metrics.pixel_ap(np.ones((1, 2, 3)), truth)


def test_cap_is_the_mean_over_frames_of_the_mean_over_their_classes():
    assert metrics.cap([1.0, 0.0, 0.8], [0, 0, 1], 2) == pytest.approx(0.65)


def test_piap_does_not_care_which_map_is_which_and_takes_the_best_of_spare_ones():
    aps = np.array([[[0.1, 0.9], [0.7, 0.2], [0.3, 0.3]]])
    assert metrics.piap(aps) == metrics.piap(aps[:, ::-1]) == pytest.approx(0.8)
    with pytest.raises(ValueError, match="a map for each source"):
        metrics.piap(aps.swapaxes(1, 2))


def test_a_threshold_that_must_be_exceeded_is_not_met_exactly():
    assert metrics.success_matrix([0.5, 0.51], [0.5], beyond=True).ravel().tolist() == [False, True]


def test_auc_over_another_grid_is_the_area_over_that_grid():
    assert metrics.auc([0.4, 0.9], [0.0, 0.5, 1.0]) == pytest.approx(
        (1 + 0.5) / 2 * 0.5 + 0.5 / 2 * 0.5
    )
