"""The compiled inner loops of scoring: each map is resized once, then scored under every rule.

tests/score/whole_images.py computes the same with NumPy, an image at a time; the tests compare
both, bit by bit.
"""

import os
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.core import config as numba_config
from numpy.typing import NDArray

# Numba reads .numba_config.yaml in the working directory, which may name a folder of compiled code:
# it is not used.
numba_config._config_fname = os.devnull
numba_config.reload_config()  # type: ignore[no-untyped-call]
BINS = 4096  # of the histogram that narrows the search for an order statistic


class RuleCode(IntEnum):
    """`spm.score.protocols.Rule`, as the compiled loops read it."""

    MAXIMUM = 0
    VALUE = 1
    RANK = 2
    TRUTH_AREA = 3


class NormalizeCode(IntEnum):
    """`spm.score.protocols.Normalize`, as the compiled loops read it."""

    NONE = 0
    MINMAX = 1
    MINMAX_OF_NEGATIVE = 2


class Rules(NamedTuple):
    """Protocols as columns, (p,) each."""

    code: NDArray[np.int64]  # RuleCode
    level: NDArray[np.float32]
    normalize: NDArray[np.int64]  # NormalizeCode
    strict: NDArray[np.bool_]
    peak: NDArray[np.bool_]  # pixels at the maximum are always foreground


class Taps(NamedTuple):
    """The two cells between which each pixel's centre lies, and the weight of the second; (px,)."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    share: NDArray[np.float32]


@njit(cache=True)
def _widen(cells: Any, columns: Any, wide: Any) -> None:
    """(h, w) → (h, px).

    a + (b - a) · share, in double precision and rounded once, as OpenCV's fused multiply-add does.
    """
    for i in range(cells.shape[0]):
        for j in range(wide.shape[1]):
            a, b = cells[i, columns.before[j]], cells[i, columns.after[j]]
            wide[i, j] = np.float64(b - a) * np.float64(columns.share[j]) + np.float64(a)


@njit(cache=True)
def _enlarge(cells: Any, rows: Any, columns: Any, wide: Any, out: Any) -> None:
    """(h, w) → (px, px), columns first; `wide`, (h, px), is scratch memory."""
    _widen(cells, columns, wide)
    px = wide.shape[1]
    step, start, current = np.empty(px), np.empty(px), -1
    for i in range(out.shape[0]):
        if rows.before[i] != current:
            current = rows.before[i]
            step[:], start[:] = wide[rows.after[i]] - wide[current], wide[current]
        share = np.float64(rows.share[i])
        for j in range(px):
            out[i, j] = step[j] * share + start[j]


@njit(cache=True, fastmath={"nnan", "nsz"})
def _extremes(pixels: Any) -> Any:
    """Smallest and largest pixel; all pixels are finite."""
    low = high = pixels[0]
    for value in pixels:
        low, high = min(low, value), max(high, value)
    return low, high


@njit(cache=True)
def _fill_bins(bins: Any, bin_of_pixel: Any, pixels: Any, low: Any, high: Any) -> None:
    """Histogram of the pixels, in bins of about equal width that follow the pixels' order."""
    scale = np.float32(BINS - 2) / (high - low) if high > low else np.float32(0)
    for n in range(pixels.size):
        bin_of_pixel[n] = np.int16((pixels[n] - low) * scale)
    bins[:] = 0
    for number in bin_of_pixel:
        bins[number] += 1


@njit(cache=True)
def _element(rank: int, bins: Any, bin_of_pixel: Any, pixels: Any) -> Any:
    """Element `rank` of the sorted pixels; only the bin that holds it is sorted."""
    before, number = 0, np.int16(0)
    while before + bins[number] <= rank:
        before += bins[number]
        number += np.int16(1)
    members, count = np.empty(bins[number], np.float32), 0
    for n in range(bin_of_pixel.size):
        if bin_of_pixel[n] == number:
            members[count] = pixels[n]
            count += 1
    members.sort()
    return members[rank - before]


@njit(cache=True)
def _normalized(value: Any, normalize: int, low: Any, high: Any) -> Any:
    """One pixel, normalized; a constant map stays as it is, as in the authors' code."""
    if normalize == NormalizeCode.NONE or high == low:
        return value
    if normalize == NormalizeCode.MINMAX:
        return (value - low) / (high - low)
    return np.float32(1) - (high - value) / (high - low)


@njit(cache=True)
def _rank(rules: Any, p: int, size: int, truth: int) -> int:
    """Index of the threshold among the sorted pixels under rule p; -1: the rule uses no rank.

    Without a truth, TRUTH_AREA takes half of the image, as its authors' code does.
    """
    if rules.code[p] == RuleCode.RANK:
        return int(size * rules.level[p])
    if rules.code[p] == RuleCode.TRUTH_AREA:
        return size - (truth if truth else size // 2)
    return -1


@njit(cache=True)
def _threshold(rules: Any, p: int, ranked: Any, low: Any, high: Any) -> Any:
    """Threshold of rule p on the normalized map; `ranked` is the pixel at the rank of the rule."""
    code, normalize = rules.code[p], rules.normalize[p]
    if code == RuleCode.VALUE:
        return rules.level[p]
    if code == RuleCode.MAXIMUM:
        return rules.level[p] * _normalized(high, normalize, low, high)
    return _normalized(ranked, normalize, low, high)


@njit(cache=True)
def _to_order(value: Any) -> Any:
    """An integer for each float32, in the same order."""
    bits = np.array([value], np.float32).view(np.int32)[0]
    return np.int64(bits) if bits >= 0 else -np.int64(bits & 0x7FFFFFFF)


@njit(cache=True)
def _from_order(order: Any) -> Any:
    """The float32 of an integer of `_to_order`."""
    bits = order if order >= 0 else (-order) | 0x80000000
    return np.array([bits], np.int64).astype(np.uint32).view(np.float32)[0]


@njit(cache=True)
def _cut(rules: Any, p: int, low: Any, high: Any, threshold: Any) -> Any:
    """Smallest value before normalization that is foreground; above `high` if no pixel is.

    Normalization keeps the order of the pixels. So this value is found once by bisection, and each
    pixel then takes one comparison.
    """
    normalize, strict = rules.normalize[p], rules.strict[p]
    below, above = _to_order(low) - 1, _to_order(high) + 1
    while above - below > 1:
        middle = (below + above) >> 1
        value = _normalized(_from_order(middle), normalize, low, high)
        if value > threshold or (value == threshold and not strict):
            above = middle
        else:
            below = middle
    return high if rules.peak[p] and above > _to_order(high) else _from_order(above)


@njit(cache=True)
def _count(pixels: Any, weight: Any, cut: Any) -> Any:
    """Foreground inside the truth, in the truth's units, and outside of it, in pixels."""
    inside, outside = 0, 0
    for n in range(pixels.size):
        foreground = pixels[n] >= cut
        inside += foreground * weight[n]
        outside += foreground & (weight[n] == 0)
    return inside, outside


@njit(cache=True)
def _peak_share(pixels: Any, weight: Any, high: Any) -> Any:
    """Share of the pixels with the largest value that a box covers."""
    hits, peaks = 0, 0
    for n in range(pixels.size):
        if pixels[n] == high:
            peaks += 1
            hits += weight[n] > 0
    return hits / peaks


@njit(cache=True)
def _draw(edges: Any, full: int, weight: Any) -> None:
    """Truth of each pixel, in half pixels: 2 if at least `full` of the boxes (k, 4) cover it."""
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
    """Size of the truth: in half pixels, and the number of pixels that any box covers."""
    units, area = 0, 0
    for value in weight:
        units += value
        area += value > 0
    return units, area


@njit(cache=True)
def _count_rules(
    pixels: Any, weight: Any, bins: Any, bin_of_pixel: Any, rules: Any, inside: Any, outside: Any
) -> Any:
    """Count one resized map under every rule into `inside` and `outside`, (p,).

    Returns the size of the truth, and the share of the hottest pixels that a box covers. The
    histogram is filled at most once, and a rank that several rules share is searched once.
    """
    low, high = _extremes(pixels)
    truth, area = _sizes(weight)
    last_rank, ranked = -1, low
    for p in range(len(rules.code)):
        rank = _rank(rules, p, pixels.size, area)
        if rank >= 0 and last_rank < 0:
            _fill_bins(bins, bin_of_pixel, pixels, low, high)
        if rank >= 0 and rank != last_rank:
            last_rank, ranked = rank, _element(rank, bins, bin_of_pixel, pixels)
        cut = _cut(rules, p, low, high, _threshold(rules, p, ranked, low, high))
        count_inside, count_outside = _count(pixels, weight, cut)
        inside[p], outside[p] = count_inside, 2 * count_outside
    return truth, _peak_share(pixels, weight, high)


@njit(cache=True)
def overlaps(
    maps: Any, rows: Any, columns: Any, edges: Any, starts: Any, full: int, rules: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Count each map's foreground inside and outside of its truth under each rule.

    Parameters
    ----------
    maps : float32 array, shape (n, h, w)
    rows, columns : Taps
        From h and from w cells to px pixels.
    edges : int array, shape (k, 4)
        Left, top, right and bottom pixel edges of all boxes, in the order of the maps.
    starts : int array, shape (n + 1,)
        Index of each map's first box.
    full : int
        How many boxes make a pixel full truth: 1, the union; 2, the consensus of Flickr-SoundNet's
        annotators.
    rules : Rules

    Returns
    -------
    inside : (n, p)
        Foreground inside the truth, in half pixels.
    outside : (n, p)
        Foreground where there is no truth, in half pixels.
    truth : (n,)
        In half pixels.
    hits : (n,)
        Share of the pixels with the largest value that a box covers.
    """
    px, n, p = len(rows.before), len(maps), len(rules.code)
    wide, image = np.empty((maps.shape[1], px), np.float32), np.empty((px, px), np.float32)
    weight, bins = np.empty((px, px), np.uint8), np.empty(BINS, np.int64)
    bin_of_pixel = np.empty(px**2, np.int16)
    pixels, flat_weight = image.ravel(), weight.ravel()
    inside, outside = np.empty((n, p), np.int64), np.empty((n, p), np.int64)
    truth, hits = np.empty(n, np.int64), np.empty(n)
    for i in range(n):
        _enlarge(maps[i], rows, columns, wide, image)
        _draw(edges[starts[i] : starts[i + 1]], full, weight)
        truth[i], hits[i] = _count_rules(
            pixels, flat_weight, bins, bin_of_pixel, rules, inside[i], outside[i]
        )
    return inside, outside, truth, hits


@njit(cache=True)
def inactive_fraction(maps: Any, rows: Any, columns: Any, level: Any) -> NDArray[np.float64]:
    """Fraction of the pixels of each map (n, h, w) that are at most `level` once resized: (n,).

    Pixels between two values on the same side of the level lie on that side too, so they are
    counted without being computed.
    """
    px = len(rows.before)
    wide, fractions = np.empty((maps.shape[1], px), np.float32), np.empty(len(maps))
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
        fractions[n] = count / px**2
    return fractions


@njit(cache=True)
def threshold_counts(
    maps: Any, truth: Any, thresholds: Any
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number of pixels from each threshold on: those in the truth, and all of them, (n, t) each.

    Parameters
    ----------
    maps : float32 array, shape (n, h, w)
    truth : bool array, shape (n, h, w)
    thresholds : float32 array, shape (t,)
        Rising from 0 to 1 in about equal steps.
    """
    n, steps = len(maps), len(thresholds)
    hits, found = np.zeros((n, steps), np.int32), np.zeros((n, steps), np.int32)
    for i in range(n):
        pixels, inside = maps[i].ravel(), truth[i].ravel()
        for j in range(pixels.size):
            step = min(max(int(pixels[j] * (steps - 1)), -1), steps - 1)
            while step + 1 < steps and thresholds[step + 1] <= pixels[j]:
                step += 1
            while step >= 0 and thresholds[step] > pixels[j]:
                step -= 1
            if step >= 0:
                found[i, step] += 1
                hits[i, step] += inside[j]
        for step in range(steps - 2, -1, -1):
            found[i, step] += found[i, step + 1]
            hits[i, step] += hits[i, step + 1]
    return hits, found


@njit(cache=True)
def shared_foreground(
    first: Any, second: Any, rows: Any, columns: Any, level: Any
) -> NDArray[np.int64]:
    """Pixels above `level` in both and in either of two maps (n, h, w) each: (n, 2).

    The maps are resized as by `_enlarge`. A map without a cell above the level has no such pixel.
    """
    px, height = len(rows.before), first.shape[1]
    wide_a, wide_b = np.empty((height, px), np.float32), np.empty((height, px), np.float32)
    pixels_a, pixels_b = np.empty((px, px), np.float32), np.empty((px, px), np.float32)
    counts = np.zeros((len(first), 2), np.int64)
    for n in range(len(first)):
        has_a, has_b = first[n].max() > level, second[n].max() > level
        if has_a:
            _enlarge(first[n], rows, columns, wide_a, pixels_a)
        if has_b:
            _enlarge(second[n], rows, columns, wide_b, pixels_b)
        if has_a or has_b:
            for i in range(px):
                for j in range(px):
                    a, b = has_a and pixels_a[i, j] > level, has_b and pixels_b[i, j] > level
                    counts[n, 0] += a and b
                    counts[n, 1] += a or b
    return counts
