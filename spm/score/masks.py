"""From heat maps and boxes to masks on one raster, and how far the two agree: what a protocol says, done to arrays.

`foreground` and `raster` say it in whole images; `overlaps` does the same in compiled loops, to the same bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from spm.score import kernels
from spm.score.metrics import Doubles, Floats, Mask
from spm.score.protocols import Form, Normalize, Protocol, Rule

BATCH = 64  # maps at once: bounds the memory of those that are enlarged before

Maps = NDArray[np.float32]


def _taps(cells: int, px: int) -> kernels.Taps:
    """Cell before and after each pixel's centre, clamped at the border, and the share of the one after; each (px,)."""
    centre = (np.arange(px) + 0.5) * (cells / px) - 0.5
    position = np.clip(centre, 0, cells - 1).astype(np.float32)
    before = np.floor(position).astype(np.int64)
    return kernels.Taps(
        before, np.minimum(before + 1, cells - 1), position - before.astype(np.float32)
    )


def resize(maps: Floats, px: int) -> Maps:
    """Resize maps (…, h, w) to (…, px, px) by bilinear interpolation with half-pixel centres.

    The same sums as OpenCV's INTER_LINEAR on float32, to the bit: columns first, a + (b - a) · share, rounded once.
    """

    def between(a: Maps, b: Maps, share: Maps) -> Maps:
        return np.asarray((b - a).astype(np.float64) * share + a, np.float32)

    before, after, share = _taps(maps.shape[-1], px)
    values = maps.astype(np.float32)
    wide = between(values[..., before], values[..., after], share)  # (…, h, px)
    before, after, share = _taps(maps.shape[-2], px)
    return between(wide[..., before, :], wide[..., after, :], share[:, None])


def _cubic(cells: int, px: int) -> Maps:
    """Weights (px, cells) of bicubic interpolation with aligned corners and a = -0.75, as torch's and OpenCV's."""
    position = np.linspace(0, cells - 1, px)
    weights = np.zeros((px, cells))
    for tap in range(-1, 3):
        cell = np.floor(position) + tap
        far = np.abs(position - cell)
        near = (1.25 * far - 2.25) * far**2 + 1
        weight = np.where(far <= 1, near, ((-0.75 * far + 3.75) * far - 6) * far + 3)
        np.add.at(weights, (np.arange(px), np.clip(cell, 0, cells - 1).astype(np.intp)), weight)
    return weights.astype(np.float32)


def resize_cubic(maps: Floats, px: int) -> Maps:
    """Resize maps (…, h, w) to (…, px, px) by bicubic interpolation with aligned corners."""
    rows, columns = _cubic(maps.shape[-2], px), _cubic(maps.shape[-1], px)
    return np.asarray(
        np.einsum("ih,...hw,jw->...ij", rows, maps.astype(np.float32), columns, optimize=True)
    )


def edges(boxes: Floats, px: int, form: Form = "xywh") -> NDArray[np.int64]:
    """Left, top, right and bottom pixel edges, shape (k, 4), of boxes (k, 4) in fractions of the frame.

    As DSOL draws them: both corners are scaled before they are added, then truncated. Truncating (x + w) · px
    instead moves an edge of one box in four hundred by a pixel: enough to miss a published score.
    """
    scaled = px * np.asarray(boxes, np.float64).reshape(-1, 4)
    ends = scaled[:, 2:] + (scaled[:, :2] if form == "xywh" else 0)
    return np.clip(np.hstack([scaled[:, :2], ends]), 0, px).astype(np.int64)


def raster(boxes: Floats, px: int, form: Form = "xywh") -> Mask:
    """Union of boxes (k, 4), fractions of the frame, on a square raster; shape (px, px)."""
    mask = np.zeros((px, px), bool)
    for left, top, right, bottom in edges(boxes, px, form):
        mask[top:bottom, left:right] = True
    return mask


def covers(box: Sequence[float], px: int, form: Form = "xywh") -> bool:
    """Whether a box covers a pixel once its `edges` are truncated."""
    x, y, right, bottom = (px * side for side in box)
    if form == "xywh":
        right, bottom = x + right, y + bottom
    return int(min(max(x, 0), px)) < int(min(right, px)) and int(min(max(y, 0), px)) < int(
        min(bottom, px)
    )


def _normalized(pixels: Maps, how: str) -> Maps:
    """Stretch each map (n, pixels) to [0, 1]; a constant one stays as it is, as in the peers' code."""
    low, high = pixels.min(1, keepdims=True), pixels.max(1, keepdims=True)
    span = np.where(high > low, high - low, 1)
    stretched = {
        "none": pixels,
        "minmax": (pixels - low) / span,
        "minmax-of-negative": np.float32(1) - (high - pixels) / span,
    }[how]
    return np.where(high > low, stretched, pixels)


def _threshold(protocol: Protocol, pixels: Maps, truth: Mask) -> Maps:
    """Value that separates foreground from background in each map (n, pixels); shape (n, 1)."""
    size = pixels.shape[1]
    if protocol.rule == "value":
        return np.full((len(pixels), 1), protocol.level, np.float32)
    if protocol.rule == "maximum":
        return np.asarray(np.float32(protocol.level) * pixels.max(1, keepdims=True))
    areas = np.count_nonzero(truth, axis=(1, 2))
    areas[areas == 0] = size // 2  # as the peers' code
    rank = (
        np.full(len(pixels), int(size * protocol.level))
        if protocol.rule == "rank"
        else size - areas
    )
    return np.take_along_axis(np.sort(pixels, axis=1), rank[:, None], axis=1)


def foreground(protocol: Protocol, maps: Floats, truth: Mask) -> Mask:
    """Pixels that a protocol takes a map to point at.

    Parameters
    ----------
    protocol : Protocol
    maps : float array, shape (n, h, w)
        Heat maps of any size; finite.
    truth : bool array, shape (n, raster_px, raster_px)
        Only its area is looked at, and only by the rule "truth-area".

    Returns
    -------
    bool array, shape (n, raster_px, raster_px)

    Raises
    ------
    ValueError
        If the shapes do not fit or a map holds NaN or infinity.
    """
    raster_shape = (len(maps), protocol.raster_px, protocol.raster_px)
    if maps.ndim != 3 or truth.shape != raster_shape:
        raise ValueError(
            f"maps (n, h, w) and truth {raster_shape} expected, not {maps.shape} and {truth.shape}"
        )
    if not np.isfinite(maps).all():
        raise ValueError("finite maps expected")
    raw = enlarged(protocol, maps).reshape(len(maps), -1)
    pixels = _normalized(raw, protocol.normalize)
    threshold = _threshold(protocol, pixels, truth)
    chosen = pixels > threshold if protocol.strict else pixels >= threshold
    if protocol.peak:
        chosen |= raw == raw.max(1, keepdims=True)
    return np.asarray(chosen.reshape(raster_shape))


def enlarged(protocol: Protocol, maps: Floats) -> Maps:
    """Maps (…, h, w) at the size of the protocol's raster."""
    return (resize if protocol.resize == "bilinear" else resize_cubic)(maps, protocol.raster_px)


def _rules(protocols: Sequence[Protocol]) -> kernels.Rules:
    kinds, stretches = get_args(Rule), get_args(Normalize)
    return kernels.Rules(
        np.array([kinds.index(protocol.rule) for protocol in protocols]),
        np.array([protocol.level for protocol in protocols], np.float32),
        np.array([stretches.index(protocol.normalize) for protocol in protocols]),
        np.array([protocol.strict for protocol in protocols]),
        np.array([protocol.peak for protocol in protocols]),
    )


@dataclass(frozen=True)
class Overlaps:
    """Foreground of each map inside and outside of its truth under each protocol, in half pixels, so that 2 is one."""

    inside: NDArray[np.int64]  # (n, p)
    outside: NDArray[np.int64]  # (n, p)
    truth: NDArray[np.int64]  # (n, 1)

    @property
    def iou(self) -> Doubles:
        """|P ∩ G| / |P ∪ G|, shape (n, p), in [0, 1]; 0 where there is neither."""
        return np.asarray(self.inside / np.maximum(self.truth + self.outside, 1), np.float64)

    def swapped_precision(self, pixels: int) -> Doubles:
        """AP with its arguments swapped, (n, p): the binary truth ranks the pixels, the foreground is what is sought.

        Two ranks make two steps: the truth's own precision and recall, then everything.
        """
        sought = np.maximum(self.inside + self.outside, 1)
        recall, precision = self.inside / sought, self.inside / np.maximum(self.truth, 1)
        return np.asarray(recall * precision + (1 - recall) * sought / (2 * pixels), np.float64)


def overlaps(
    protocols: Sequence[Protocol],
    maps: Floats,
    boxes: Sequence[Floats],
    *,
    form: Form = "xywh",
    annotators: int = 1,
) -> Overlaps:
    """Hold each map against its boxes under several protocols at once; it is enlarged once for all of them.

    Parameters
    ----------
    protocols : p protocols
        Alike in `raster_px`, `resize` and `boxes`.
    maps : float array, shape (n, h, w)
        Finite.
    boxes : n float arrays, shape (k, 4)
        In fractions of the frame; where they cover no pixel, there is no truth, and the IoU is 0.
    form : str
        What the four numbers are: x, y, w, h (top left corner and size), or the two corners x, y, x, y.
    annotators : int
        How many boxes make a pixel certain: 1, the union; 2, the consensus of Flickr-SoundNet, where a pixel in one
        box counts half.

    Raises
    ------
    ValueError
        If the lengths differ, or a map holds NaN or infinity.
    """
    how = protocols[0]
    if len(maps) != len(boxes):
        raise ValueError(
            f"boxes for each map expected: {len(maps)} maps, {len(boxes)} lists of boxes"
        )
    if maps.ndim != 3 or not np.isfinite(maps).all():
        raise ValueError(f"finite maps (n, h, w) expected, not {maps.shape}")
    parts = []
    for start in range(0, max(len(maps), 1), BATCH):
        part = slice(start, start + BATCH)
        ready = (
            np.asarray(maps[part], np.float32)
            if how.resize == "bilinear"
            else enlarged(how, maps[part])
        )
        parts.append(_counted(protocols, ready, boxes[part], how.boxes or form, annotators))
    return Overlaps(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _counted(
    protocols: Sequence[Protocol], maps: Maps, boxes: Sequence[Floats], form: Form, annotators: int
) -> tuple[NDArray[np.int64], ...]:
    px, starts = protocols[0].raster_px, np.cumsum([0, *map(len, boxes)])
    rows, columns = (_taps(cells, px) for cells in maps.shape[1:])
    drawn = edges(np.concatenate([np.empty((0, 4)), *boxes]), px, form)
    inside, outside, truth = kernels.overlaps(
        maps, rows, columns, drawn, starts, annotators, _rules(protocols)
    )
    return inside, outside, truth[:, None]


def ious(protocol: Protocol, maps: Floats, boxes: Sequence[Floats], **truth: Any) -> Doubles:
    """IoU of each map with the union of its boxes: `overlaps` under one protocol, shape (n,).

    Examples
    --------
    A map that lights the left half, against a box on the left quarter:

    >>> from spm.score.protocols import named
    >>> left = np.array([[[1.0, 1.0, 0.0, 0.0]] * 4])
    >>> ious(named("sspl"), left, [np.array([[0, 0, 0.25, 1]])])
    array([0.5])
    """
    return overlaps([protocol], maps, boxes, **truth).iou[:, 0]


def dark(protocol: Protocol, maps: Floats) -> Doubles:
    """Fraction of the pixels of each map (n, classes, h, w) that `nsa_at` calls dark, once resized; (n, classes)."""
    rows, columns = (_taps(cells, protocol.raster_px) for cells in maps.shape[2:])
    flat = np.asarray(maps, np.float32).reshape(-1, *maps.shape[2:])
    return np.asarray(
        kernels.dark(flat, rows, columns, np.float32(protocol.nsa_at)).reshape(maps.shape[:2])
    )
