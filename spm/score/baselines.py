"""Trivial baselines that a score is compared with, and the oracle as an upper end.

A region is a binary mask that needs neither sound nor a network: the whole image, a square in the
middle, the place that most boxes cover. Thresholding does not change it, so its IoU is the same
under all protocols. The oracle is a map drawn from the truth, on the grid of the run's maps, and
thresholded as they are.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from spm.boxes.formats.frames import Form
from spm.score import kernels, masks, metrics
from spm.score.metrics import Doubles, Floats, Mask
from spm.score.protocols import Protocol

SQUARES = (0.25, 0.35, 0.5)  # fractions of the image


def centre_square(area: float, px: int) -> Mask:
    """Square in the middle that covers about `area` (a fraction) of the image, shape (px, px)."""
    side = int(px * sqrt(area))
    start = (px - side) // 2
    mask = np.zeros((px, px), bool)
    mask[start : start + side, start : start + side] = True
    return mask


def prior(boxes: Floats, px: int) -> Doubles:
    """Fraction of the boxes (k, 4) that cover each pixel, shape (px, px); k > 0.

    A two-dimensional difference array: each box adds ±1 at its four corners, and the cumulative
    sums are the number of boxes on each pixel.
    """
    left, top, right, bottom = masks.edges(boxes, px).T
    steps = np.zeros((px + 1, px + 1))
    np.add.at(steps, (top, left), 1)
    np.add.at(steps, (top, right), -1)
    np.add.at(steps, (bottom, left), -1)
    np.add.at(steps, (bottom, right), 1)
    covered: Doubles = steps.cumsum(0).cumsum(1)[:px, :px] / len(left)
    return covered


def mean_box(boxes: Floats, px: int, level: float = 0.4) -> Mask:
    """Where most boxes are: pixels above `level` of the maximum of their prior, shape (px, px).

    The published figure takes 0.4 absolutely. Relative to the maximum, the region is nearly the
    same on those boxes and never empty on others.
    """
    share = prior(boxes, px)
    return np.asarray(share > level * share.max())


def regions(training_boxes: Floats, px: int) -> dict[str, Mask]:
    """Every region by name; `mean-box` only if there are training boxes (k, 4)."""
    by_name = {"whole-image": np.ones((px, px), bool)}
    by_name |= {f"centre-square-{area:.0%}": centre_square(area, px) for area in SQUARES}
    if len(training_boxes):
        by_name["mean-box"] = mean_box(training_boxes, px)
    return by_name


def region_ious(regions: Sequence[Mask], boxes: Sequence[Floats], form: Form = "xywh") -> Doubles:
    """IoU of each of r regions (px, px) with the union of each frame's boxes, shape (n, r).

    It is 0 where the boxes cover no pixel.
    """
    chosen = np.stack(regions)
    sizes = np.count_nonzero(chosen, axis=(1, 2))
    parts = [np.empty((0, len(chosen)))]
    for start in range(0, len(boxes), masks.BATCH):
        truth = masks.rasters(boxes[start : start + masks.BATCH], chosen.shape[1], form)
        both = kernels.shared_pixels(truth, chosen)  # (batch, r)
        union = np.count_nonzero(truth, axis=(1, 2))[:, None] + sizes - both
        parts.append(metrics.ratio(both, union))
    return np.concatenate(parts)


def coverage(truth: Mask, height: int, width: int) -> Doubles:
    """Fraction of each cell of an h × w grid that is truth (n, px, px), (n, height, width)."""
    return np.asarray(kernels.coverage(truth, height, width))


def _decay(cells: int) -> Doubles:
    """exp(-distance / 2) between any two of `cells` cells in a row, shape (cells, cells)."""
    index = np.arange(cells)
    return np.asarray(np.exp(-np.abs(np.subtract.outer(index, index)) / 2))


def _nearness(covered: Doubles) -> Doubles:
    """How near each cell is to the truth, in (0, 1]: it ranks cells of equal coverage."""
    height, width = covered.shape[1:]
    near: Doubles = _decay(height) @ covered @ _decay(width)
    return np.asarray(near / np.maximum(near.max((1, 2), keepdims=True), np.finfo(float).tiny))


def drawings(
    truth: Mask, height: int, width: int, levels: Sequence[float]
) -> tuple[Doubles, Doubles, list[Doubles]]:
    """Maps drawn from the truth on an h × w grid, each of shape (n, height, width), in [0, 1].

    The first is 1 in the cells whose centre is truth, as is usual; the second in the cells that are
    mostly truth. The last is the coverage of the cells, for each level. Coverage crosses one half
    at the edge of a box, on any grid. A protocol that cuts at `level` of the maximum needs that
    crossing at `level`, so coverage is scaled by 2 · level, and raised to a peak of 1 inside the
    box.
    """
    covered = coverage(truth, height, width)
    ranked = (covered + 1e-3 * _nearness(covered)) / 1.001
    rows = ((np.arange(height) + 0.5) * truth.shape[1] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * truth.shape[1] / width).astype(int)
    centres = truth[:, rows][:, :, columns].astype(float)
    mostly = (covered >= 0.5).astype(float)
    peaked = [np.maximum(2 * min(level, 0.5) * ranked, ranked**8) for level in levels]
    return centres, mostly, peaked


def oracle_ious(
    protocols: Sequence[Protocol],
    boxes: Sequence[Floats],
    height: int,
    width: int,
    form: Form = "xywh",
) -> Doubles:
    """IoU of the best of the `drawings` for each frame's boxes under p protocols, shape (n, p).

    It shows how much the grid and the threshold allow. A better map than all of the drawings may
    exist, so it is a lower bound of the true ceiling. It lies well above the usual oracle alone
    (docs/protocols.md). The protocols share one pass, as in `evaluation.score`.
    """
    scores = [np.empty((0, len(protocols)))]
    px, read_as = protocols[0].raster_px, protocols[0].box_form or form
    levels = sorted({protocol.level for protocol in protocols})
    for start in range(0, len(boxes), masks.BATCH):
        batch = boxes[start : start + masks.BATCH]
        truth = masks.rasters(batch, px, read_as)
        centres, mostly, peaked = drawings(truth, height, width, levels)
        best = [masks.overlaps(protocols, maps, batch, form=form).iou for maps in (centres, mostly)]
        ious = np.maximum(*best)  # (batch, p)
        for level, maps in zip(levels, peaked, strict=True):
            chosen = [n for n, protocol in enumerate(protocols) if protocol.level == level]
            found = masks.overlaps([protocols[n] for n in chosen], maps, batch, form=form).iou
            ious[:, chosen] = np.maximum(ious[:, chosen], found)
        scores.append(ious)
    return np.concatenate(scores)
