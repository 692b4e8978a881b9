import cv2
import numpy as np
import pytest
import sklearn.metrics as sklearn_metrics
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spm.score import masks, metrics
from spm.score.protocols import PROTOCOLS
from tests.score.whole_images import foreground

EXACT = st.integers(-128, 128).map(lambda n: n / 64)  # interpolated to 224 px without rounding
BILINEAR = sorted(name for name, protocol in PROTOCOLS.items() if protocol.resize == "bilinear")
MAPS = arrays(np.float32, st.tuples(st.integers(1, 3), st.just(7), st.just(7)), elements=EXACT)


@settings(max_examples=30)
@given(MAPS)
def test_resize_equals_torchs_bilinear_with_half_pixel_centres(maps):
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[:, None], (50, 50), mode="bilinear"
    )
    np.testing.assert_allclose(masks.resize(maps, 50), expected[:, 0].numpy(), atol=1e-5)


def test_a_single_cell_or_row_of_cells_is_repeated_when_resized():
    assert (masks.resize(np.full((1, 1, 1), 0.7), 5) == np.float32(0.7)).all()
    assert masks.resize(np.array([[[0.0, 1.0]]]), 4)[0].tolist() == [[0, 0.25, 0.75, 1]] * 4


def test_position_and_size_of_a_box_are_scaled_before_they_are_added():
    x, w = next(
        (left / 640, width / 640)
        for left in range(1, 320)
        for width in range(1, 320)
        if int(224 * (left / 640) + 224 * (width / 640)) != int(224 * (left / 640 + width / 640))
    )
    columns = masks.raster(np.array([[x, 0, w, 1]]), 224).any(0).nonzero()[0]
    assert columns[-1] + 1 == int(224 * x + 224 * w)


def test_boxes_are_united_and_clipped_to_the_frame():
    both = masks.raster(np.array([[0.0, 0.0, 0.5, 0.5], [0.25, 0.25, 0.9, 0.25]]), 8)
    assert both.sum() == 16 + 4 * 2
    assert both[2:4, 4:].all()


SIDE = st.floats(-0.5, 1.5)


@given(st.tuples(SIDE, SIDE, SIDE, SIDE), st.sampled_from(["xywh", "xyxy"]))
@example((0.5, 0.5, 1e-4, 0.3), "xywh")
def test_covers_agrees_with_raster(box, form):
    assert masks.covers(box, 224, form) == masks.raster(np.array([box]), 224, form).any()


ALIGNED = np.array([[0.25, 0.25, 0.5, 0.5]])


@pytest.mark.parametrize("name", ["dsol-solo", "dsol-duet", "dsol-synthetic", "spm-paper", "sspl"])
def test_a_map_of_raster_size_scores_one_on_its_own_box(name):
    drawn = masks.raster(ALIGNED, 224)[None].astype(float)
    assert masks.ious(PROTOCOLS[name], drawn, [ALIGNED]) == [1]


def test_the_median_rules_take_half_of_the_image():
    noise = np.random.default_rng(0).random((3, 224, 224))
    truth = np.ones((3, 224, 224), bool)
    assert foreground(PROTOCOLS["ez-vsl"], noise, truth).mean((1, 2)).tolist() == [0.5] * 3
    assert foreground(PROTOCOLS["lvs"], noise, truth).sum((1, 2)).tolist() == [25_087] * 3


def test_the_adaptive_rule_takes_the_area_of_the_truth_minus_one_pixel():
    noise = np.random.default_rng(0).permutation(224 * 224).reshape(1, 224, 224) / 224**2
    truth = masks.raster(np.array([[0.1, 0.2, 0.3, 0.4]]), 224)[None]
    assert foreground(PROTOCOLS["adaptive"], noise, truth).sum() == truth.sum() - 1


def test_a_fraction_of_the_maximum_is_not_a_fraction_of_the_range():
    halves = np.array([[[1.0, 0.6]]])
    truth = np.ones((1, 224, 224), bool)
    assert foreground(PROTOCOLS["dsol-synthetic"], halves, truth).all()
    assert 0 < foreground(PROTOCOLS["sspl"], halves, truth).mean() < 0.6


@pytest.mark.slow
@settings(max_examples=40)
@given(MAPS, st.sampled_from(sorted(PROTOCOLS)), st.randoms())
def test_scores_lie_in_0_1_and_follow_their_frames(maps, name, generator):
    boxes = [
        np.array([[generator.random() * 0.7, generator.random() * 0.7, 0.3, 0.3]]) for _ in maps
    ]
    ious = masks.ious(PROTOCOLS[name], maps, boxes)
    order = generator.sample(range(len(maps)), len(maps))
    assert ((ious >= 0) & (ious <= 1)).all()
    assert (
        masks.ious(PROTOCOLS[name], maps[order], [boxes[i] for i in order]) == ious[order]
    ).all()


@pytest.mark.slow
@settings(max_examples=40)
@given(MAPS, st.sampled_from(BILINEAR), st.lists(st.integers(0, 15), min_size=2, max_size=2))
def test_mirroring_map_and_box_does_not_change_the_score(maps, name, corner):
    x, y = np.array(corner) / 32
    box, mirrored = np.array([[x, y, 0.25, 0.5]]), np.array([[0.75 - x, y, 0.25, 0.5]])
    rules = PROTOCOLS[name]
    ious = masks.ious(rules, maps, [box] * len(maps))
    again = masks.ious(rules, np.ascontiguousarray(maps[:, :, ::-1]), [mirrored] * len(maps))
    assert (again == ious).all()


@settings(max_examples=30)
@given(MAPS, st.sampled_from(["lvs", "ez-vsl", "sspl", "adaptive"]))
def test_rules_on_the_range_ignore_a_power_of_two_as_gain(maps, name):
    boxes = [ALIGNED] * len(maps)
    assert (
        masks.ious(PROTOCOLS[name], 4 * maps, boxes) == masks.ious(PROTOCOLS[name], maps, boxes)
    ).all()


ANY = arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    elements=st.floats(-2, 2, width=32),
)


@settings(max_examples=60)
@given(ANY, st.sampled_from(BILINEAR), st.randoms(use_true_random=False))
def test_the_compiled_loops_equal_the_rules_on_whole_images_to_the_bit(maps, name, generator):
    protocol = PROTOCOLS[name]
    boxes = []
    for _ in maps:
        box = [generator.random() * 0.5, generator.random() * 0.5, 0.4, 0.3]
        boxes.append(np.array([box] * generator.randint(1, 2)))
    truth = np.stack([masks.raster(sides, protocol.raster_px) for sides in boxes])
    expected = metrics.iou(foreground(protocol, maps, truth), truth)
    assert (masks.ious(protocol, maps, boxes) == expected).all()


@pytest.mark.parametrize("range_exponent", [-45, -42, -38, -36, -34])
@pytest.mark.parametrize("name", BILINEAR)
def test_maps_of_a_tiny_range_are_scored_like_others(name, range_exponent):
    """The number of bins divided by such a range is no number of single precision."""
    rng, protocol = np.random.default_rng(0), PROTOCOLS[name]
    maps = (rng.random((2, 5, 7)) * 10.0**range_exponent).astype(np.float32)
    boxes = [ALIGNED] * len(maps)
    truth = np.stack([masks.raster(sides, protocol.raster_px) for sides in boxes])
    expected = metrics.iou(foreground(protocol, maps, truth), truth)
    assert (masks.ious(protocol, maps, boxes) == expected).all()


@pytest.mark.parametrize("name", ["ez-vsl", "lvs", "adaptive"])
@pytest.mark.parametrize("shape", [(3, 14, 14), (3, 224, 230)])
def test_ranks_are_exact_in_maps_of_any_spread(name, shape):
    """Equal values, and values of many magnitudes, for which interpolated thresholds are bad."""
    rng = np.random.default_rng(0)
    boxes = [np.array([[0.2, 0.3, 0.1, 0.2]])] * 3
    truth = np.stack([masks.raster(sides, 224) for sides in boxes])
    for maps in (rng.integers(0, 3, shape), np.exp(rng.normal(0, 9, shape)), np.ones(shape)):
        expected = metrics.iou(foreground(PROTOCOLS[name], maps, truth), truth)
        assert (masks.ious(PROTOCOLS[name], maps.astype(float), boxes) == expected).all()


def test_protocols_in_one_pass_score_as_each_alone():
    maps = np.random.default_rng(1).random((5, 14, 14), np.float32)
    rules = [PROTOCOLS[name] for name in BILINEAR]
    at_once = masks.overlaps(rules, maps, [ALIGNED] * 5).iou
    alone = [masks.ious(protocol, maps, [ALIGNED] * 5) for protocol in rules]
    assert (at_once == np.stack(alone, axis=1)).all()


def test_with_a_consensus_a_pixel_of_one_annotator_counts_half():
    two = np.array([[0.0, 0.0, 0.5, 1.0], [0.25, 0.0, 0.5, 1.0]])
    lit = masks.raster(np.array([[0.25, 0.0, 0.25, 1.0]]), 224)[None].astype(
        float
    )  # where both agree
    certain, all_truth = 56, 56 + 2 * 56 / 2  # columns
    found = masks.ious(PROTOCOLS["sspl"], lit, [two], annotators=2)
    assert found == pytest.approx(certain / all_truth)
    assert masks.ious(PROTOCOLS["sspl"], lit, [two]) == pytest.approx(1 / 3)


def test_two_corners_draw_the_same_pixels_as_corner_and_size():
    corners = np.array([[0.25, 0.25, 0.75, 0.75]])
    assert (masks.raster(corners, 224, "xyxy") == masks.raster(ALIGNED, 224)).all()


def test_resize_cubic_equals_torchs_with_aligned_corners():
    maps = np.random.default_rng(2).random((2, 7, 9), np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[:, None], (50, 50), mode="bicubic", align_corners=True
    )
    np.testing.assert_allclose(masks.resize_cubic(maps, 50), expected[:, 0].numpy(), atol=2e-6)


def test_resize_cubic_of_a_map_depends_neither_on_its_neighbours_nor_on_its_direction():
    """A matrix product does, on some processors: another pixel of a plateau is the hottest."""
    maps = np.zeros((3, 8, 8), np.float32)
    maps[0, 2:6, 2:6] = maps[1, 2:6, :4] = maps[2, 2:6, 4:] = 1
    images = masks.resize_cubic(maps, 224)
    for each in range(3):
        assert (masks.resize_cubic(maps[each : each + 1], 224)[0] == images[each]).all()
    assert (images[1] == images[2, :, ::-1]).all()
    assert (images[0] == images[0].T).all()


def test_resize_equals_opencvs_to_the_bit():
    maps = np.random.default_rng(3).random((20, 14, 14), np.float32)
    assert (
        masks.resize(maps, 224) == np.stack([cv2.resize(cells, (224, 224)) for cells in maps])
    ).all()


def test_lvs_always_takes_the_maximum_and_other_rules_may_not():
    flat = np.ones((1, 224, 224))
    flat[0, :60] = 0
    truth = np.ones((1, 224, 224), bool)
    assert foreground(PROTOCOLS["lvs"], flat, truth).sum() == 164 * 224
    assert foreground(PROTOCOLS["adaptive"], flat, masks.raster(ALIGNED, 224)[None]).sum() == 0


def test_swapped_precision_equals_scikit_learns_with_swapped_arguments():
    maps = np.random.default_rng(4).random((4, 14, 14), np.float32)
    rules = PROTOCOLS["sspl"]
    found = masks.overlaps([rules], maps, [ALIGNED] * 4).swapped_precision(224**2)[:, 0]
    truth = np.stack([masks.raster(ALIGNED, 224)] * 4)
    predicted = foreground(rules, maps, truth)
    expected = [
        sklearn_metrics.average_precision_score(p.ravel(), t.ravel())
        for p, t in zip(predicted, truth, strict=True)
    ]
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_size_of_a_batch_changes_nothing(monkeypatch):
    maps = np.random.default_rng(0).random((7, 14, 14))
    whole = masks.ious(PROTOCOLS["ez-vsl"], maps, [ALIGNED] * 7)
    monkeypatch.setattr(masks, "BATCH", 3)
    assert (masks.ious(PROTOCOLS["ez-vsl"], maps, [ALIGNED] * 7) == whole).all()


def test_maps_that_cannot_be_scored_raise_an_error():
    protocol = PROTOCOLS["dsol-solo"]
    with pytest.raises(ValueError, match=r"not \(14, 14\)"):
        masks.ious(protocol, np.ones((14, 14)), [ALIGNED] * 14)
    with pytest.raises(ValueError, match="finite"):
        masks.ious(protocol, np.full((1, 14, 14), np.nan), [ALIGNED])
    with pytest.raises(ValueError, match="1 lists of boxes for 2 maps"):
        masks.ious(protocol, np.ones((2, 14, 14)), [ALIGNED])


@settings(max_examples=20)
@given(MAPS)
def test_inactive_fractions_equal_a_count_on_resized_maps(maps):
    counted = (masks.resize(maps, 50) <= np.float32(0.2)).mean((1, 2))
    assert (masks.inactive_fractions(maps, 50, 0.2) == counted).all()


@settings(max_examples=30)
@given(MAPS, st.sampled_from(["spm-paper", "avgn"]), st.integers(1, 2))
def test_hits_are_those_of_the_pointing_game(maps, name, annotators):
    """One annotator's box is enough, whatever the consensus."""
    boxes = [np.array([[0.1, 0.2, 0.3, 0.4], [0.3, 0.3, 0.4, 0.1]])] * len(maps)
    truth = np.stack([masks.raster(sides, 224) for sides in boxes])
    expected = metrics.pointing_game(masks.resized(PROTOCOLS[name], maps), truth)
    found = masks.overlaps([PROTOCOLS[name]], maps, boxes, annotators=annotators).hits
    assert found.tolist() == expected.tolist()
