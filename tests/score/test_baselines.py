import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spm.score import baselines, masks, metrics
from spm.score.protocols import PROTOCOLS, Resize
from tests.score import golden

BOXES = arrays(np.float64, st.tuples(st.integers(1, 5), st.just(4)), elements=st.floats(0.05, 0.6))
AS_DRAWN = sorted(name for name, protocol in PROTOCOLS.items() if protocol.box_form is None)
CENTRE = np.array([[0.3, 0.3, 0.4, 0.4]])


@pytest.fixture(scope="module")
def solo():
    """Boxes of DSOL's 12,356 boxed solo frames."""
    content = golden.dsol_json("solotest")
    return golden.solo_boxes(content, [key for key, frame in content.items() if frame["bbox"]])


def percent(region, boxes):
    """IoU@0.5, AUC and IoU@0.3 in per cent, to the one decimal that is published."""
    ious = baselines.region_ious([region], boxes)[:, 0]
    scores = metrics.ciou_at(ious, 0.5), metrics.auc(ious), metrics.ciou_at(ious, 0.3)
    return [round(100 * score, 1) for score in scores]


def oracle_ious(name, boxes, cells):
    """IoUs of the oracle under one protocol, on a square grid."""
    return baselines.oracle_ious([PROTOCOLS[name]], boxes, cells, cells)[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("whole-image", [15.4, 33.2, 43.3]),
        ("centre-square-35%", [11.8, 36.1, 71.2]),
        ("centre-square-50%", [23.4, 37.8, 71.1]),
    ],
)
def test_regions_score_the_reference_figures_on_dsols_solo_boxes(solo, name, expected):
    assert len(solo) == 12_356
    assert percent(baselines.regions(np.empty((0, 4)), 224)[name], solo) == expected


@pytest.mark.slow
def test_the_prior_of_the_test_boxes_themselves_scores_the_reference_figure(solo):
    assert percent(baselines.prior(np.concatenate(solo), 224) > 0.4, solo) == [42.2, 45.3, 86.3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "usual_auc"), [("dsol-solo", 0.825), ("dsol-duet", 0.840), ("dsol-synthetic", 0.862)]
)
def test_the_oracle_scores_more_than_the_usual_one(solo, name, usual_auc):
    """The usual oracle is 1 in the cells whose centre is in a box."""
    boxes = solo[::50]
    centres = (np.arange(14) + 0.5) / 14
    usual = np.zeros((len(boxes), 14, 14))
    for cells, ((x, y, w, h),) in zip(usual, boxes, strict=True):
        rows = (centres >= y) & (centres < y + h)
        columns = (centres >= x) & (centres < x + w)
        cells[np.ix_(rows, columns)] = 1
    auc = metrics.auc(masks.ious(PROTOCOLS[name], usual, boxes))
    assert auc == pytest.approx(usual_auc, abs=0.01)
    assert metrics.auc(oracle_ious(name, boxes, 14)) > auc + 0.05


@pytest.mark.parametrize("area", baselines.SQUARES)
def test_a_centre_square_has_its_area_and_is_centred(area):
    square = baselines.centre_square(area, 224)
    assert square.mean() == pytest.approx(area, abs=0.005)
    assert (square == square[::-1, ::-1]).all()


@given(BOXES)
def test_the_prior_is_the_mean_of_the_drawn_boxes(boxes):
    drawn = np.mean([masks.raster(box[None], 56) for box in boxes], axis=0)
    np.testing.assert_allclose(baselines.prior(boxes, 56), drawn, atol=1e-12)


@given(BOXES)
def test_the_mean_box_is_not_empty_and_contains_what_all_boxes_share(boxes):
    region = baselines.mean_box(boxes, 56)
    assert region.any()
    assert region[np.all([masks.raster(box[None], 56) for box in boxes], axis=0)].all()


def test_there_is_no_mean_box_without_training_boxes():
    assert "mean-box" not in baselines.regions(np.empty((0, 4)), 224)
    assert "mean-box" in baselines.regions(CENTRE, 224)


def test_a_region_scores_its_iou_on_each_frame():
    whole = baselines.regions(np.empty((0, 4)), 224)["whole-image"]
    ious = baselines.region_ious([whole], [CENTRE, np.array([[0, 0, 0.5, 0.5]])])
    assert ious.tolist() == [[masks.raster(CENTRE, 224).mean()], [0.25]]


@given(arrays(bool, (2, 12, 12)), st.sampled_from([(3, 4), (5, 7), (12, 12)]))
def test_coverage_keeps_the_area_on_any_grid(truth, shape):
    covered = baselines.coverage(truth, *shape)
    assert covered.shape == (2, *shape)
    np.testing.assert_allclose(covered.mean((1, 2)), truth.mean((1, 2)), atol=1e-12)
    assert covered.min() >= 0
    assert covered.max() <= 1 + 1e-12


def test_coverage_is_the_share_of_each_cell():
    truth = np.zeros((1, 4, 4), bool)
    truth[0, :2, :3] = True
    assert baselines.coverage(truth, 2, 2).tolist() == [[[1, 0.5], [0, 0]]]


@pytest.mark.slow
@settings(max_examples=20)
@given(st.sampled_from(AS_DRAWN), arrays(np.float64, (4, 2), elements=st.floats(0.0, 0.6)))
def test_a_map_of_the_cells_that_are_mostly_truth_never_beats_the_oracle(name, corners):
    boxes = [np.array([[x, y, 0.35, 0.35]]) for x, y in corners]
    truth = np.stack([masks.raster(box, 224) for box in boxes])
    plain = masks.ious(
        PROTOCOLS[name], (baselines.coverage(truth, 7, 7) >= 0.5).astype(float), boxes
    )
    assert (oracle_ious(name, boxes, 7) >= plain).all()


def test_protocols_in_one_pass_have_the_oracle_of_each_alone():
    rules = [protocol for protocol in PROTOCOLS.values() if protocol.resize == Resize.BILINEAR]
    boxes = [np.array([[x, 0.2, 0.3, 0.4], [0.5, x, 0.3, 0.2]]) for x in (0.1, 0.2, 0.4)]
    at_once = baselines.oracle_ious(rules, boxes, 9, 14)
    for protocol, ious in zip(rules, at_once.T, strict=True):
        assert (baselines.oracle_ious([protocol], boxes, 9, 14)[:, 0] == ious).all()


def test_the_oracle_scores_more_on_a_finer_grid():
    boxes = [np.array([[x, 0.21, 0.33, 0.44]]) for x in (0.1, 0.23, 0.37)]
    scores = [oracle_ious("spm-paper", boxes, n).mean() for n in (4, 7, 14, 28)]
    assert scores == sorted(scores)
    assert scores[-1] > 0.93


def test_a_region_scores_zero_on_a_frame_whose_boxes_cover_no_pixel():
    whole = baselines.regions(np.empty((0, 4)), 224)["whole-image"]
    assert baselines.region_ious([whole], [np.array([[0.5, 0.5, 1e-4, 0.2]])]).tolist() == [[0]]
