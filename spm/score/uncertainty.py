"""How far a mean over frames can be believed, and a difference between two runs on the same frames."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spm.score.metrics import Doubles


def _resampled(
    videos: ArrayLike, resamples: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.int64]] | None:
    """The group of each frame, those of the same videos, and each group's weight (resamples, groups); None: too few."""
    of_frame = np.asarray(videos)
    names, owner = np.unique(of_frame, return_inverse=True)
    groups, group = np.unique(owner.reshape(len(of_frame), -1), axis=0, return_inverse=True)
    if len(groups) < 2:
        return None
    even = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), even, size=resamples)
    return group.reshape(-1), drawn[:, groups].prod(-1)


def _means(values: ArrayLike, group: NDArray[np.intp], weights: NDArray[np.int64]) -> Doubles:
    """Mean over the frames of the drawn videos, one for each draw that has frames."""
    sums, counts = np.bincount(group, np.asarray(values, np.float64)), weights @ np.bincount(group)
    return np.asarray((weights @ sums)[counts > 0] / counts[counts > 0], np.float64)


def _ends(means: Doubles, confidence: float) -> tuple[float, float] | None:
    if not len(means):
        return None
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def interval(
    values: ArrayLike, videos: ArrayLike, *, resamples: int, seed: int, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Bootstrap interval of a mean over frames, for frames that come in videos.

    Whole videos are drawn with replacement, each with all its frames: frames of one video are alike, and drawing them
    one by one would pretend to know far more than was seen. A frame that is made of several videos, a mosaic, comes as
    often as the product of its videos' draws (the pigeonhole bootstrap: Owen, Annals of Applied Statistics, 2007).

    Parameters
    ----------
    values : float array, shape (n,)
        What each frame adds to the mean: a column of `reached(ious, …)`, or `area_of_each(ious)`.
    videos : array, shape (n,) or (n, s)
        The video of each frame, or the s videos that it is made of.
    resamples : int
        How many times the videos are drawn.
    seed : int
        Of the draws: the same seed gives the same interval.
    confidence : float
        Share of the resampled means between the two ends.

    Returns
    -------
    (low, high), or None where all frames are of the same videos, which say nothing of others, or no draw has a frame.

    Examples
    --------
    >>> interval([1, 1, 0, 0], ["a", "a", "b", "c"], resamples=1000, seed=0)
    (0.0, 1.0)
    >>> interval([1, 0, 0], [["a", "b"], ["b", "c"], ["a", "c"]], resamples=1000, seed=0)
    (0.0, 1.0)
    """
    draws = _resampled(videos, resamples, seed)
    return _ends(_means(values, *draws), confidence) if draws else None


def difference(
    one: ArrayLike,
    other: ArrayLike,
    videos: ArrayLike,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> tuple[float, tuple[float, float] | None]:
    """Mean of one run minus that of another on the same frames, with its paired bootstrap interval.

    Both runs see the same draw of videos, so what makes a video easy or hard for everybody falls out: the interval is
    narrower than those of the two means suggest. An interval without 0 is a difference that other videos would show.

    Parameters
    ----------
    one, other : float arrays, shape (n,)
        What each frame adds to either mean, in the same order of frames.
    videos : array, shape (n,) or (n, s)
    resamples, seed, confidence
        As for `interval`.

    Returns
    -------
    (difference, interval); the interval is None with fewer than two videos.

    Examples
    --------
    >>> difference([0.9, 0.5, 0.7], [0.8, 0.4, 0.6], ["a", "b", "c"], resamples=100, seed=0)[0].__round__(6)
    0.1
    """
    gain = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    bounds = interval(gain, videos, resamples=resamples, seed=seed, confidence=confidence)
    return float(gain.mean()), bounds
