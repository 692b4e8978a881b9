"""The inner loops of scoring, compiled: a frame at a time, enlarged once for all protocols, whatever their number.

`spm.score.masks` says in arrays what these loops do in pixels; the tests hold one against the other, bit for bit.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

BINS = 4096  # of the histogram in which an order statistic is looked for

# As they stand in spm.score.protocols: Rule, where the threshold comes from, and Normalize, what is done before.
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
def _widen(cells: Any, columns: Any, wide: Any) -> None:
    """(h, w) → (h, px).

    a + (b - a) · share, rounded once at the end as a fused multiply-add has it: in double precision products are exact.
    """
    for i in range(cells.shape[0]):
        for j in range(wide.shape[1]):
            a, b = cells[i, columns.before[j]], cells[i, columns.after[j]]
            wide[i, j] = np.float64(b - a) * np.float64(columns.share[j]) + np.float64(a)


@njit(cache=True)
def _enlarge(cells: Any, rows: Any, columns: Any, wide: Any, out: Any) -> None:
    """(h, w) → (px, px), columns first; `wide`, (h, px), is scratch."""
    _widen(cells, columns, wide)
    px = wide.shape[1]
    step, start, at = np.empty(px), np.empty(px), -1
    for i in range(out.shape[0]):
        if rows.before[i] != at:
            at = rows.before[i]
            step[:], start[:] = wide[rows.after[i]] - wide[at], wide[at]
        share = np.float64(rows.share[i])
        for j in range(px):
            out[i, j] = step[j] * share + start[j]


@njit(cache=True, fastmath={"nnan", "nsz"})
def _extremes(pixels: Any) -> Any:
    """Smallest and largest; pixels are known to be finite."""
    low = high = pixels[0]
    for value in pixels:
        low, high = min(low, value), max(high, value)
    return low, high


@njit(cache=True)
def _sort_into(bins: Any, place: Any, pixels: Any, low: Any, high: Any) -> None:
    """Histogram of the pixels in bins of about equal width, in the numbers' order; `place`: the bin of each."""
    scale = np.float32(BINS - 2) / (high - low) if high > low else np.float32(0)
    for n in range(pixels.size):
        place[n] = np.int16((pixels[n] - low) * scale)
    bins[:] = 0
    for one in place:
        bins[one] += 1


@njit(cache=True)
def _element(rank: int, bins: Any, place: Any, pixels: Any) -> Any:
    """Element `rank` of the sorted pixels: the bin that holds it is all that is sorted."""
    before, wanted = 0, np.int16(0)
    while before + bins[wanted] <= rank:
        before += bins[wanted]
        wanted += np.int16(1)
    held, n = np.empty(bins[wanted], np.float32), 0
    for at in range(place.size):
        if place[at] == wanted:
            held[n] = pixels[at]
            n += 1
    held.sort()
    return held[rank - before]


@njit(cache=True)
def _stretched(value: Any, stretch: int, low: Any, high: Any) -> Any:
    if stretch == NOTHING or high == low:
        return value
    if stretch == STRETCH:
        return (value - low) / (high - low)
    return np.float32(1) - (high - value) / (high - low)


@njit(cache=True)
def _rank(rules: Any, which: int, size: int, truth: int) -> int:
    """Which of the sorted pixels a rule's threshold is; -1: none."""
    if rules.kind[which] == RANK:
        return int(size * rules.level[which])
    if rules.kind[which] == TRUTH_AREA:
        return size - (truth if truth else size // 2)
    return -1


@njit(cache=True)
def _threshold(rules: Any, which: int, ranked: Any, low: Any, high: Any) -> Any:
    """Where a rule parts foreground from background, in stretched values; `ranked` is the pixel of its rank."""
    kind, level, stretch = rules.kind[which], rules.level[which], rules.stretch[which]
    if kind == VALUE:
        return level
    return (
        level * _stretched(high, stretch, low, high)
        if kind == MAXIMUM
        else _stretched(ranked, stretch, low, high)
    )


@njit(cache=True)
def _ordered(value: Any) -> Any:
    """An integer for each number, in the numbers' order."""
    bits = np.array([value], np.float32).view(np.int32)[0]
    return np.int64(bits) if bits >= 0 else -np.int64(bits & 0x7FFFFFFF)


@njit(cache=True)
def _number(order: Any) -> Any:
    """The number of an integer of `_ordered`."""
    bits = order if order >= 0 else (-order) | 0x80000000
    return np.array([bits], np.int64).astype(np.uint32).view(np.float32)[0]


@njit(cache=True)
def _cut(rules: Any, which: int, low: Any, high: Any, threshold: Any) -> Any:
    """The smallest value, before any stretching, that is foreground; more than `high` where none is.

    Stretching keeps the order, so one comparison a pixel is enough once this number is found, by halving.
    """
    stretch, strict = rules.stretch[which], rules.strict[which]
    below, above = _ordered(low) - 1, _ordered(high) + 1
    while above - below > 1:
        middle = (below + above) >> 1
        value = _stretched(_number(middle), stretch, low, high)
        if value > threshold or (value == threshold and not strict):
            above = middle
        else:
            below = middle
    return high if rules.peak[which] and above > _ordered(high) else _number(above)


@njit(cache=True)
def _count(pixels: Any, weight: Any, cut: Any) -> Any:
    """Foreground inside the truth, in its units, and foreground outside of it, in pixels."""
    inside, outside = 0, 0
    for n in range(pixels.size):
        found = pixels[n] >= cut
        inside += found * weight[n]
        outside += found & (weight[n] == 0)
    return inside, outside


@njit(cache=True)
def _draw(edges: Any, full: int, weight: Any) -> None:
    """How many of the boxes (k, 4) cover each pixel, at most `full`, in units of which 2 are certain."""
    weight[:] = 0
    for k in range(len(edges)):
        left, top, right, bottom = edges[k]
        for i in range(top, bottom):
            row = weight[i, left:right]
            if full == 1:
                row[:] = 2
            else:
                row[:] = np.minimum(row + 1, 2)


@njit(cache=True)
def _sizes(weight: Any) -> Any:
    """How much truth there is, in its units, and on how many pixels."""
    units, area = 0, 0
    for one in weight:
        units += one
        area += one > 0
    return units, area


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
    weight, bins, place = (
        np.empty((px, px), np.uint8),
        np.empty(BINS, np.int64),
        np.empty(px**2, np.int16),
    )
    pixels, flat = image.ravel(), weight.ravel()
    inside, outside, truth = (
        np.empty((n, p), np.int64),
        np.empty((n, p), np.int64),
        np.empty(n, np.int64),
    )
    for frame in range(n):
        _enlarge(maps[frame], rows, columns, wide, image)
        _draw(edges[starts[frame] : starts[frame + 1]], full, weight)
        low, high = _extremes(pixels)
        truth[frame], area = _sizes(flat)
        known, ranked = -1, low
        for which in range(p):
            rank = _rank(rules, which, pixels.size, area)
            if rank >= 0 and known < 0:
                _sort_into(bins, place, pixels, low, high)
            if rank >= 0 and rank != known:
                known, ranked = rank, _element(rank, bins, place, pixels)
            cut = _cut(rules, which, low, high, _threshold(rules, which, ranked, low, high))
            found, strayed = _count(pixels, flat, cut)
            inside[frame, which], outside[frame, which] = found, 2 * strayed
    return inside, outside, truth


@njit(cache=True)
def dark(maps: Any, rows: Any, columns: Any, level: Any) -> NDArray[np.float64]:
    """Fraction of the pixels of each map (n, h, w) that are at most `level`, once enlarged: (n,).

    What lies between two values on one side of the level lies there too, and is not looked at.
    """
    px = len(rows.before)
    wide, found = np.empty((maps.shape[1], px), np.float32), np.empty(len(maps))
    for n in range(len(maps)):
        _widen(maps[n], columns, wide)
        count, first = 0, 0
        while first < px:
            end = first
            while end < px and rows.before[end] == rows.before[first]:
                end += 1
            above, below = wide[rows.before[first]], wide[rows.after[first]]
            for j in range(px):
                if above[j] <= level and below[j] <= level:
                    count += end - first
                elif above[j] <= level or below[j] <= level:
                    for i in range(first, end):
                        step, start = np.float64(below[j] - above[j]), np.float64(above[j])
                        count += np.float32(step * rows.share[i] + start) <= level
            first = end
        found[n] = count / px**2
    return found
