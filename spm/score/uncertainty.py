"""How far a mean over frames can be believed, and a difference between two runs on the same frames."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spm.score.metrics import Doubles


def _resampled(videos: ArrayLike, resamples: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.int64]] | None:
    """Which video each frame belongs to, and how often each video is drawn, (resamples, videos); None: too few."""
    names, owner = np.unique(np.asarray(videos), return_inverse=True)
    if len(names) < 2:
        return None
    even = np.full(len(names), 1 / len(names))
    return owner, np.random.default_rng(seed).multinomial(len(names), even, size=resamples)


def _means(values: ArrayLike, owner: NDArray[np.intp], drawn: NDArray[np.int64]) -> Doubles:
    """Mean over the frames of the drawn videos, (resamples,)."""
    sums = np.bincount(owner, np.asarray(values, np.float64))
    return np.asarray((drawn @ sums) / (drawn @ np.bincount(owner)), np.float64)


def _ends(means: Doubles, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def interval(
    values: ArrayLike, videos: ArrayLike, *, resamples: int, seed: int, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Bootstrap interval of a mean over frames, for frames that come in videos.

    Whole videos are drawn with replacement, each with all its frames: frames of one video are alike, and drawing them
    one by one would pretend to know far more than was seen.

    Parameters
    ----------
    values : float array, shape (n,)
        What each frame adds to the mean: a column of `reached(ious, …)`, or `area_of_each(ious)`.
    videos : array, shape (n,)
        The video of each frame.
    resamples : int
        How many times the videos are drawn.
    seed : int
        Of the draws: the same seed gives the same interval.
    confidence : float
        Share of the resampled means between the two ends.

    Returns
    -------
    (low, high), or None with fewer than two videos, which say nothing about the next one.

    Examples
    --------
    >>> interval([1, 1, 0, 0], ["a", "a", "b", "c"], resamples=1000, seed=0)
    (0.0, 1.0)
    """
    draws = _resampled(videos, resamples, seed)
    return _ends(_means(values, *draws), confidence) if draws else None


def difference(
    one: ArrayLike, other: ArrayLike, videos: ArrayLike, *, resamples: int, seed: int, confidence: float = 0.95
) -> tuple[float, tuple[float, float] | None]:
    """Mean of one run minus that of another on the same frames, with its paired bootstrap interval.

    Both runs see the same draw of videos, so what makes a video easy or hard for everybody falls out: the interval is
    narrower than those of the two means suggest. An interval without 0 is a difference that other videos would show.

    Parameters
    ----------
    one, other : float arrays, shape (n,)
        What each frame adds to either mean, in the same order of frames.
    videos : array, shape (n,)
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
