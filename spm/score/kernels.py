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
    """Between which two cells each pixel's centre lies; a segment is the pixels between the same.

    Within a segment the pixels rise or fall from the first cell to the second.
    """

    before: NDArray[np.int64]  # (segments,)
    after: NDArray[np.int64]  # (segments,)
    bounds: NDArray[np.int64]  # (segments + 1,): the first pixel of each segment, and px
    share: NDArray[np.float32]  # (px,): weight of the second cell


class CubicTaps(NamedTuple):
    """The four cells of which each pixel is the weighted sum."""

    cells: NDArray[np.int64]  # (px, 4)
    weights: NDArray[np.float64]  # (px, 4)


@njit(cache=True)
def _widen(cells: Any, columns: Any, wide: Any) -> None:
    """(h, w) → (h, px).

    a + (b - a) · share, in double precision and rounded once, as OpenCV's fused multiply-add does.
    """
    for i in range(len(cells)):
        for s in range(len(columns.before)):
            a, b = cells[i, columns.before[s]], cells[i, columns.after[s]]
            step, start = np.float64(b - a), np.float64(a)
            for j in range(columns.bounds[s], columns.bounds[s + 1]):
                wide[i, j] = step * columns.share[j] + start


@njit(cache=True)
def _enlarge(cells: Any, rows: Any, columns: Any, wide: Any, out: Any) -> None:
    """(h, w) → (px, px), columns first; `wide`, (h, px), is scratch memory."""
    _widen(cells, columns, wide)
    px = wide.shape[1]
    step, start = np.empty(px), np.empty(px)
    for s in range(len(rows.before)):
        above, below = wide[rows.before[s]], wide[rows.after[s]]
        for j in range(px):
            step[j], start[j] = below[j] - above[j], above[j]
        for i in range(rows.bounds[s], rows.bounds[s + 1]):
            share, row = np.float64(rows.share[i]), out[i]
            for j in range(px):
                row[j] = step[j] * share + start[j]


@njit(cache=True)
def resized(maps: Any, rows: Any, columns: Any) -> NDArray[np.float32]:
    """(n, h, w) → (n, px, px)."""
    n, px = len(maps), len(rows.share)
    wide, images = np.empty((maps.shape[1], px), np.float32), np.empty((n, px, px), np.float32)
    for i in range(n):
        _enlarge(maps[i], rows, columns, wide, images[i])
    return images


@njit(cache=True)
def _weighted_rows(cells: Any, taps: Any, out: Any) -> None:
    """(h, w) → (px, w), in double precision."""
    for i in range(len(taps.cells)):
        a, b, c, d = taps.cells[i]
        p, q, r, s = taps.weights[i]
        for j in range(cells.shape[1]):
            out[i, j] = (p * cells[a, j] + q * cells[b, j]) + (r * cells[c, j] + s * cells[d, j])


@njit(cache=True)
def resized_cubic(maps: Any, rows: Any, columns: Any) -> NDArray[np.float32]:
    """(n, h, w) → (n, px, px), rounded once."""
    n, px, height = len(maps), len(rows.cells), maps.shape[1]
    columns_first, wide = np.empty((px, height)), np.empty((height, px))
    images = np.empty((n, px, px), np.float32)
    for i in range(n):
        _weighted_rows(maps[i].T, columns, columns_first)
        wide[:] = columns_first.T
        _weighted_rows(wide, rows, images[i])
    return images


@njit(cache=True)
def _extremes(rows: Any, image: Any) -> Any:
    """Smallest and largest pixel of a resized map (px, px); all are finite.

    They lie in the first or last rows of the segments. The bounds of each column are found first,
    because the compiler vectorizes loops over columns only.
    """
    low, high = image[0].copy(), image[0].copy()
    for s in range(len(rows.before)):
        for row in (image[rows.bounds[s]], image[rows.bounds[s + 1] - 1]):
            for j in range(len(row)):
                low[j] = row[j] if row[j] < low[j] else low[j]
                high[j] = row[j] if row[j] > high[j] else high[j]
    return low.min(), high.max()


@njit(cache=True)
def _fill_bins(bins: Any, bin_of_pixel: Any, pixels: Any, low: Any, high: Any) -> None:
    """Histogram of the pixels, in bins of about equal width that follow the pixels' order.

    Where the pixels are so close to each other, or so far apart, that the scale is no number of
    single precision, one bin has them all.
    """
    spread = high - low
    scale = np.float32(BINS - 2) / spread if spread > 0 else np.float32(np.inf)
    if np.isfinite(spread) and np.isfinite(scale):
        for n in range(pixels.size):
            bin_of_pixel[n] = np.int16((pixels[n] - low) * scale)
    else:
        bin_of_pixel[:] = 0
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
    if members.min() < members.max():  # to sort many equal values takes long
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


@njit(cache=True, fastmath={"reassoc"})
def _count(pixels: Any, mask: Any, cut: Any) -> Any:
    """Number of pixels of at least `cut`: of those in a mask, and of all."""
    inside, total = np.float32(0), np.float32(0)  # exact: they are below 2 ** 24
    for n in range(pixels.size):
        foreground = np.float32(pixels[n] >= cut)
        inside += foreground * np.float32(mask[n])
        total += foreground
    return int(inside), int(total)


@njit(cache=True)
def _draw(edges: Any, least: int, mask: Any) -> int:
    """Draw the pixels that at least so many of the boxes (k, 4) cover, and count them."""
    mask[:] = 0
    for k in range(len(edges)):
        left, top, right, bottom = edges[k]
        for i in range(top, bottom):
            row = mask[i, left:right]
            if least == 1:
                row[:] = 1
            else:
                row[:] = np.minimum(row + 1, least)
    if least > 1:
        mask[:] = mask // least
    area = 0
    for value in mask.ravel():
        area += value
    return area


class Image(NamedTuple):
    """A resized map, and its truth, (px, px) each; scratch memory for the order of its pixels."""

    pixels: NDArray[np.float32]
    covered: NDArray[np.uint8]  # by a box
    agreed: NDArray[np.uint8]  # by as many boxes as make full truth
    bins: NDArray[np.int64]  # (BINS,): histogram of the pixels, if a rule needs it
    bin_of_pixel: NDArray[np.int16]  # (px²,)


@njit(cache=True)
def _count_inside(image: Any, cut: Any, full: int) -> Any:
    """Pixels of at least `cut`: covered ones, the truth in half pixels, and all."""
    covered, total = _count(image.pixels.ravel(), image.covered.ravel(), cut)
    agreed = _count(image.pixels.ravel(), image.agreed.ravel(), cut)[0] if full > 1 else covered
    return covered, covered + agreed, total


@njit(cache=True)
def _count_rules(
    image: Any, rows: Any, full: int, area: int, rules: Any, inside: Any, outside: Any
) -> Any:
    """Count one map under every rule into `inside` and `outside`, (p,).

    `area` is the number of covered pixels. Returns the share of the hottest pixels that a box
    covers. The histogram is filled at most once, and a rank that several rules share is searched
    once.
    """
    low, high = _extremes(rows, image.pixels)
    pixels = image.pixels.ravel()
    last_rank, ranked = -1, low
    for p in range(len(rules.code)):
        rank = _rank(rules, p, pixels.size, area)
        if rank >= 0 and last_rank < 0:
            _fill_bins(image.bins, image.bin_of_pixel, pixels, low, high)
        if rank >= 0 and rank != last_rank:
            last_rank, ranked = rank, _element(rank, image.bins, image.bin_of_pixel, pixels)
        cut = _cut(rules, p, low, high, _threshold(rules, p, ranked, low, high))
        covered, inside[p], total = _count_inside(image, cut, full)
        outside[p] = 2 * (total - covered)
    covered, _, peaks = _count_inside(image, high, 1)
    return covered / peaks


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
    px, n, p = len(rows.share), len(maps), len(rules.code)
    wide = np.empty((maps.shape[1], px), np.float32)
    covered = np.empty((px, px), np.uint8)
    image = Image(
        np.empty((px, px), np.float32), covered, covered.copy(),
        np.empty(BINS, np.int64), np.empty(px**2, np.int16),
    )  # fmt: skip
    inside, outside = np.empty((n, p), np.int64), np.empty((n, p), np.int64)
    truth, hits = np.empty(n, np.int64), np.empty(n)
    for i in range(n):
        _enlarge(maps[i], rows, columns, wide, image.pixels)
        boxes = edges[starts[i] : starts[i + 1]]
        area = _draw(boxes, 1, covered)
        truth[i] = area + (_draw(boxes, full, image.agreed) if full > 1 else area)
        hits[i] = _count_rules(image, rows, full, area, rules, inside[i], outside[i])
    return inside, outside, truth, hits


@njit(cache=True)
def _inactive_pixels(cells: Any, rows: Any, columns: Any, level: Any, block: Any) -> int:
    """Pixels of one map that are at most `level` once resized.

    The pixels between four cells are a block. They lie between the smallest and the largest of the
    four, so most blocks are counted without being computed; `block`, (2, px), is scratch memory.
    """
    count = 0
    for r in range(len(rows.before)):
        above, below = cells[rows.before[r]], cells[rows.after[r]]
        height = rows.bounds[r + 1] - rows.bounds[r]
        for c in range(len(columns.before)):
            left, right = columns.before[c], columns.after[c]
            first, end = columns.bounds[c], columns.bounds[c + 1]
            corners = (above[left], above[right], below[left], below[right])
            if max(corners) <= level:
                count += height * (end - first)
            elif min(corners) <= level:
                for n, row in enumerate((above, below)):
                    step, start = np.float64(row[right] - row[left]), np.float64(row[left])
                    for j in range(first, end):
                        block[n, j] = step * columns.share[j] + start
                for i in range(rows.bounds[r], rows.bounds[r + 1]):
                    share = np.float64(rows.share[i])
                    for j in range(first, end):
                        step, start = np.float64(block[1, j] - block[0, j]), np.float64(block[0, j])
                        count += np.float32(step * share + start) <= level
    return count


@njit(cache=True)
def inactive_fraction(maps: Any, rows: Any, columns: Any, level: Any) -> NDArray[np.float64]:
    """Fraction of the pixels of each map (n, h, w) that are at most `level` once resized: (n,)."""
    px, fractions = len(rows.share), np.ones(len(maps))
    block = np.empty((2, px), np.float32)
    for n in range(len(maps)):
        if maps[n].max() > level:
            fractions[n] = _inactive_pixels(maps[n], rows, columns, level, block) / px**2
    return fractions


@njit(cache=True)
def drawn(edges: Any, starts: Any, px: int) -> NDArray[np.uint8]:
    """The union of the boxes of each frame, (n, px, px): 1 or 0; `edges` as for `overlaps`."""
    masks = np.empty((len(starts) - 1, px, px), np.uint8)
    for n in range(len(masks)):
        _draw(edges[starts[n] : starts[n + 1]], 1, masks[n])
    return masks


@njit(cache=True)
def shared_pixels(masks: Any, regions: Any) -> NDArray[np.int64]:
    """Number of pixels that each mask (n, px, px) shares with each region (r, px, px): (n, r)."""
    counts = np.empty((len(masks), len(regions)), np.int64)
    for n in range(len(masks)):
        mask = masks[n].ravel()
        for r in range(len(regions)):
            region, count = regions[r].ravel(), 0
            for m in range(mask.size):
                count += mask[m] & region[m]
            counts[n, r] = count
    return counts


@njit(cache=True)
def _cell_means(sums: Any, means: Any) -> None:
    """Means of `len(means)` equal parts of px values, whose sums from the first on are (px + 1,).

    The sum is linear within a pixel, so its value at the bound of a part is interpolated.
    """
    px, cells, last = len(sums) - 1, len(means), 0.0
    for cell in range(cells):
        bound = (cell + 1) * px / cells
        before = int(bound)
        step = sums[min(before + 1, px)] - sums[before]
        reached = sums[before] + (bound - before) * step
        means[cell] = (reached - last) * cells / px
        last = reached


@njit(cache=True)
def coverage(masks: Any, height: int, width: int) -> NDArray[np.float64]:
    """Fraction of each cell of an h × w grid that masks (n, px, px) cover, (n, height, width)."""
    px, covered = masks.shape[1], np.empty((len(masks), width, height))
    row, means, sums = np.zeros(px + 1), np.zeros(width), np.zeros((width, px + 1))
    for n in range(len(masks)):
        for i in range(px):
            if i == 0 or (masks[n, i] != masks[n, i - 1]).any():
                for j in range(px):
                    row[j + 1] = row[j] + masks[n, i, j]
                _cell_means(row, means)
            for cell in range(width):
                sums[cell, i + 1] = sums[cell, i] + means[cell]
        for cell in range(width):
            _cell_means(sums[cell], covered[n, cell])
    return covered.transpose(0, 2, 1)


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
    px, height = len(rows.share), first.shape[1]
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
