"""From heat maps and boxes to foreground and truth on one raster, and how far the two agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spm.boxes.formats.frames import Form
from spm.score import kernels, metrics
from spm.score.kernels import NormalizeCode, RuleCode
from spm.score.metrics import Doubles, Floats, Mask
from spm.score.protocols import Normalize, Protocol, Resize, Rule

BATCH = 64  # maps that are resized at once outside the kernels: bounds the memory

Maps = NDArray[np.float32]

RULE_CODES = {
    Rule.MAXIMUM: RuleCode.MAXIMUM,
    Rule.VALUE: RuleCode.VALUE,
    Rule.RANK: RuleCode.RANK,
    Rule.TRUTH_AREA: RuleCode.TRUTH_AREA,
}
NORMALIZE_CODES = {
    Normalize.NONE: NormalizeCode.NONE,
    Normalize.MINMAX: NormalizeCode.MINMAX,
    Normalize.MINMAX_OF_NEGATIVE: NormalizeCode.MINMAX_OF_NEGATIVE,
}


def _taps(cells: int, px: int) -> kernels.Taps:
    """The two cells around each pixel's centre, clamped at the border."""
    centre = (np.arange(px) + 0.5) * (cells / px) - 0.5
    position = np.clip(centre, 0, cells - 1).astype(np.float32)
    cell = np.floor(position).astype(np.int64)
    bounds = np.flatnonzero(np.diff(cell, prepend=-1, append=cells))
    before, share = cell[bounds[:-1]], position - cell.astype(np.float32)
    return kernels.Taps(before, np.minimum(before + 1, cells - 1), bounds, share)


def resize(maps: Floats, px: int) -> Maps:
    """Resize maps (…, h, w) to (…, px, px) by bilinear interpolation with half-pixel centres.

    Equal to OpenCV's INTER_LINEAR on float32, bit by bit.
    """
    rows, columns = (_taps(cells, px) for cells in maps.shape[-2:])
    flat = np.asarray(maps, np.float32).reshape(-1, *maps.shape[-2:])
    return np.asarray(kernels.resized(flat, rows, columns).reshape(*maps.shape[:-2], px, px))


def _cubic_taps(cells: int, px: int) -> kernels.CubicTaps:
    """The four cells around each pixel, clamped at the border, with aligned corners.

    Keys' kernel with a = -0.75, as torch's and OpenCV's: cubic in the distance, one polynomial up
    to 1 and another up to 2.
    """
    position = np.linspace(0, cells - 1, px)[:, None]
    cell = np.floor(position) + np.arange(-1, 3)
    distance = np.abs(position - cell)
    near = (1.25 * distance - 2.25) * distance**2 + 1
    far = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
    weight = np.where(distance <= 1, near, far)
    return kernels.CubicTaps(np.clip(cell, 0, cells - 1).astype(np.int64), weight)


def resize_cubic(maps: Floats, px: int) -> Maps:
    """Resize maps (…, h, w) to (…, px, px) by bicubic interpolation with aligned corners.

    The same on each processor, whatever the number of maps: no matrix product, whose order of
    summation depends on both.
    """
    rows, columns = (_cubic_taps(cells, px) for cells in maps.shape[-2:])
    flat = np.asarray(maps, np.float32).reshape(-1, *maps.shape[-2:])
    images = kernels.resized_cubic(flat, rows, columns)
    return np.asarray(images.reshape(*maps.shape[:-2], px, px))


def resized(protocol: Protocol, maps: Floats) -> Maps:
    """Resize maps (n, h, w) to the protocol's raster, with its interpolation."""
    if protocol.resize == Resize.BILINEAR:
        return resize(maps, protocol.raster_px)
    return resize_cubic(maps, protocol.raster_px)


def edges(boxes: Floats, px: int, form: Form = "xywh") -> NDArray[np.int64]:
    """Left, top, right and bottom pixel edges, shape (k, 4), of boxes (k, 4) in [0, 1].

    As DSOL draws them: position and size are scaled before they are added, then the sum is
    truncated. Truncating (x + w) · px instead moves an edge of one box in four hundred by a pixel,
    and DSOL's own score is missed.
    """
    scaled = px * np.asarray(boxes, np.float64).reshape(-1, 4)
    ends = scaled[:, 2:] + (scaled[:, :2] if form == "xywh" else 0)
    return np.clip(np.hstack([scaled[:, :2], ends]), 0, px).astype(np.int64)


def raster(boxes: Floats, px: int, form: Form = "xywh") -> Mask:
    """Union of boxes (k, 4), in fractions of the frame, on a square raster; shape (px, px)."""
    return np.asarray(rasters([boxes], px, form)[0])


def rasters(boxes: Sequence[Floats], px: int, form: Form = "xywh") -> Mask:
    """`raster` of the boxes of each frame, shape (n, px, px)."""
    return np.asarray(kernels.drawn(*_all_edges(boxes, px, form), px)).view(np.bool_)


def _all_edges(
    boxes: Sequence[Floats], px: int, form: Form
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges of the boxes of all frames, (k, 4), and the first of each frame, (n + 1,)."""
    every = np.concatenate([np.empty((0, 4)), *boxes])
    return edges(every, px, form), np.cumsum([0, *map(len, boxes)])


def covers(box: Sequence[float], px: int, form: Form = "xywh") -> bool:
    """Whether a box covers a pixel once its `edges` are truncated.

    Plain numbers, as `edges` of one box at a time would dominate the time of a large test set.
    """
    left, top, right, bottom = (px * side for side in box)
    if form == "xywh":
        right, bottom = left + right, top + bottom
    wide = int(min(max(left, 0), px)) < int(min(right, px))
    return wide and int(min(max(top, 0), px)) < int(min(bottom, px))


def _rules(protocols: Sequence[Protocol]) -> kernels.Rules:
    return kernels.Rules(
        np.array([RULE_CODES[protocol.rule] for protocol in protocols]),
        np.array([protocol.level for protocol in protocols], np.float32),
        np.array([NORMALIZE_CODES[protocol.normalize] for protocol in protocols]),
        np.array([protocol.strict for protocol in protocols]),
        np.array([protocol.peak for protocol in protocols]),
    )


@dataclass(frozen=True)
class Overlaps:
    """Foreground of each map inside and outside of its truth under each protocol.

    Counts are in half pixels, because a pixel of one annotator alone counts half.
    """

    inside: NDArray[np.int64]  # (n, p)
    outside: NDArray[np.int64]  # (n, p)
    truth: NDArray[np.int64]  # (n, 1)
    hits: Doubles  # (n,): share of the hottest pixels that a box covers, whatever the protocol

    @property
    def iou(self) -> Doubles:
        """|P ∩ G| / |P ∪ G|, shape (n, p), in [0, 1]; 0 if both are empty."""
        return metrics.ratio(self.inside, self.truth + self.outside)

    def swapped_precision(self, pixels: int) -> Doubles:
        """Average precision with swapped arguments, (n, p): the truth ranks the pixels.

        The binary truth has two ranks, so there are two steps: the pixels of the truth, then all of
        the `pixels` of the raster.
        """
        foreground = np.maximum(self.inside + self.outside, 1)
        recall_of_truth = self.inside / foreground
        precision_of_truth = self.inside / np.maximum(self.truth, 1)
        rest = (1 - recall_of_truth) * foreground / (2 * pixels)
        return np.asarray(recall_of_truth * precision_of_truth + rest, np.float64)


def overlaps(
    protocols: Sequence[Protocol],
    maps: Floats,
    boxes: Sequence[Floats],
    *,
    form: Form = "xywh",
    annotators: int = 1,
) -> Overlaps:
    """Compare each map with its boxes under all given protocols; each map is resized once.

    Parameters
    ----------
    protocols : p protocols
        With the same `raster_px`, `resize` and `box_form`.
    maps : float array, shape (n, h, w)
        Finite.
    boxes : n float arrays, shape (k, 4)
        In fractions of the frame. Boxes that cover no pixel leave no truth, and the IoU is 0.
    form : Form
        What the four numbers of a box are, unless the protocols read them otherwise.
    annotators : int
        How many boxes make a pixel full truth: 1, the union; 2, the consensus of Flickr-SoundNet,
        in which a pixel in one box counts half.

    Raises
    ------
    ValueError
        If the lengths differ, or a map holds NaN or infinity.
    """
    first = protocols[0]
    if len(maps) != len(boxes):
        raise ValueError(
            f"expected boxes for each map, not {len(boxes)} lists of boxes for {len(maps)} maps"
        )
    if maps.ndim != 3 or not np.isfinite(maps).all():
        raise ValueError(f"expected finite maps (n, h, w), not {maps.shape}")
    parts = []
    for start in range(0, max(len(maps), 1), BATCH):
        batch = slice(start, start + BATCH)
        # the kernels resize bilinearly themselves; other interpolations come to them resized
        pixels = (
            np.asarray(maps[batch], np.float32)
            if first.resize == Resize.BILINEAR
            else resized(first, maps[batch])
        )
        parts.append(_counted(protocols, pixels, boxes[batch], first.box_form or form, annotators))
    return Overlaps(*(np.concatenate(counts) for counts in zip(*parts, strict=True)))


def _counted(
    protocols: Sequence[Protocol],
    maps: Maps,
    boxes: Sequence[Floats],
    form: Form,
    annotators: int,
) -> tuple[NDArray[np.int64] | Doubles, ...]:
    """The arrays of `Overlaps` for one batch."""
    px = protocols[0].raster_px
    rows, columns = (_taps(cells, px) for cells in maps.shape[1:])
    inside, outside, truth, hits = kernels.overlaps(
        maps, rows, columns, *_all_edges(boxes, px, form), annotators, _rules(protocols)
    )
    return inside, outside, truth[:, None], hits


def ious(
    protocol: Protocol,
    maps: Floats,
    boxes: Sequence[Floats],
    *,
    form: Form = "xywh",
    annotators: int = 1,
) -> Doubles:
    """IoU of each map with the union of its boxes: `overlaps` under one protocol, shape (n,).

    Examples
    --------
    A map whose left half is high, and a box on the left quarter:

    >>> from spm.score.protocols import find
    >>> left = np.array([[[1.0, 1.0, 0.0, 0.0]] * 4])
    >>> ious(find("sspl"), left, [np.array([[0, 0, 0.25, 1]])])
    array([0.5])
    """
    return overlaps([protocol], maps, boxes, form=form, annotators=annotators).iou[:, 0]


def shared_foreground(first: Floats, second: Floats, px: int, level: float) -> NDArray[np.int64]:
    """Pixels above `level` in both and in either of two maps (n, h, w) each, (n, 2).

    The maps are resized to (px, px) by bilinear interpolation first.
    """
    rows, columns = (_taps(cells, px) for cells in first.shape[1:])
    maps = [np.asarray(each, np.float32) for each in (first, second)]
    counts = kernels.shared_foreground(maps[0], maps[1], rows, columns, np.float32(level))
    return np.asarray(counts)


def inactive_fractions(maps: Floats, px: int, level: float) -> Doubles:
    """Fraction of the pixels of each map (n, h, w) that are at most `level`, shape (n,).

    The maps are resized to (px, px) by bilinear interpolation first. `metrics.nsa` is made of it.
    """
    rows, columns = (_taps(cells, px) for cells in maps.shape[1:])
    values = np.asarray(maps, np.float32)
    return np.asarray(kernels.inactive_fraction(values, rows, columns, np.float32(level)))
