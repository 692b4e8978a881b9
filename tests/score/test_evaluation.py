from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spm.boxes.formats.frames import Box
from spm.score import aggregation, evaluation, masks, metrics
from spm.score.evaluation import Predictions, Truth
from spm.score.protocols import PROTOCOLS, Precision
from tests.score.whole_images import foreground

CLASSES = ("cello", "flute", "tuba", "violin")
BOXES = [
    [Box("cello", (0.0, 0.25, 0.5, 0.5)), Box("flute", (0.5, 0.0, 0.25, 0.75))],
    [Box("tuba", (0.25, 0.25, 0.5, 0.5))],
    [Box("flute", (0.1, 0.1, 0.6, 0.3)), Box("flute", (0.4, 0.5, 0.2, 0.4))],
]


def random_maps(seed: int) -> Predictions:
    maps = np.random.default_rng(seed).random((len(BOXES), len(CLASSES), 7, 7), np.float32)
    videos = [("a",), ("b",), ("b",)]
    return Predictions(range(len(BOXES)), videos, maps.max(1), maps, CLASSES)


def score(name, predictions, boxes=BOXES, form="xywh"):
    truth = Truth(dict(enumerate(boxes)), form)
    return evaluation.score([PROTOCOLS[name]], predictions, truth)[name]


@settings(max_examples=20)
@given(
    st.integers(0, 99),
    st.permutations(range(len(CLASSES))),
    st.sampled_from(["dsol-duet", "avgn", "spm-paper"]),
)
def test_the_order_of_classes_changes_nothing(seed, order, name):
    maps = random_maps(seed)
    classes = tuple(CLASSES[n] for n in order)
    reordered = replace(maps, class_maps=maps.class_maps[:, order], classes=classes)
    (_, first), (_, second) = score(name, maps), score(name, reordered)
    assert (first.ious == second.ious).all()
    assert first.nsa is second.nsa is None or first.nsa == pytest.approx(second.nsa)


@settings(max_examples=20)
@given(st.integers(0, 99), st.permutations(range(len(BOXES))), st.sampled_from(sorted(PROTOCOLS)))
def test_the_scores_follow_the_order_of_the_frames(seed, order, name):
    maps = random_maps(seed)
    reordered = replace(maps, frame_maps=maps.frame_maps[order], class_maps=maps.class_maps[order])
    (_, first) = score(name, maps)
    (_, second) = score(name, reordered, [BOXES[n] for n in order])
    assert (first.ious[order] == second.ious).all()


def test_protocols_scored_at_once_score_as_each_alone():
    maps, truth = random_maps(0), Truth(dict(enumerate(BOXES)))
    at_once = evaluation.score(list(PROTOCOLS.values()), maps, truth)
    assert list(at_once) == list(PROTOCOLS)
    for name, (selection, scores) in at_once.items():
        _, alone = score(name, maps)
        assert len(selection.frames) == 3
        assert (scores.ious == alone.ious).all()
        has_precision = PROTOCOLS[name].precision != Precision.NONE
        assert (scores.pixel_ap is not None) == (alone.pixel_ap is not None) == has_precision


def test_two_corners_are_the_same_truth_as_corner_and_size():
    def to_corners(box):
        x, y, w, h = box.sides
        return Box(box.category, (x, y, x + w, y + h))

    corners = [list(map(to_corners, frame)) for frame in BOXES]
    _, first = score("dsol-solo", random_maps(1))
    _, second = score("dsol-solo", random_maps(1), corners, "xyxy")
    assert (first.ious == second.ious).all()


def test_avgn_as_coded_counts_frames_without_truth_as_missed_and_leaves_out_none():
    boxes = [[Box("cello", (0.5, 0.5, 0.4, 0.4))], [], [Box("cello", (0.2, 0.2, 0.7, 0.7))]]
    selection, scores = score("avgn-as-coded", random_maps(2), boxes)
    assert selection.frames == [0, 2]
    assert scores.ious[0] == 0 < scores.ious[1]
    assert dict(selection.left_out) == {"no box": 1}


def test_a_protocols_grid_is_the_grid_of_its_auc():
    scores = aggregation.from_ious(np.array([0.1, 0.6, 0.8]))
    coarse = replace(PROTOCOLS["sspl"], auc_steps=2)
    expected = metrics.auc(scores.ious, [0, 0.5, 1])
    assert aggregation.figures(scores, coarse)["auc"] == pytest.approx(expected)
    expected = metrics.auc(scores.ious)
    assert aggregation.figures(scores, PROTOCOLS["sspl"])["auc"] == pytest.approx(expected)


@settings(max_examples=20)
@given(st.integers(0, 99), st.sampled_from(sorted(PROTOCOLS)))
def test_the_figures_are_those_of_the_public_metrics(seed, name):
    """From masks to figures with `spm.score.metrics` alone, bit by bit."""
    protocol, maps = PROTOCOLS[name], random_maps(seed)
    selection, scores = score(name, maps)
    form = protocol.box_form or "xywh"
    truth = [masks.raster(target.boxes, 224, form) for target in selection.targets]
    target_maps, owners, sounding = [], [], np.zeros((3, len(CLASSES)), bool)
    for target in selection.targets:
        if protocol.class_aware:
            channel = CLASSES.index(*target.categories)
            target_maps.append(maps.class_maps[target.frame, channel])
            sounding[target.frame, channel] = True
        else:
            target_maps.append(maps.frame_maps[target.frame])
        owners.append(target.frame)
    predicted = foreground(protocol, np.stack(target_maps), np.stack(truth))
    target_ious = metrics.iou(predicted, np.stack(truth), allow_empty=True)
    ious = metrics.ciou(target_ious, owners, 3)
    figures, strict = aggregation.figures(scores, protocol), protocol.strict_success
    assert (scores.target_ious == target_ious).all()
    assert figures["mean_iou"] == ious.mean()
    assert figures["auc"] == metrics.auc(ious)
    assert figures["ciou@0.3"] == metrics.ciou_at(ious, 0.3, strict=strict)
    assert figures["iou@0.5"] == metrics.ciou_at(ious, 0.5, strict=strict)
    if protocol.nsa_at is not None:
        inactive = (masks.resize(maps.class_maps, 224) <= np.float32(0.2)).mean((2, 3))
        assert figures["nsa"] == metrics.nsa(inactive, sounding).mean()


def test_pixel_ap_under_avgn_is_the_class_aware_ap():
    """CAP: the mean over frames of the mean AP of their sounding classes."""
    maps = random_maps(3)
    selection, scores = score("avgn", maps)
    aps, owners = [], []
    for target in selection.targets:
        cells = maps.class_maps[target.frame, [CLASSES.index(*target.categories)]]
        truth = masks.raster(target.boxes, 224)[None]
        aps += metrics.pixel_ap(masks.resized(PROTOCOLS["avgn"], cells), truth).tolist()
        owners.append(target.frame)
    assert (scores.pixel_ap == metrics.ciou(aps, owners, 3)).all()
