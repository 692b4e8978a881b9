"""Paired comparison of two systems on the same frames.

Both systems are scored on the frames that have a map of both. The difference of a figure has a
bootstrap interval over videos, and the p-value of a permutation test: under the hypothesis that the
systems are equal, the two scores of a video could as well be exchanged, so the test flips the sign
of the difference of each video. The p-value holds for the choice of the videos only, not for the
seed of a training.

Sizes are those of SLAVC: the number of pixels of a frame's truth on 224 x 224 pixels, below 32²
(small), 96² (medium), 144² (large), or more (huge).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spm.base.errors import UserError
from spm.score import aggregation, evaluation, map_streams, masks, uncertainty
from spm.score.evaluation import FrameScores, Selection, Truth
from spm.score.external_maps import Matched
from spm.score.metrics import Doubles
from spm.score.protocols import Protocol
from spm.score.uncertainty import Draws

SIZES_PX = {"small": 32**2, "medium": 96**2, "large": 144**2, "huge": np.inf}  # upper bounds
ALL = "all frames"


class MapDifference(NamedTuple):
    """A figure of two systems on the same frames, of all or of a part of them."""

    protocol: str
    figure: str
    part: str  # ALL, or `class NAME`, or `size NAME`
    frames: int
    first: float
    second: float
    difference: float  # first - second
    low: float | None  # 95 % bootstrap interval over videos; None with fewer than two videos
    high: float | None
    p_value: float | None  # permutation test over videos, two-sided


def on_common_frames(first: Matched, second: Matched) -> tuple[Matched, Matched]:
    """Both with the frames that have a map in both, in one order.

    Raises
    ------
    UserError
        If no frame has two maps.
    """
    numbers = {key: number for number, key in enumerate(second.predictions.keys)}
    common = [key for key in first.predictions.keys if key in numbers]
    if not common:
        raise UserError("no frame has maps of both systems; expected maps of the same frames")
    own = {key: number for number, key in enumerate(first.predictions.keys)}
    return (
        _select(first, [own[key] for key in common]),
        _select(second, [numbers[key] for key in common]),
    )


def _select(matched: Matched, chosen: Sequence[int]) -> Matched:
    """The frames of some numbers."""
    predictions = matched.predictions
    part = replace(
        predictions,
        keys=[predictions.keys[number] for number in chosen],
        videos=[predictions.videos[number] for number in chosen],
        frame_maps=map_streams.select(predictions.frame_maps, chosen),
        class_maps=map_streams.select(predictions.class_maps, chosen),
    )
    return replace(matched, predictions=part)


def compare(
    first: Matched, second: Matched, protocols: Sequence[Protocol], *, resamples: int, seed: int
) -> Iterator[MapDifference]:
    """Differences of every figure under each protocol: of all frames, per class and per size.

    Parameters
    ----------
    first, second : Matched
        Of the same frames, as `on_common_frames` gives them.
    protocols : sequence of Protocol
    resamples, seed : int
        Of the bootstrap, and of the permutations.
    """
    truth = first.truth
    results = [
        evaluation.score(protocols, matched.predictions, truth) for matched in (first, second)
    ]
    for protocol in protocols:
        selection, ours = results[0][protocol.name]
        theirs = results[1][protocol.name][1]
        keys = [first.predictions.keys[number] for number in selection.frames]
        videos = [first.predictions.videos[number] for number in selection.frames]
        parts = {ALL: np.ones(len(keys), bool)}
        parts |= _classes(selection) | _sizes(protocol, selection, truth)
        for name, members in parts.items():
            draws = _draw(videos, members, resamples, seed)
            yield from _differences(protocol, name, members, (ours, theirs), videos, draws, seed)


def _draw(
    videos: Sequence[tuple[str, ...]], members: NDArray[np.bool_], resamples: int, seed: int
) -> Draws | None:
    names = [video for video, is_member in zip(videos, members, strict=True) if is_member]
    return uncertainty.draw(names, resamples=resamples, seed=seed) if names else None


def _classes(selection: Selection) -> dict[str, NDArray[np.bool_]]:
    """The frames in which each class sounds; empty with a single class."""
    members: dict[str, NDArray[np.bool_]] = {}
    for target in selection.targets:
        for name in sorted(target.categories):
            frames = members.setdefault(f"class {name}", np.zeros(len(selection.frames), bool))
            frames[target.frame] = True
    return dict(sorted(members.items())) if len(members) > 1 else {}


def _sizes(protocol: Protocol, selection: Selection, truth: Truth) -> dict[str, NDArray[np.bool_]]:
    """The frames of each size that occurs."""
    areas = np.zeros(len(selection.frames))
    for target in selection.targets:
        drawn = masks.raster(target.boxes, protocol.raster_px, protocol.box_form or truth.form)
        areas[target.frame] = max(areas[target.frame], np.count_nonzero(drawn))
    bounds = list(SIZES_PX.values())
    numbers = np.searchsorted(bounds, areas, side="right")
    found = {f"size {name}": numbers == number for number, name in enumerate(SIZES_PX)}
    return {name: members for name, members in found.items() if members.any()}


def _differences(
    protocol: Protocol,
    part: str,
    members: NDArray[np.bool_],
    systems: tuple[FrameScores, FrameScores],
    videos: Sequence[tuple[str, ...]],
    draws: Draws | None,
    seed: int,
) -> Iterator[MapDifference]:
    columns = [aggregation.columns(scores, protocol) for scores in systems]
    owner = [video for video, is_member in zip(videos, members, strict=True) if is_member]
    for figure in filter(columns[1].__contains__, columns[0]):
        ours, theirs = (column[figure][members] for column in columns)
        value, bounds = uncertainty.difference_of(ours, theirs, draws)
        low, high = bounds or (None, None)
        p_value = permutation_test(ours - theirs, owner, resamples=_count(draws), seed=seed)
        means = float(ours.mean()), float(theirs.mean())
        yield MapDifference(
            protocol.name, figure, part, len(ours), *means, value, low, high, p_value
        )


def _count(draws: Draws | None) -> int:
    return len(draws.weights) if draws else 0


def permutation_test(
    gains: Doubles, videos: Sequence[object], *, resamples: int, seed: int
) -> float | None:
    """Two-sided p-value of the mean of paired differences, with the signs of videos permuted.

    Parameters
    ----------
    gains : float array, shape (n,)
        MapDifference of each frame.
    videos : sequence
        The video of each frame; its frames share a sign.
    resamples : int
        Number of permutations; all of them are taken if there are no more. 0: no test.
    seed : int

    Returns
    -------
    float, or None with fewer than two videos

    Examples
    --------
    >>> permutation_test(np.full(8, 0.1), list("abcdefgh"), resamples=1000, seed=0)
    0.0078125
    """
    names = {video: number for number, video in enumerate(dict.fromkeys(videos))}
    if len(names) < 2 or not resamples:
        return None
    sums = np.bincount([names[video] for video in videos], gains)
    if not sums.any():
        return 1.0
    result = stats.permutation_test(
        (sums,),
        lambda values, axis: values.sum(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, uncertainty.BLOCK_VALUES // len(sums)),
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)
