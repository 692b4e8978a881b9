"""Evaluation protocols: how a heat map and the boxes of a frame become one score, by name.

A protocol is data. The same maps score 15 % or 40 % depending on it, so every score carries its protocol's name;
docs/protocols.md says who uses which.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spm.base.config import UserError
from spm.score import metrics
from spm.score.metrics import Doubles, Floats, Mask

BATCH = 16  # frames held at full size at once: 3 MB of float32 at 224 px stay in the processor's cache

Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Protocol:
    """What happens to one map and the boxes of one frame.

    Frames without a box are never scored: they are left out and counted, in every protocol here.
    """

    name: str
    source: str
    rule: Literal["maximum", "rank", "truth-area"]
    level: float | None  # maximum: fraction of the map's maximum; rank: fraction of its sorted pixels; truth-area: none
    strict: bool  # foreground is above the threshold; otherwise also at it
    normalise: Literal["none", "minmax"] = "none"  # before the threshold, after resizing
    merge: Literal["frame", "class"] = "frame"  # which boxes of a frame are united to one truth
    raster_px: int = 224  # maps are resized to it and boxes drawn on it; bilinear, half-pixel centres
    iou_at: float = 0.5
    ciou_at: float = 0.3
    nsa_at: float | None = None  # class-aware maps only: a silent class's pixel is dark up to here


DSOL = "Hu et al., NeurIPS 2020, music-exp"

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "spm-paper",
            "Eq. 7 of SPM, which names no threshold: that of DSOL, its basis, for one map a frame",
            rule="maximum", level=0.1, strict=True, merge="class",
        ),
        Protocol("dsol-solo", f"{DSOL}/tools.py", rule="maximum", level=0.1, strict=True),
        Protocol(
            "dsol-duet", f"{DSOL}/eval_duet.py",
            rule="maximum", level=0.2, strict=True, merge="class", nsa_at=0.2,
        ),
        Protocol(
            "dsol-synthetic", f"{DSOL}/eval.py",
            rule="maximum", level=0.5, strict=True, merge="class", nsa_at=0.2,
        ),
        Protocol(
            "lvs", "Chen et al., CVPR 2021, test.py",
            rule="rank", level=0.5, strict=True, normalise="minmax",
        ),
        Protocol(
            "ez-vsl", "Mo and Morgado, ECCV 2022, utils.py; also SLAVC and FNAC",
            rule="rank", level=0.5, strict=False, normalise="minmax",
        ),
        Protocol(
            "sspl", "Song et al., CVPR 2022, sspl_w_pcm/test.py",
            rule="maximum", level=0.5, strict=False, normalise="minmax",
        ),
        Protocol(
            "adaptive", "Senocak et al., ICCV 2023 (SSLalignment), test.py: cIoU_adap",
            rule="truth-area", level=None, strict=True, normalise="minmax",
        ),
    )
}  # fmt: skip


def named(name: str) -> Protocol:
    """Return the protocol of that name.

    Raises
    ------
    UserError
        If there is none; the message lists those there are.
    """
    if name not in PROTOCOLS:
        raise UserError(f"unknown protocol {name!r}: one of {', '.join(PROTOCOLS)} expected")
    return PROTOCOLS[name]


def _neighbours(cells: int, px: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Maps]:
    """Cell before and after each pixel's centre, clamped at the border, and the share of the one after; each (px,)."""
    centre = (np.arange(px) + 0.5) * (cells / px) - 0.5
    position = np.clip(centre, 0, cells - 1).astype(np.float32)
    before = np.floor(position).astype(np.intp)
    return before, np.minimum(before + 1, cells - 1), position - before.astype(np.float32)


def resize(maps: Floats, px: int) -> Maps:
    """Resize maps (…, h, w) to (…, px, px) by bilinear interpolation with half-pixel centres.

    The same sums as OpenCV's INTER_LINEAR on float32, columns first, for all frames at once. No matrix product: its
    rounding, and so the last bit of a score, would depend on the machine.
    """
    before, after, share = _neighbours(maps.shape[-1], px)
    values = maps.astype(np.float32)
    wide = values[..., before] * (1 - share) + values[..., after] * share  # (…, h, px)
    before, after, share = _neighbours(maps.shape[-2], px)
    share = share[:, None]
    return np.asarray(wide[..., before, :] * (1 - share) + wide[..., after, :] * share, np.float32)


def edges(boxes: Floats, px: int) -> NDArray[np.intp]:
    """Left, top, right and bottom pixel edges, shape (k, 4), of boxes (k, 4): x, y, w, h in fractions of the frame.

    As DSOL draws them: both corners are scaled before they are added, then truncated. Truncating (x + w) · px
    instead moves an edge of one box in four hundred by a pixel: enough to miss a published score.
    """
    scaled = px * np.asarray(boxes, np.float64).reshape(-1, 4)
    corners = np.hstack([scaled[:, :2], scaled[:, :2] + scaled[:, 2:]])
    return np.clip(corners, 0, px).astype(np.intp)


def raster(boxes: Floats, px: int) -> Mask:
    """Union of boxes (k, 4), x, y, w, h in fractions of the frame, on a square raster; shape (px, px)."""
    mask = np.zeros((px, px), bool)
    for left, top, right, bottom in edges(boxes, px):
        mask[top:bottom, left:right] = True
    return mask


def is_drawn(boxes: Floats, px: int) -> bool:
    """Whether at least one of the boxes (k, 4) covers a pixel once its edges are truncated."""
    left, top, right, bottom = edges(boxes, px).T
    return bool(((left < right) & (top < bottom)).any())


def _minmax(pixels: Maps) -> Maps:
    """Stretch each map (n, pixels) to [0, 1]; a constant one stays as it is, as in the peers' code."""
    low, high = pixels.min(1, keepdims=True), pixels.max(1, keepdims=True)
    varies = high > low
    return np.asarray((pixels - np.where(varies, low, 0)) / np.where(varies, high - low, 1), np.float32)


def _ordered(pixels: Maps, rank: NDArray[np.intp]) -> Maps:
    """Element `rank` (n,) of the sorted pixels of each map (n, pixels); shape (n, 1)."""
    kth = np.unique(rank)
    in_order = np.partition(pixels, kth[0], axis=1) if len(kth) == 1 else np.sort(pixels, axis=1)
    return np.take_along_axis(in_order, rank[:, None], axis=1)


def _threshold(protocol: Protocol, pixels: Maps, truth: Mask) -> Maps:
    """Value that separates foreground from background in each map (n, pixels); shape (n, 1)."""
    n, size = pixels.shape
    if protocol.level is None:
        return _ordered(pixels, size - np.count_nonzero(truth, axis=(1, 2)))
    if protocol.rule == "rank":
        return _ordered(pixels, np.full(n, int(size * protocol.level)))
    return np.asarray(np.float32(protocol.level) * pixels.max(1, keepdims=True))


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
        raise ValueError(f"maps (n, h, w) and truth {raster_shape} expected, not {maps.shape} and {truth.shape}")
    if not np.isfinite(maps).all():
        raise ValueError("finite maps expected")
    pixels = resize(maps, protocol.raster_px).reshape(len(maps), -1)
    pixels = _minmax(pixels) if protocol.normalise == "minmax" else pixels
    threshold = _threshold(protocol, pixels, truth)
    chosen = pixels > threshold if protocol.strict else pixels >= threshold
    return np.asarray(chosen.reshape(raster_shape))


def ious(protocol: Protocol, maps: Floats, boxes: Sequence[Floats]) -> Doubles:
    """IoU of each map with the union of its boxes, a batch at a time.

    Parameters
    ----------
    protocol : Protocol
    maps : float array, shape (n, h, w)
    boxes : n float arrays, shape (k, 4)
        x, y, w, h in fractions of the frame, top left corner and size; each must cover a pixel (`is_drawn`).

    Returns
    -------
    float array, shape (n,), in [0, 1]

    Examples
    --------
    A map that lights the left half, against a box on the left quarter:

    >>> left = np.array([[[1.0, 1.0, 0.0, 0.0]] * 4])
    >>> ious(PROTOCOLS["sspl"], left, [np.array([[0, 0, 0.25, 1]])])
    array([0.5])
    """
    if len(maps) != len(boxes):
        raise ValueError(f"boxes for each map expected: {len(maps)} maps, {len(boxes)} lists of boxes")
    scores = [np.empty(0)]
    for start in range(0, len(maps), BATCH):
        truth = np.stack([raster(some, protocol.raster_px) for some in boxes[start : start + BATCH]])
        scores.append(metrics.iou(foreground(protocol, maps[start : start + BATCH], truth), truth))
    return np.concatenate(scores)
