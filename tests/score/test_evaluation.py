from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spm.boxes.benchmarks import Box
from spm.score import evaluation, metrics
from spm.score.evaluation import Predictions, Truth
from spm.score.protocols import PROTOCOLS

CLASSES = ("cello", "flute", "tuba", "violin")
BOXES = [
    [Box("cello", (0.0, 0.25, 0.5, 0.5)), Box("flute", (0.5, 0.0, 0.25, 0.75))],
    [Box("tuba", (0.25, 0.25, 0.5, 0.5))],
    [Box("flute", (0.1, 0.1, 0.6, 0.3)), Box("flute", (0.4, 0.5, 0.2, 0.4))],
]


def drawn(seed: int) -> Predictions:
    maps = np.random.default_rng(seed).random((len(BOXES), len(CLASSES), 7, 7), np.float32)
    return Predictions(range(len(BOXES)), list("abb"), maps.max(1), maps, CLASSES)


def found(name, maps, boxes=BOXES, form="xywh"):
    return evaluation.score([PROTOCOLS[name]], maps, Truth(dict(enumerate(boxes)), form))[name]


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 99),
    st.permutations(range(len(CLASSES))),
    st.sampled_from(["dsol-duet", "avgn", "spm-paper"]),
)
def test_the_order_of_classes_changes_nothing(seed, order, name):
    maps = drawn(seed)
    turned = replace(
        maps, by_class=maps.by_class[:, order], classes=tuple(CLASSES[n] for n in order)
    )
    (_, one), (_, other) = found(name, maps), found(name, turned)
    assert (one.ious == other.ious).all()
    assert one.nsa is other.nsa is None or one.nsa == pytest.approx(other.nsa)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.permutations(range(len(BOXES))), st.sampled_from(sorted(PROTOCOLS)))
def test_the_order_of_frames_only_orders_the_scores(seed, order, name):
    maps = drawn(seed)
    turned = replace(maps, single=maps.single[order], by_class=maps.by_class[order])
    (_, one), (_, other) = found(name, maps), found(name, turned, [BOXES[n] for n in order])
    assert (one.ious[order] == other.ious).all()


def test_several_protocols_at_once_are_each_alone():
    maps, truth = drawn(0), Truth(dict(enumerate(BOXES)))
    together = evaluation.score(list(PROTOCOLS.values()), maps, truth)
    assert list(together) == list(PROTOCOLS)
    for name, (selection, scored) in together.items():
        alone = found(name, maps)[1]
        assert len(selection.frames) == 3
        assert (scored.ious == alone.ious).all()
        assert (
            (scored.precision is None)
            == (alone.precision is None)
            == (PROTOCOLS[name].precision == "none")
        )


def test_two_corners_are_the_same_truth_as_corner_and_size():
    def two(box):
        x, y, w, h = box.sides
        return Box(box.category, (x, y, x + w, y + h))

    corners = [[two(box) for box in some] for some in BOXES]
    one, other = found("dsol-solo", drawn(1)), found("dsol-solo", drawn(1), corners, "xyxy")
    assert (one[1].ious == other[1].ious).all()


def test_boxes_read_as_two_corners_are_missed_where_they_cover_nothing_and_never_left_out():
    boxes = [[Box("cello", (0.5, 0.5, 0.4, 0.4))], [], [Box("cello", (0.2, 0.2, 0.7, 0.7))]]
    selection, scored = found("avgn-as-coded", drawn(2), boxes)
    assert selection.frames == [0, 2]
    assert scored.ious[0] == 0 < scored.ious[1]
    assert dict(selection.left_out) == {"no box": 1}


def test_a_protocols_grid_is_the_one_of_its_auc():
    scored = evaluation.from_ious(np.array([0.1, 0.6, 0.8]))
    coarse = replace(PROTOCOLS["sspl"], auc_steps=2)
    assert evaluation.figures(scored, coarse)["auc"] == pytest.approx(
        metrics.auc(scored.ious, [0, 0.5, 1])
    )
    assert evaluation.figures(scored, PROTOCOLS["sspl"])["auc"] == pytest.approx(
        metrics.auc(scored.ious)
    )
