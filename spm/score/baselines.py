"""What a score has to be better than, and how far it could go.

A region needs no sound and no network: the whole image, a square in the middle, the place where boxes mostly are.
It is the answer itself, so no protocol thresholds it. The oracle is the other end: a map drawn from the truth on the
run's own coarse grid, thresholded as the run's maps are.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spm.score import masks
from spm.score.metrics import Doubles, Floats, Mask
from spm.score.protocols import Form, Protocol

SQUARES = (0.25, 0.35, 0.5)  # fractions of the image


def centre_square(area: float, px: int) -> Mask:
    """Square in the middle that covers about `area` (a fraction) of the image, shape (px, px)."""
    side = int(px * sqrt(area))
    start = (px - side) // 2
    mask = np.zeros((px, px), bool)
    mask[start : start + side, start : start + side] = True
    return mask


def prior(boxes: Floats, px: int) -> Doubles:
    """Fraction of the boxes (k, 4) that cover each pixel, shape (px, px); k > 0."""
    left, top, right, bottom = masks.edges(boxes, px).T
    steps = np.zeros((px + 1, px + 1))
    for row, column, sign in (
        (top, left, 1),
        (top, right, -1),
        (bottom, left, -1),
        (bottom, right, 1),
    ):
        np.add.at(steps, (row, column), sign)
    covered: Doubles = steps.cumsum(0).cumsum(1)[:px, :px] / len(left)
    return covered


def mean_box(boxes: Floats, px: int, level: float = 0.4) -> Mask:
    """Where boxes mostly are: pixels above `level` of the maximum of their prior, shape (px, px).

    The peers' figure takes 0.4 absolutely; relative to the maximum it is nearly the same on their boxes and never
    empty on others.
    """
    share = prior(boxes, px)
    return np.asarray(share > level * share.max())


def regions(training_boxes: Floats, px: int) -> dict[str, Mask]:
    """Every region by name; `mean-box` only if there are training boxes (k, 4) to take it from."""
    named = {"whole-image": np.ones((px, px), bool)}
    named |= {f"centre-square-{area:.0%}": centre_square(area, px) for area in SQUARES}
    if len(training_boxes):
        named["mean-box"] = mean_box(training_boxes, px)
    return named


def region_ious(region: Mask, boxes: Sequence[Floats], form: Form = "xywh") -> Doubles:
    """IoU of one region (px, px) with the union of each frame's boxes, shape (n,); 0 where they cover no pixel."""
    found = np.zeros(len(boxes))
    for number, some in enumerate(boxes):
        truth = masks.raster(some, len(region), form)
        found[number] = np.count_nonzero(region & truth) / np.count_nonzero(region | truth)
    return found


def _cell_means(values: NDArray[Any], cells: int) -> Doubles:
    """Mean over each of `cells` equal parts of the last axis, which they need not divide evenly."""
    px = values.shape[-1]
    bounds = np.arange(cells + 1) * px / cells
    before = bounds.astype(np.intp)
    sums = np.concatenate([np.zeros_like(values[..., :1], np.float64), values.cumsum(-1)], axis=-1)
    at_bounds = sums[..., before] + (bounds - before) * (
        sums[..., np.minimum(before + 1, px)] - sums[..., before]
    )
    return np.asarray(np.diff(at_bounds) * cells / px, np.float64)


def coverage(truth: Mask, height: int, width: int) -> Doubles:
    """Fraction of each cell of an h × w grid that is truth, shape (n, height, width)."""
    columns = _cell_means(truth, width)  # (n, px, width)
    return _cell_means(columns.swapaxes(1, 2), height).swapaxes(1, 2)


def _nearness(covered: Doubles) -> Doubles:
    """How near each cell is to the truth, in (0, 1]: it decides between cells that are all outside, or all inside."""
    fade = [
        np.exp(-np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / 2)
        for n in covered.shape[1:]
    ]
    near: Doubles = fade[0] @ covered @ fade[1]
    return np.asarray(near / np.maximum(near.max((1, 2), keepdims=True), np.finfo(float).tiny))


def drawings(truth: Mask, height: int, width: int, level: float) -> list[Doubles]:
    """Maps that an all-knowing hand would draw on an h x w grid, each shape (n, height, width), in [0, 1].

    The first lights the cells whose centre is truth, as is usual; the second those that are mostly truth. The third is
    their coverage, which crosses one half at the edge of a box whatever the grid; a protocol that cuts at `level` of
    the maximum wants that crossing at `level`, so coverage is drawn at 2 · level, under a peak that rises well inside.
    """
    covered = coverage(truth, height, width)
    drawn = (covered + 1e-3 * _nearness(covered)) / 1.001
    rows, columns = (
        ((np.arange(cells) + 0.5) * truth.shape[1] / cells).astype(int) for cells in (height, width)
    )
    centres = truth[:, rows][:, :, columns].astype(float)
    return [
        centres,
        (covered >= 0.5).astype(float),
        np.maximum(2 * min(level, 0.5) * drawn, drawn**8),
    ]


def oracle_ious(
    protocol: Protocol, boxes: Sequence[Floats], height: int, width: int, form: Form = "xywh"
) -> Doubles:
    """IoU of the best of the `drawings` for each frame's boxes, shape (n,): what grid and threshold let through.

    A map better than all of them may exist, so this is a floor under the true ceiling. It lies well above the usual
    oracle alone (docs/protocols.md).
    """
    scores = [np.empty(0)]
    for start in range(0, len(boxes), masks.BATCH):
        some = boxes[start : start + masks.BATCH]
        truth = np.stack(
            [masks.raster(one, protocol.raster_px, protocol.boxes or form) for one in some]
        )
        maps = drawings(truth, height, width, protocol.level)
        scores.append(
            np.max([masks.ious(protocol, drawn, some, form=form) for drawn in maps], axis=0)
        )
    return np.concatenate(scores)
