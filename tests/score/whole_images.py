"""The rules of the protocols, applied to whole images with NumPy: the compiled loops must agree."""

import numpy as np

from spm.score import masks
from spm.score.masks import Maps
from spm.score.metrics import Floats, Mask
from spm.score.protocols import Normalize, Protocol, Rule


def normalized(pixels: Maps, normalize: Normalize) -> Maps:
    """Stretch each map (n, pixels) to [0, 1]; a constant map stays as it is."""
    low, high = pixels.min(1, keepdims=True), pixels.max(1, keepdims=True)
    span = np.where(high > low, high - low, 1)
    stretched = {
        Normalize.NONE: pixels,
        Normalize.MINMAX: (pixels - low) / span,
        Normalize.MINMAX_OF_NEGATIVE: np.float32(1) - (high - pixels) / span,
    }[normalize]
    return np.where(high > low, stretched, pixels)


def threshold(protocol: Protocol, pixels: Maps, truth: Mask) -> Maps:
    """Threshold of each normalized map (n, pixels), shape (n, 1)."""
    size = pixels.shape[1]
    if protocol.rule == Rule.VALUE:
        return np.full((len(pixels), 1), protocol.level, np.float32)
    if protocol.rule == Rule.MAXIMUM:
        return np.float32(protocol.level) * pixels.max(1, keepdims=True)
    if protocol.rule == Rule.RANK:
        rank = np.full(len(pixels), int(size * protocol.level))
    else:
        areas = np.count_nonzero(truth, axis=(1, 2))
        areas[areas == 0] = size // 2  # as in the authors' code
        rank = size - areas
    return np.take_along_axis(np.sort(pixels, axis=1), rank[:, None], axis=1)


def foreground(protocol: Protocol, maps: Floats, truth: Mask) -> Mask:
    """Foreground of maps (n, h, w) under a protocol, shape (n, raster_px, raster_px).

    Only the area of `truth`, (n, raster_px, raster_px), counts, and only for TRUTH_AREA.
    """
    resized = masks.resized(protocol, maps).reshape(len(maps), -1)
    pixels = normalized(resized, protocol.normalize)
    level = threshold(protocol, pixels, truth)
    mask = pixels > level if protocol.strict else pixels >= level
    if protocol.peak:
        mask |= resized == resized.max(1, keepdims=True)
    return mask.reshape(truth.shape)
