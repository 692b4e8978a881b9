import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spm.score import baselines, masks, metrics
from spm.score.protocols import PROTOCOLS

SOLO = Path(__file__).parents[2].parent / "shared" / "data" / "manifests" / "DSOL" / "solotest.json"
BOXES = arrays(np.float64, st.tuples(st.integers(1, 5), st.just(4)), elements=st.floats(0.05, 0.6))
AS_DRAWN = sorted(name for name, protocol in PROTOCOLS.items() if protocol.boxes is None)
CENTRE = np.array([[0.3, 0.3, 0.4, 0.4]])

dsol = pytest.mark.skipif(
    not SOLO.exists(), reason="DSOL's boxes absent: shared/data/manifests/DSOL/solotest.json"
)


@pytest.fixture(scope="module")
def solo():
    """Boxes of DSOL's 12,356 boxed solo frames."""
    frames = json.loads(SOLO.read_text()).values()
    return [
        np.array([box["normbox"] for box in frame["bbox"]]) for frame in frames if frame["bbox"]
    ]


def percent(region, boxes):
    """IoU@0.5, AUC and IoU@0.3 in per cent, to the one decimal that is published."""
    ious = baselines.region_ious(region, boxes)
    return [
        round(100 * s, 1)
        for s in (metrics.ciou_at(ious, 0.5), metrics.auc(ious), metrics.ciou_at(ious, 0.3))
    ]


@dsol
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


@dsol
def test_the_prior_of_the_test_boxes_themselves_scores_the_reference_figure(solo):
    assert percent(baselines.prior(np.concatenate(solo), 224) > 0.4, solo) == [42.2, 45.3, 86.3]


@dsol
@pytest.mark.parametrize(
    ("name", "usual_auc"), [("dsol-solo", 0.825), ("dsol-duet", 0.840), ("dsol-synthetic", 0.862)]
)
def test_the_oracle_stands_above_the_usual_one(solo, name, usual_auc):
    some = solo[::50]
    centres = (np.arange(14) + 0.5) / 14
    usual = np.zeros((len(some), 14, 14))
    for drawn, ((x, y, w, h),) in zip(usual, some, strict=True):
        drawn[np.ix_((centres >= y) & (centres < y + h), (centres >= x) & (centres < x + w))] = 1
    ious = masks.ious(PROTOCOLS[name], usual, some)
    assert metrics.auc(ious) == pytest.approx(usual_auc, abs=0.01)
    assert (
        metrics.auc(baselines.oracle_ious(PROTOCOLS[name], some, 14, 14)) > metrics.auc(ious) + 0.05
    )


@pytest.mark.parametrize("area", baselines.SQUARES)
def test_a_centre_square_has_its_area_and_lies_in_the_middle(area):
    square = baselines.centre_square(area, 224)
    assert square.mean() == pytest.approx(area, abs=0.005)
    assert (square == square[::-1, ::-1]).all()


@given(BOXES)
def test_the_prior_is_the_mean_of_the_boxes_drawn_one_by_one(boxes):
    drawn = np.mean([masks.raster(box[None], 56) for box in boxes], axis=0)
    np.testing.assert_allclose(baselines.prior(boxes, 56), drawn, atol=1e-12)


@given(BOXES)
def test_the_mean_box_is_never_empty_and_holds_what_all_boxes_share(boxes):
    region = baselines.mean_box(boxes, 56)
    assert region.any()
    assert region[np.all([masks.raster(box[None], 56) for box in boxes], axis=0)].all()


def test_there_is_no_mean_box_without_training_boxes():
    assert "mean-box" not in baselines.regions(np.empty((0, 4)), 224)
    assert "mean-box" in baselines.regions(CENTRE, 224)


def test_a_region_scores_its_plain_iou_frame_by_frame():
    whole = baselines.regions(np.empty((0, 4)), 224)["whole-image"]
    ious = baselines.region_ious(whole, [CENTRE, np.array([[0, 0, 0.5, 0.5]])])
    assert ious.tolist() == [masks.raster(CENTRE, 224).mean(), 0.25]


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


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(AS_DRAWN), arrays(np.float64, (4, 2), elements=st.floats(0.0, 0.6)))
def test_the_cells_whose_larger_part_is_truth_never_beat_the_oracle(name, corners):
    boxes = [np.array([[x, y, 0.35, 0.35]]) for x, y in corners]
    truth = np.stack([masks.raster(box, 224) for box in boxes])
    plain = masks.ious(
        PROTOCOLS[name], (baselines.coverage(truth, 7, 7) >= 0.5).astype(float), boxes
    )
    assert (baselines.oracle_ious(PROTOCOLS[name], boxes, 7, 7) >= plain).all()


def test_a_finer_grid_lets_the_oracle_come_nearer():
    boxes = [np.array([[x, 0.21, 0.33, 0.44]]) for x in (0.1, 0.23, 0.37)]
    scores = [
        baselines.oracle_ious(PROTOCOLS["spm-paper"], boxes, n, n).mean() for n in (4, 7, 14, 28)
    ]
    assert scores == sorted(scores)
    assert scores[-1] > 0.93
