"""How well a map localizes, as pure functions of arrays.

Conventions: the first axis counts frames, masks are boolean, and scores are fractions in [0, 1].
Nothing here reads files or boxes; `spm.score.masks` makes masks of them. The workflow and `spm
score` compute their figures with these functions: each figure is a mean over frames.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]

# Products, not decimals. The authors' scripts compare with `0.05 * i`, which is slightly above the
# decimal number at i = 3, 6, 7, 12, 14, 17 and 19.
GRID: Doubles = np.asarray(0.05 * np.arange(21), np.float64)


def _check_masks(prediction: Mask, truth: Mask, *, allow_empty: bool = False) -> None:
    if prediction.shape != truth.shape or prediction.ndim != 3:
        raise ValueError(
            f"expected masks of equal shape (n, h, w), not {prediction.shape} and {truth.shape}"
        )
    if prediction.dtype != np.bool_ or truth.dtype != np.bool_:
        raise ValueError(f"expected boolean masks, not {prediction.dtype} and {truth.dtype}")
    empty = np.flatnonzero(~truth.any((1, 2))).tolist()
    if empty and not allow_empty:
        raise ValueError(
            f"truth mask {empty[0]} has no pixel ({len(empty)} such masks): leave such frames out"
        )


def _check_scores(ious: ArrayLike) -> Doubles:
    values = np.asarray(ious, np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"expected scores of shape (n,) with n > 0, not {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("expected scores between 0 and 1")
    return values


def ratio(intersection: ArrayLike, union: ArrayLike) -> Doubles:
    """Intersection over union of pixel counts of any shape; 0 where the union is empty."""
    return np.asarray(np.asarray(intersection) / np.maximum(union, 1), np.float64)


def iou(prediction: Mask, truth: Mask, *, allow_empty: bool = False) -> Doubles:
    """Intersection over union, |P ∩ G| / |P ∪ G|, of each frame.

    Parameters
    ----------
    prediction, truth : bool array, shape (n, h, w)
        Pixels predicted to sound, and pixels that sound.
    allow_empty : bool
        Whether a truth without a pixel scores 0; otherwise it is an error.

    Returns
    -------
    float array, shape (n,), in [0, 1]

    Raises
    ------
    ValueError
        If the shapes differ, the masks are not boolean, or a truth is empty and may not be.

    Examples
    --------
    Four pixels are predicted; the truth is two of them:

    >>> truth = np.zeros((1, 4, 4), bool)
    >>> truth[0, 1, 1:3] = True
    >>> prediction = np.zeros((1, 4, 4), bool)
    >>> prediction[0, 1:3, 1:3] = True
    >>> iou(prediction, truth)
    array([0.5])
    """
    _check_masks(prediction, truth, allow_empty=allow_empty)
    return ratio(
        np.count_nonzero(prediction & truth, axis=(1, 2)),
        np.count_nonzero(prediction | truth, axis=(1, 2)),
    )


def ciou(ious: ArrayLike, frame: ArrayLike, frames: int) -> Doubles:
    """Class-aware IoU of each frame: Σ_k δ_k IoU_k / Σ_k δ_k, the mean over its sounding classes.

    The same mean of average precisions is the class-aware AP (CAP) of each frame.

    Parameters
    ----------
    ious : float array, shape (g,), in [0, 1]
        One IoU for each class that sounds in a frame (δ = 1); silent classes are not given.
    frame : int array, shape (g,)
        The frame of each IoU, in [0, frames).
    frames : int
        Number of frames; each must have a sounding class.

    Returns
    -------
    float array, shape (frames,), in [0, 1]

    Source: Eq. 7 of SPM; `eval.py` of DSOL (Hu et al., NeurIPS 2020).

    Examples
    --------
    A duet of which one instrument is localized, then a solo:

    >>> ciou([1.0, 0.0, 0.8], [0, 0, 1], 2)
    array([0.5, 0.8])
    """
    values, owner = _check_scores(ious), np.asarray(frame, np.intp)
    if owner.shape != values.shape:
        raise ValueError(
            f"expected one frame per score, not {owner.shape} frames and {values.shape} scores"
        )
    classes = np.bincount(owner, minlength=frames)
    if len(classes) != frames or not classes.all():
        raise ValueError(f"expected a sounding class in each of the frames 0 to {frames - 1}")
    return np.asarray(np.bincount(owner, values, minlength=frames) / classes, np.float64)


def success_matrix(ious: ArrayLike, thresholds: ArrayLike, *, strict: bool = False) -> Mask:
    """Which frames reach which threshold (≥; with `strict`, >), shape (n, t).

    The authors' scripts compare with `0.05 * i`, which for i = 6 is the next number above 0.3. So
    that 0.3 means the same here, a threshold on their grid is replaced by the grid's own number.

    Examples
    --------
    >>> success_matrix([0.2, 0.3, 0.5], [0.3, 0.5]).tolist()
    [[False, False], [False, False], [True, True]]
    """
    given = np.asarray(thresholds, np.float64)
    if strict:
        return np.asarray(_check_scores(ious)[:, None] > given)
    nearest = GRID[np.abs(given[:, None] - GRID).argmin(1)]
    exact = np.where(np.isclose(nearest, given, rtol=0, atol=1e-9), nearest, given)
    return np.asarray(_check_scores(ious)[:, None] >= exact)


def success_rate(ious: ArrayLike, thresholds: ArrayLike, *, strict: bool = False) -> Doubles:
    """Fraction of frames that reach each threshold: the mean of `success_matrix`, shape (t,).

    Examples
    --------
    >>> success_rate([0.2, 0.5, 0.7, 0.9], [0.3, 0.5, 0.8])
    array([0.75, 0.75, 0.25])
    """
    return np.asarray(success_matrix(ious, thresholds, strict=strict).mean(0), np.float64)


def ciou_at(ious: ArrayLike, threshold: float = 0.3, *, strict: bool = False) -> float:
    """CIoU@t: the fraction of frames whose (C)IoU reaches `threshold`; IoU@0.5 is the same at 0.5.

    Examples
    --------
    >>> ciou_at([0.1, 0.35, 0.6, 0.9], 0.3)
    0.75
    """
    return float(success_rate(ious, [threshold], strict=strict)[0])


def auc_per_frame(ious: ArrayLike, grid: ArrayLike = GRID) -> Doubles:
    """What each frame adds to the area under the success curve, shape (n,): `auc` is the mean."""
    steps = np.asarray(grid, np.float64)
    # the trapezoid rule gives each point half of the steps on both of its sides
    width = (np.diff(steps, append=steps[-1]) + np.diff(steps, prepend=steps[0])) / 2
    return np.asarray(success_matrix(ious, steps) @ width, np.float64)


def auc(ious: ArrayLike, grid: ArrayLike = GRID) -> float:
    """Area under the curve of success rate against IoU threshold, by the trapezoid rule.

    Parameters
    ----------
    ious : float array, shape (n,), in [0, 1]
    grid : float array, shape (t,)
        Rising thresholds; 0, 0.05, …, 1 by default.

    Returns
    -------
    float
        In [0.025, 1] on the default grid: the rate at threshold 0 is always 1, so frames with an
        IoU of 0 score 0.025.

    Source: `tools.py` of DSOL and `Evaluator.finalize_AUC` of EZ-VSL, with the same 21 points.

    Examples
    --------
    >>> round(auc([0.0, 1.0]), 4)
    0.5125
    """
    return float(auc_per_frame(ious, grid).mean())


def nsa(inactive: Floats, sounding: Mask) -> Doubles:
    """No-sounding area of each frame: how much of the maps of silent classes is inactive.

    A pixel is inactive if its value is at most 0.2 (absolute, not relative to the maximum). Eleven
    maps that share one softmax evenly lie at 1/11, so a network that predicts nothing scores 1.

    Parameters
    ----------
    inactive : float array, shape (n, classes), in [0, 1]
        Fraction of inactive pixels of each class map, as `spm.score.masks.inactive_fractions`
        gives.
    sounding : bool array, shape (n, classes)
        Which classes sound in each frame; at least one must be silent.

    Returns
    -------
    float array, shape (n,), in [0, 1]: the mean over the silent classes

    Source: `eval.py` of DSOL.

    Examples
    --------
    The first class sounds; of the two others, one map is inactive and one is not:

    >>> nsa(np.array([[0.0, 1.0, 0.0]]), np.array([[True, False, False]]))
    array([0.5])
    """
    if inactive.ndim != 2 or sounding.shape != inactive.shape:
        raise ValueError(
            f"expected two arrays (n, classes), not {inactive.shape} and {sounding.shape}"
        )
    if sounding.all(1).any():
        raise ValueError("every class of a frame sounds: the frame has no no-sounding area")
    return np.asarray((inactive * ~sounding).sum(1) / (~sounding).sum(1), np.float64)


def pointing_game(maps: Floats, truth: Mask) -> Doubles:
    """Pointing game of each frame: whether the hottest pixel lies in the truth.

    Where several pixels share the largest value, the score is the share of them in the truth: what
    a random choice among them scores on average. The pointing game accuracy is the mean over
    frames. It has no threshold, so it is the same under all protocols with the same truths.

    Parameters
    ----------
    maps : float array, shape (n, h, w)
        Finite; of any scale.
    truth : bool array, shape (n, h, w)

    Returns
    -------
    float array, shape (n,), in [0, 1]

    Source: Zhang et al., ECCV 2016, without its tolerance of 15 pixels.

    Examples
    --------
    The second map is flat, and a quarter of its pixels are truth:

    >>> maps = np.array([[[0.9, 0.6], [0.4, 0.1]], [[0.5, 0.5], [0.5, 0.5]]])
    >>> truth = np.array([[[True, False], [False, False]]] * 2)
    >>> pointing_game(maps, truth)
    array([1.  , 0.25])
    """
    if maps.shape != truth.shape or maps.ndim != 3:
        raise ValueError(f"expected maps and truth (n, h, w), not {maps.shape} and {truth.shape}")
    peaks = maps == maps.max((1, 2), keepdims=True)
    return ratio((peaks & truth).sum((1, 2)), peaks.sum((1, 2)))


def pixel_ap(maps: Floats, truth: Mask) -> Doubles:
    """Average precision of each frame's pixels, ranked by the map: Σ_n (R_n - R_{n-1}) P_n.

    n counts the distinct values of the map, from the highest.

    Parameters
    ----------
    maps : float array, shape (n, h, w)
        Finite; of any scale, because only the order counts, in single precision.
    truth : bool array, shape (n, h, w)
        Every frame must have at least one pixel of truth.

    Returns
    -------
    float array, shape (n,), in (0, 1]
        A random map scores the truth's share of the frame.

    Source: scikit-learn's `average_precision_score`, which the authors' scripts call.

    Examples
    --------
    Of four pixels, the first and the third in the map's order are truth:

    >>> maps = np.array([[[0.9, 0.6], [0.4, 0.1]]])
    >>> truth = np.array([[[True, False], [True, False]]])
    >>> pixel_ap(maps, truth).round(4)
    array([0.8333])
    """
    _check_masks(truth, truth)
    if maps.shape != truth.shape or not np.isfinite(maps).all():
        raise ValueError(f"expected finite maps of the truth's shape {truth.shape}: {maps.shape}")
    heat, hits = maps.reshape(len(maps), -1), truth.reshape(len(truth), -1)
    return np.array([_average_precision(heat[n], hits[n]) for n in range(len(heat))])


def _average_precision(heat: Floats, hits: Mask) -> float:
    """Average precision of the pixels of one frame, (p,) each.

    Each pixel becomes one integer: its value's order, and its truth as the last bit. Sorting
    integers is many times as fast as sorting pairs.
    """
    bits = (heat.astype(np.float32) + np.float32(0)).view(np.uint32)  # + 0 turns -0 into 0
    # integers in the order of the numbers: negative numbers have all bits inverted
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    ranked = np.sort((rising.astype(np.uint64) << 1) | hits)[::-1]
    last = np.diff(ranked >> 1, append=0) != 0  # pixels of one value are taken together
    found = np.cumsum(ranked & 1)[last]
    precision = found / (np.flatnonzero(last) + 1)
    return float(np.diff(found.astype(np.float64), prepend=0) @ precision / found[-1])
