"""The inner loops of scoring, compiled: a frame at a time, enlarged once for all protocols, whatever their number.

`spm.score.masks` says in arrays what these loops do in pixels; the tests hold one against the other, bit for bit.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

BINS = 4096  # of the histogram in which an order statistic is looked for

# As they stand in spm.score.protocols: Rule, where the threshold comes from, and Normalise, what is done before.
MAXIMUM, VALUE, RANK, TRUTH_AREA = range(4)
NOTHING, STRETCH, STRETCH_NEGATIVE = range(3)


class Rules(NamedTuple):
    """Protocols as columns, (p,) each."""

    kind: NDArray[np.int64]
    level: NDArray[np.float32]
    stretch: NDArray[np.int64]
    strict: NDArray[np.bool_]
    peak: NDArray[np.bool_]  # pixels at the maximum always count


class Taps(NamedTuple):
    """Cell before and after each pixel's centre, and the share of the one after; (px,) each."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    share: NDArray[np.float32]


@njit(cache=True)
def _between(a: Any, b: Any, share: Any) -> Any:
    """Interpolate, a + (b - a) · share, with one rounding at the end, as a fused multiply-add has it."""
    return np.float32(np.float64(b - a) * np.float64(share) + np.float64(a))


@njit(cache=True)
def _enlarge(cells: Any, rows: Any, columns: Any, wide: Any, out: Any) -> None:
    """(h, w) → (px, px), columns first; `wide`, (h, px), is scratch."""
    for i in range(cells.shape[0]):
        for j in range(wide.shape[1]):
            wide[i, j] = _between(cells[i, columns.before[j]], cells[i, columns.after[j]], columns.share[j])
    for i in range(out.shape[0]):
        above, below, share = wide[rows.before[i]], wide[rows.after[i]], rows.share[i]
        for j in range(out.shape[1]):
            out[i, j] = _between(above[j], below[j], share)


@njit(cache=True)
def _element(pixels: Any, rank: int, low: Any, high: Any, counts: Any) -> Any:
    """Element `rank` of the sorted pixels: the bin of a histogram that holds it is all that is sorted."""
    if high == low:
        return low
    scale = (BINS - 1) / (np.float64(high) - np.float64(low))
    counts[:] = 0
    for value in pixels:
        counts[int((np.float64(value) - low) * scale)] += 1
    below, wanted = 0, 0
    while below + counts[wanted] <= rank:
        below += counts[wanted]
        wanted += 1
    held = np.empty(counts[wanted], np.float32)
    n = 0
    for value in pixels:
        if int((np.float64(value) - low) * scale) == wanted:
            held[n] = value
            n += 1
    held.sort()
    return held[rank - below]


@njit(cache=True)
def _stretched(value: Any, stretch: int, low: Any, high: Any) -> Any:
    if stretch == NOTHING or high == low:
        return value
    if stretch == STRETCH:
        return (value - low) / (high - low)
    return np.float32(1) - (high - value) / (high - low)


@njit(cache=True)
def _threshold(rules: Any, which: int, pixels: Any, low: Any, high: Any, truth: Any, counts: Any) -> Any:
    kind, level = rules.kind[which], rules.level[which]
    if kind == VALUE:
        return level
    if kind == MAXIMUM:
        return level * _stretched(high, rules.stretch[which], low, high)
    rank = int(pixels.size * level) if kind == RANK else pixels.size - (truth if truth else pixels.size // 2)
    return _stretched(_element(pixels, rank, low, high, counts), rules.stretch[which], low, high)


@njit(cache=True)
def _count(pixels: Any, weight: Any, rules: Any, which: int, threshold: Any, low: Any, high: Any) -> Any:
    """Foreground inside the truth, in its units, and foreground outside of it, in pixels."""
    stretch, strict, peak = rules.stretch[which], rules.strict[which], rules.peak[which]
    inside, outside = 0, 0
    for n in range(pixels.size):
        value = _stretched(pixels[n], stretch, low, high)
        found = (value > threshold if strict else value >= threshold) or (peak and pixels[n] == high)
        inside += found * weight[n]
        outside += found * (weight[n] == 0)
    return inside, outside


@njit(cache=True)
def _draw(edges: Any, full: int, weight: Any) -> None:
    """How many of the boxes (k, 4) cover each pixel, at most `full`, in units of which 2 are certain."""
    weight[:] = 0
    for k in range(len(edges)):
        left, top, right, bottom = edges[k]
        for i in range(top, bottom):
            for j in range(left, right):
                weight[i, j] = min(weight[i, j] + 3 - full, 2)


@njit(cache=True)
def overlaps(
    maps: Any, rows: Any, columns: Any, edges: Any, starts: Any, full: int, rules: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count each map's foreground inside and outside of its truth under each rule.

    Parameters
    ----------
    maps : float32 array, shape (n, h, w)
    rows, columns : Taps
        From h and from w cells to px pixels.
    edges : int array, shape (k, 4)
        Left, top, right and bottom pixel edges of all boxes, frame after frame.
    starts : int array, shape (n + 1,)
        Where each frame's boxes begin.
    full : int
        How many boxes make a pixel certain: 1, the union; 2, the consensus of Flickr-SoundNet's annotators.
    rules : Rules

    Returns
    -------
    inside : (n, p)
        Truth in the foreground, in half pixels.
    outside : (n, p)
        Foreground where there is no truth at all, in half pixels.
    truth : (n,)
        In half pixels.
    """
    px, n, p = len(rows.before), len(maps), len(rules.kind)
    wide, image = np.empty((maps.shape[1], px), np.float32), np.empty((px, px), np.float32)
    weight, counts = np.empty((px, px), np.uint8), np.empty(BINS, np.int64)
    inside, outside, truth = np.empty((n, p), np.int64), np.empty((n, p), np.int64), np.empty(n, np.int64)
    for frame in range(n):
        _enlarge(maps[frame], rows, columns, wide, image)
        _draw(edges[starts[frame] : starts[frame + 1]], full, weight)
        pixels, flat = image.ravel(), weight.ravel()
        low, high, area = pixels.min(), pixels.max(), np.count_nonzero(flat)
        truth[frame] = flat.sum()
        for which in range(p):
            threshold = _threshold(rules, which, pixels, low, high, area, counts)
            found, strayed = _count(pixels, flat, rules, which, threshold, low, high)
            inside[frame, which], outside[frame, which] = found, 2 * strayed
    return inside, outside, truth


@njit(cache=True)
def dark(maps: Any, rows: Any, columns: Any, level: Any) -> NDArray[np.float64]:
    """Fraction of the pixels of each map (n, h, w) that are at most `level`, once enlarged: (n,)."""
    px = len(rows.before)
    wide, image = np.empty((maps.shape[1], px), np.float32), np.empty((px, px), np.float32)
    found = np.empty(len(maps))
    for n in range(len(maps)):
        _enlarge(maps[n], rows, columns, wide, image)
        found[n] = np.count_nonzero(image <= level) / image.size
    return found
