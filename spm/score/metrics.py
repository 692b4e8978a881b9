"""How well a map localizes, as pure functions of arrays.

Conventions: the first axis counts frames; masks are boolean; scores are fractions in [0, 1], not per cent; a threshold
met exactly counts as reached. Nothing here knows of files or boxes: spm.score.protocols makes masks of those.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]

# Products, not decimals: the peers compare with `0.05 * i`, which at i = 3, 6, 7, 12, 14, 17 and 19 is a bit more.
GRID: Doubles = np.asarray(0.05 * np.arange(21), np.float64)


def _check_masks(prediction: Mask, truth: Mask) -> None:
    if prediction.shape != truth.shape or prediction.ndim != 3:
        raise ValueError(
            f"masks of equal shape (n, h, w) expected, not {prediction.shape} and {truth.shape}"
        )
    if prediction.dtype != np.bool_ or truth.dtype != np.bool_:
        raise ValueError(f"boolean masks expected, not {prediction.dtype} and {truth.dtype}")
    if empty := np.flatnonzero(~truth.any((1, 2))).tolist():
        raise ValueError(
            f"no pixel of truth in mask {empty[0]} ({len(empty)} such in all): leave such frames out"
        )


def _check_scores(ious: ArrayLike) -> Doubles:
    values = np.asarray(ious, np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"scores of shape (n,) with n > 0 expected, not {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores between 0 and 1 expected")
    return values


def iou(prediction: Mask, truth: Mask) -> Doubles:
    """Intersection over union, |P ∩ G| / |P ∪ G|, of each frame.

    Parameters
    ----------
    prediction, truth : bool array, shape (n, h, w)
        Pixels said to sound, and those that do. Every truth must hold at least one pixel.

    Returns
    -------
    float array, shape (n,), in [0, 1]

    Raises
    ------
    ValueError
        If the shapes differ, the masks are not boolean, or a truth is empty (its IoU would be 0/0 or meaningless).

    Examples
    --------
    Four pixels against two, both of which they hold:

    >>> truth = np.zeros((1, 4, 4), bool)
    >>> truth[0, 1, 1:3] = True
    >>> prediction = np.zeros((1, 4, 4), bool)
    >>> prediction[0, 1:3, 1:3] = True
    >>> iou(prediction, truth)
    array([0.5])
    """
    _check_masks(prediction, truth)
    both = np.count_nonzero(prediction & truth, axis=(1, 2))
    either = np.count_nonzero(prediction | truth, axis=(1, 2))
    return np.asarray(both / either, np.float64)


def ciou(ious: ArrayLike, frame: ArrayLike, frames: int) -> Doubles:
    """Class-aware IoU of each frame: Σ_k δ_k IoU_k / Σ_k δ_k, the mean over its sounding classes.

    Parameters
    ----------
    ious : float array, shape (g,), in [0, 1]
        One IoU for each class that sounds in a frame (δ = 1); the silent ones are not given.
    frame : int array, shape (g,)
        Which frame each belongs to, in [0, frames).
    frames : int
        Number of frames; each must have a sounding class.

    Returns
    -------
    float array, shape (frames,), in [0, 1]

    Source: Eq. 7 of SPM; `eval.py` of DSOL (Hu et al., NeurIPS 2020).

    Examples
    --------
    A duet of which one instrument is found, then a solo:

    >>> ciou([1.0, 0.0, 0.8], [0, 0, 1], 2)
    array([0.5, 0.8])
    """
    values, owner = _check_scores(ious), np.asarray(frame, np.intp)
    if owner.shape != values.shape:
        raise ValueError(f"one frame a score expected: {values.shape} scores, {owner.shape} frames")
    classes = np.bincount(owner, minlength=frames)
    if len(classes) != frames or not classes.all():
        raise ValueError(f"every frame of 0…{frames - 1}, and no other, must have a sounding class")
    return np.asarray(np.bincount(owner, values, minlength=frames) / classes, np.float64)


def success_matrix(ious: ArrayLike, thresholds: ArrayLike, *, beyond: bool = False) -> Mask:
    """Which frames reach which threshold (≥; with `beyond`, >), shape (n, t).

    The peers' scripts compare with `0.05 * i`, which for i = 6 is the next number above 0.3. So that 0.3 means the same
    here, a threshold that lies on their grid is replaced by the grid's own number.

    Examples
    --------
    >>> reached([0.2, 0.3, 0.5], [0.3, 0.5]).tolist()
    [[False, False], [False, False], [True, True]]
    """
    wanted = np.asarray(thresholds, np.float64)
    if beyond:
        return np.asarray(_check_scores(ious)[:, None] > wanted)
    nearest = GRID[np.abs(wanted[:, None] - GRID).argmin(1)]
    exact = np.where(np.isclose(nearest, wanted, rtol=0, atol=1e-9), nearest, wanted)
    return np.asarray(_check_scores(ious)[:, None] >= exact)


def success_rate(ious: ArrayLike, thresholds: ArrayLike) -> Doubles:
    """Fraction of frames that reach each threshold.

    Parameters
    ----------
    ious : float array, shape (n,), in [0, 1]
    thresholds : float array, shape (t,)

    Returns
    -------
    float array, shape (t,), in [0, 1]

    Examples
    --------
    >>> success_rate([0.2, 0.5, 0.7, 0.9], [0.3, 0.5, 0.8])
    array([0.75, 0.75, 0.25])
    """
    return np.asarray(success_matrix(ious, thresholds).mean(0), np.float64)


def ciou_at(ious: ArrayLike, threshold: float = 0.3, *, beyond: bool = False) -> float:
    """CIoU@t: the fraction of frames whose (C)IoU reaches `threshold`, in [0, 1]; IoU@0.5 is the same at 0.5.

    Examples
    --------
    >>> ciou_at([0.1, 0.35, 0.6, 0.9], 0.3)
    0.75
    """
    return float(success_matrix(ious, [threshold], beyond=beyond).mean())


def auc_per_frame(ious: ArrayLike, grid: ArrayLike = GRID) -> Doubles:
    """What each frame adds to the area under the success curve, shape (n,): `auc` is their mean."""
    steps = np.asarray(grid, np.float64)
    width = (
        np.diff(steps, append=steps[-1]) + np.diff(steps, prepend=steps[0])
    ) / 2  # of the trapezoid rule
    return np.asarray(success_matrix(ious, steps) @ width, np.float64)


def auc(ious: ArrayLike, grid: ArrayLike = GRID) -> float:
    """Area under the curve of success rate against IoU threshold, by the trapezoid rule.

    Parameters
    ----------
    ious : float array, shape (n,), in [0, 1]
    grid : float array, shape (t,)
        Rising thresholds; 0, 0.05, …, 1 unless stated otherwise.

    Returns
    -------
    float
        In [0.025, 1] on the usual grid: the rate at threshold 0 is always 1, so frames that miss entirely score 0.025.

    Source: `tools.py` of DSOL and `Evaluator.finalize_AUC` of EZ-VSL, the same 21 points.

    Examples
    --------
    >>> round(auc([0.0, 1.0]), 4)
    0.5125
    """
    return float(np.trapezoid(success_rate(ious, grid), np.asarray(grid, np.float64)))


def nsa(maps: Floats, sounding: Mask, level: float = 0.2) -> Doubles:
    """No-sounding area: how much of the maps of silent classes stays dark.

    Parameters
    ----------
    maps : float array, shape (n, classes, h, w), in [0, 1]
        One map a class, resized to the raster of the protocol.
    sounding : bool array, shape (n, classes)
        Which classes sound in each frame; at least one must not.
    level : float
        A pixel is dark if its value is at most this, absolutely. Eleven maps that share one softmax evenly lie at 1/11,
        so a network that says nothing scores 1.

    Returns
    -------
    float array, shape (n,), in [0, 1]

    Source: `eval.py` of DSOL.

    Examples
    --------
    >>> maps = np.array([[[[0.9]], [[0.1]], [[0.4]]]])
    >>> nsa(maps, np.array([[True, False, False]]))
    array([0.5])
    """
    if maps.ndim != 4 or sounding.shape != maps.shape[:2]:
        raise ValueError(
            f"maps (n, classes, h, w) and (n, classes) expected, not {maps.shape} and {sounding.shape}"
        )
    return mean_over_silent((maps <= level).mean((2, 3)), sounding)


def mean_over_silent(dark: Floats, sounding: Mask) -> Doubles:
    """Mean of the dark fractions (n, classes) of each frame's silent classes, shape (n,): what `nsa` is made of."""
    if sounding.all(1).any():
        raise ValueError("a frame in which every class sounds has no no-sounding area")
    return np.asarray((dark * ~sounding).sum(1) / (~sounding).sum(1), np.float64)


def pixel_ap(maps: Floats, truth: Mask) -> Doubles:
    """Average precision of each frame's pixels, ranked by their heat: Σ_n (R_n - R_{n-1}) P_n over distinct values.

    Parameters
    ----------
    maps : float array, shape (n, h, w)
        Heat, of any scale: only its order counts, in single precision. Finite.
    truth : bool array, shape (n, h, w)
        Every frame must hold at least one pixel of truth.

    Returns
    -------
    float array, shape (n,), in (0, 1]
        Its chance level is the truth's share of the frame.

    Source: scikit-learn's `average_precision_score`, which the peers call.

    Examples
    --------
    Of four pixels, the first and the third by heat are truth:

    >>> pixel_ap(np.array([[[0.9, 0.6], [0.4, 0.1]]]), np.array([[[True, False], [True, False]]])).round(4)
    array([0.8333])
    """
    _check_masks(truth, truth)
    if maps.shape != truth.shape or not np.isfinite(maps).all():
        raise ValueError(
            f"finite maps of the truth's shape {truth.shape} expected, not {maps.shape}"
        )
    heat, hit = maps.reshape(len(maps), -1), truth.reshape(len(truth), -1)
    return np.array([_area_of_steps(*one) for one in zip(heat, hit, strict=True)])


def _area_of_steps(heat: Floats, hit: Mask) -> float:
    """AP of one frame's pixels, (p,) each: sorted as integers whose last bit is the truth, many times as fast."""
    bits = (heat.astype(np.float32) + np.float32(0)).view(np.uint32)  # no -0
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))  # in the order of the numbers
    ranked = np.sort((rising.astype(np.uint64) << 1) | hit)[::-1]
    last = np.diff(ranked >> 1, append=0) != 0  # equal pixels are taken together
    hits = np.cumsum(ranked & 1)[last]
    precision = hits / (np.flatnonzero(last) + 1)
    return float(np.diff(hits.astype(np.float64), prepend=0) @ precision / hits[-1])


def cap(aps: ArrayLike, frame: ArrayLike, frames: int) -> float:
    """Class-aware AP: the mean over frames of the mean pixel AP of their sounding classes, in [0, 1].

    Each class is held against its own map; `ciou` with AP in place of IoU.

    Source: Hu et al., CVPR 2022 (Mix and Localize); with one class a frame, the mean of per-sample AP of GAR-SSL.
    """
    return float(ciou(aps, frame, frames).mean())


def piap(aps: Floats) -> float:
    """Permutation-invariant AP: maps are given to sources as suits them best, frame by frame, in [0, 1].

    Parameters
    ----------
    aps : float array, shape (n, maps, sources)
        Pixel AP of every map of a frame with every source of it.

    Source: Hu et al., CVPR 2022 (Mix and Localize). AVGN and GAR-SSL print other figures under the same name: the mean
    AP of single maps, and the AP of all frames' pixels in one ranking.

    Examples
    --------
    Two maps that found the two sources the other way round:

    >>> piap(np.array([[[0.1, 0.9], [0.7, 0.2]]]))
    0.8
    """
    if aps.ndim != 3 or aps.shape[1] < aps.shape[2]:
        raise ValueError(f"(n, maps, sources) with a map for each source expected, not {aps.shape}")
    best = [table[linear_sum_assignment(table, maximize=True)].mean() for table in aps]
    return float(np.mean(best))
