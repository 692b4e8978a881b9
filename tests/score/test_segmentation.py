"""mIoU and F of maps and masks, compared with loops and with AVSBench's own functions."""

import numpy as np
import pytest

from spm.boxes.formats.frames import Box
from spm.score import mask_scores, masks, segmentation, uncertainty
from spm.score.evaluation import Predictions, Truth
from tests.score import golden

FRAMES = 60
VIDEOS = [n // 5 for n in range(FRAMES)]
# What the unmodified functions of AVSBench (OpenNLPLab/AVSBench f7414af, utility.py) give to the
# first 60 solo maps of tests/data, resized to 224 px and min-max scaled; every tenth frame has no
# truth. Their sigmoid is the identity here, because the maps are no logits. f_of_videos: the mean
# of Eval_Fmeasure over batches of five frames, as in their test.py.
AUTHORS = {
    "miou": 0.4303555190563202,
    "f": 0.544732391834259,
    "f_of_videos": 0.5676296974221865,
}


@pytest.fixture(scope="module")
def frames():
    """Maps and masks (60, 224, 224)."""
    stored = golden.maps()
    boxes = golden.solo_boxes(golden.dsol_json("solotest"), stored["solo_keys"][:FRAMES])
    truth = np.stack([masks.raster(sides, 224) for sides in boxes])
    truth[::10] = False
    return mask_scores.minmax(masks.resize(stored["solo_maps"][:FRAMES], 224)), truth


@pytest.fixture(scope="module")
def found(frames):
    return segmentation.agreement(*frames)


def curve_of_loop(values, truth):
    """F of one frame at each threshold, counted pixel by pixel."""
    curve = []
    for threshold in segmentation.thresholds():
        foreground = values >= threshold
        both = np.count_nonzero(foreground & truth)
        precision = both / (np.count_nonzero(foreground) + 1e-20)
        recovered = both / np.count_nonzero(truth)
        total = 0.3 * precision + recovered
        curve.append(1.3 * precision * recovered / total if total else 0.0)
    return curve


def iou_of_loop(values, truth):
    foreground = values > 0.5
    if not truth.any():
        return np.count_nonzero(~foreground) / truth.size
    return np.count_nonzero(foreground & truth) / np.count_nonzero(foreground | truth)


def test_each_frame_has_the_iou_and_the_curve_of_a_loop_over_pixels(frames, found):
    curves = segmentation.f_curves(found)
    for number in (0, 1, 7, 13):
        values, truth = frames[0][number], frames[1][number]
        assert found.ious[number] == pytest.approx(iou_of_loop(values, truth), abs=1e-12)
        if truth.any():
            np.testing.assert_allclose(curves[number], curve_of_loop(values, truth), atol=1e-12)
    assert not curves[::10].any()


def test_the_figures_are_those_of_the_authors_own_functions(found):
    values = segmentation.figures(found, VIDEOS)
    for name, expected in AUTHORS.items():
        assert values[name] == pytest.approx(expected, abs=1e-7), name  # theirs: single precision


@pytest.mark.slow
def test_figures_of_the_set_count_the_pixels_of_all_frames(frames, found):
    maps, truth = frames
    foreground = maps > 0.5
    values = segmentation.figures(found, VIDEOS)
    expected = (foreground & truth).sum() / (foreground | truth).sum()
    assert values["iou_of_set"] == pytest.approx(expected, abs=1e-12)
    best = 0
    for threshold in segmentation.thresholds():
        both = np.count_nonzero((maps >= threshold) & truth)
        precision = both / max(np.count_nonzero(maps >= threshold), 1)
        recovered = both / truth.sum()
        best = max(best, 1.3 * precision * recovered / max(0.3 * precision + recovered, 1e-20))
    assert values["f_of_set"] == pytest.approx(best, abs=1e-12)


def test_thresholds_are_those_of_torch():
    import torch

    expected = torch.linspace(0, 1 - 1e-10, 255).numpy()
    assert (segmentation.thresholds() == expected).all()


def test_a_frame_without_truth_and_an_empty_map_have_the_values_of_avsbench():
    nothing, everything = np.zeros((1, 4, 4), np.float32), np.ones((1, 4, 4), np.float32)
    empty, full = nothing > 0, everything > 0
    for maps, truth, iou in (
        (nothing, empty, 1.0),
        (everything, empty, 0.0),
        (nothing, full, 0.0),
        (everything, full, 1.0),
    ):
        assert segmentation.agreement(maps, truth).ious == [iou]


def test_intervals_hold_the_figures_and_need_two_videos(found):
    draws = uncertainty.draw(VIDEOS, resamples=200, seed=0)
    bounds = segmentation.intervals(found, VIDEOS, draws)
    for name, value in segmentation.figures(found, VIDEOS).items():
        low, high = bounds[name]
        assert low <= value <= high
        assert low < high
    assert set(segmentation.intervals(found, VIDEOS, None).values()) == {None}


class Pixels:
    """A mask in memory."""

    def __init__(self, mask):
        self.mask = mask

    def read(self):
        return self.mask


def test_a_perfect_map_scores_1_and_a_frame_without_a_mask_has_its_boxes():
    mask = np.zeros((6, 6), bool)
    mask[:3, :3] = True
    boxes = {"a": [Box("cello", (0, 0, 0.5, 0.5))], "b": [Box("cello", (0, 0, 0.5, 0.5))]}
    truth = Truth(boxes, masks={"a": Pixels(mask)})
    exact = np.zeros((2, 224, 224), np.float32)
    exact[:, :112, :112] = 1
    predictions = Predictions(["a", "b"], [("a",), ("b",)], exact)
    assert (mask_scores.truth_mask(truth, "a") == mask_scores.truth_mask(truth, "b")).all()
    found = mask_scores.score(predictions, truth)
    assert set(segmentation.figures(found["avsbench"]["maps"], ["a", "b"]).values()) == {1.0}
    region = segmentation.figures(found["avsbench"]["whole-image"], ["a", "b"])
    assert region["miou"] == 0.25


def test_maps_outside_of_0_to_1_are_scored_after_scaling_only():
    values = np.linspace(-3, 5, 2 * 16).reshape(2, 4, 4).astype(np.float32)
    truth = Truth({"a": [Box("cello", (0, 0.5, 1, 0.5))], "b": []})
    found = mask_scores.score(Predictions(["a", "b"], [("a",), ("b",)], values), truth)
    assert list(found) == ["avsbench-minmax"]
    assert {"maps", "whole-image", "oracle"} <= found["avsbench-minmax"].keys()
