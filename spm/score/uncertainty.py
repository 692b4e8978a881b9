"""Bootstrap intervals: of a mean over frames, and of the difference between two runs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from spm.score.metrics import Doubles, Floats

BLOCK_VALUES = 1 << 22  # draws that are handled at once: bounds the memory


class Draws(NamedTuple):
    """Resamples of the videos of some frames. Frames of the same videos form a group."""

    group: NDArray[np.intp]  # (n,): the group of each frame
    # (resamples, groups): product of the draws of a group's videos, small integers
    weights: NDArray[np.int16]


def draw(videos: ArrayLike, *, resamples: int, seed: int) -> Draws | None:
    """Draw the videos of frames with replacement; None if all frames are of the same videos.

    Means and differences of the same frames can share the draws; `interval` has the method.
    """
    frame_videos = np.asarray(videos)
    names, owner = np.unique(frame_videos, return_inverse=True)
    groups, group = np.unique(owner.reshape(len(frame_videos), -1), axis=0, return_inverse=True)
    if len(groups) < 2:
        return None
    even = np.full(len(names), 1 / len(names))
    generator, weights = np.random.default_rng(seed), np.empty((resamples, len(groups)), np.int16)
    step = max(1, BLOCK_VALUES // len(names))
    for start in range(0, resamples, step):  # blocks of one stream of random numbers
        size = min(step, resamples - start)
        draws = generator.multinomial(len(names), even, size=size)
        weights[start : start + size] = draws[:, groups].prod(-1)
    return Draws(group.reshape(-1), weights)


def resampled_sums(columns: Floats, draws: Draws) -> Doubles:
    """Sums over the frames of the drawn videos: (n, k) → (resamples, k).

    For figures that are not a mean over frames: they are computed from the sums of each resample.
    """
    frames, groups = len(columns), draws.weights.shape[1]
    members = csr_array((np.ones(frames), (draws.group, np.arange(frames))), (groups, frames))
    per_group = members @ np.asarray(columns, np.float64)  # (groups, k)
    step = max(1, BLOCK_VALUES // groups)
    return np.concatenate(
        [
            draws.weights[start : start + step].astype(np.float64) @ per_group
            for start in range(0, len(draws.weights), step)
        ]
    )


def column_means(values: Floats, draws: Draws) -> Doubles:
    """Means of several columns over the frames of the drawn videos: (n, k) → (resamples, k).

    A resample without frames is left out.
    """
    sums = resampled_sums(np.hstack([values, np.ones((len(values), 1))]), draws)
    sums = sums[sums[:, -1] > 0]
    return np.asarray(sums[:, :-1] / sums[:, -1:])


def quantiles(means: Doubles, confidence: float = 0.95) -> tuple[float, float] | None:
    """The ends of the interval of resampled figures, (resamples,); None without a resample."""
    if not len(means):
        return None
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def interval_of(
    values: ArrayLike, draws: Draws | None, confidence: float = 0.95
) -> tuple[float, float] | None:
    """`interval` of a mean over frames whose videos are drawn already."""
    if draws is None:
        return None
    return quantiles(column_means(np.asarray(values, np.float64)[:, None], draws)[:, 0], confidence)


def interval(
    values: ArrayLike, videos: ArrayLike, *, resamples: int, seed: int, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Bootstrap interval of a mean over frames that come from videos.

    Whole videos are drawn with replacement, each with all its frames. Frames of one video are
    alike; drawing frames one by one would give intervals that are much too narrow. A frame made of
    more than one video, a mosaic, is weighted by the product of its videos' draws (the pigeonhole
    bootstrap: Owen, Annals of Applied Statistics, 2007).

    Parameters
    ----------
    values : float array, shape (n,)
        What each frame adds to the mean: a column of `metrics.success_matrix`, or
        `metrics.auc_per_frame`.
    videos : array, shape (n,) or (n, s)
        The video of each frame, or the s videos that it is made of.
    resamples : int
        How many times the videos are drawn.
    seed : int
        Random seed of the draws.
    confidence : float
        Share of the resampled means between the two ends.

    Returns
    -------
    (low, high), or None if all frames are of the same videos, or no draw has a frame.

    Examples
    --------
    >>> interval([1, 1, 0, 0], ["a", "a", "b", "c"], resamples=1000, seed=0)
    (0.0, 1.0)
    >>> interval([1, 0, 0], [["a", "b"], ["b", "c"], ["a", "c"]], resamples=1000, seed=0)
    (0.0, 1.0)
    """
    return interval_of(values, draw(videos, resamples=resamples, seed=seed), confidence)


def difference_of(
    first: ArrayLike, second: ArrayLike, draws: Draws | None, confidence: float = 0.95
) -> tuple[float, tuple[float, float] | None]:
    """`difference` of two means over frames whose videos are drawn already."""
    gain = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    return float(gain.mean()), interval_of(gain, draws, confidence)


def difference(
    first: ArrayLike,
    second: ArrayLike,
    videos: ArrayLike,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> tuple[float, tuple[float, float] | None]:
    """Mean of one run minus that of another on the same frames, with a paired bootstrap interval.

    Both runs see the same draw of videos, so the difficulty of a video, common to both, cancels:
    the interval is narrower than those of the two means. If it excludes 0, the difference is
    significant with regard to the choice of videos.

    Parameters
    ----------
    first, second : float arrays, shape (n,)
        What each frame adds to the two means, in the same order of frames.
    videos : array, shape (n,) or (n, s)
    resamples, seed, confidence
        As for `interval`.

    Returns
    -------
    (difference, interval); the interval is None with fewer than two videos.

    Examples
    --------
    >>> videos = ["a", "b", "c"]
    >>> gain, _ = difference([0.9, 0.5, 0.7], [0.8, 0.4, 0.6], videos, resamples=100, seed=0)
    >>> round(gain, 6)
    0.1
    """
    draws = draw(videos, resamples=resamples, seed=seed)
    return difference_of(first, second, draws, confidence)
