"""From scores per frame to figures: means, intervals, and means per class and per video."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from spm.score import metrics, uncertainty
from spm.score.evaluation import FrameScores, Predictions, Selection
from spm.score.metrics import Doubles
from spm.score.protocols import Protocol
from spm.score.uncertainty import Draws

Figures = dict[str, Any]


def columns(scores: FrameScores, protocol: Protocol) -> dict[str, Doubles]:
    """What each frame adds to each figure: every figure is the mean of its column."""
    thresholds = [protocol.iou_at, protocol.ciou_at]
    success = metrics.success_matrix(scores.ious, thresholds, strict=protocol.strict_success)
    grid = 1 / protocol.auc_steps * np.arange(protocol.auc_steps + 1)
    found = {
        "auc": metrics.auc_per_frame(scores.ious, grid),
        f"iou@{protocol.iou_at}": success[:, 0].astype(float),
        f"ciou@{protocol.ciou_at}": success[:, 1].astype(float),
        "mean_iou": scores.ious,
        "pointing_game": scores.pointing_game,
        "nsa": scores.nsa,
        "pixel_ap": scores.pixel_ap,
    }
    return {name: column for name, column in found.items() if column is not None}


def figure_names(protocol: Protocol) -> list[str]:
    """The figures that every run and baseline has."""
    return ["auc", f"iou@{protocol.iou_at}", f"ciou@{protocol.ciou_at}", "mean_iou"]


def figures(scores: FrameScores, protocol: Protocol) -> Figures:
    """Means over the frames; null if there is no frame."""
    if not len(scores.ious):
        return dict.fromkeys(figure_names(protocol))
    return {name: float(column.mean()) for name, column in columns(scores, protocol).items()}


def from_ious(ious: Doubles) -> FrameScores:
    """Scores of frames with one target each, of which only the IoU is known."""
    return FrameScores(ious, ious)


def draw_videos(
    predictions: Predictions, selection: Selection, *, resamples: int, seed: int
) -> Draws | None:
    """Bootstrap draws of the videos of the scored frames; None with fewer than two videos."""
    videos = [predictions.videos[number] for number in selection.frames]
    return uncertainty.draw(videos, resamples=resamples, seed=seed) if videos else None


def intervals(scores: FrameScores, protocol: Protocol, draws: Draws | None) -> Figures:
    """95 % bootstrap interval of each figure, over videos; null with fewer than two videos."""
    if not len(scores.ious):
        return dict.fromkeys(figure_names(protocol))
    return {
        name: uncertainty.interval_of(column, draws)
        for name, column in columns(scores, protocol).items()
    }


def differences(
    first: FrameScores, second: FrameScores, protocol: Protocol, draws: Draws | None
) -> Figures:
    """Figures of the first minus those of the second, with paired 95 % bootstrap intervals.

    Parameters
    ----------
    first, second : FrameScores
        Of the same frames.
    protocol : Protocol
    draws : Draws or None
        Of the videos of these frames, as `draw_videos` makes them.

    Returns
    -------
    Of each figure that both have: its `value`, and the ends of its interval, `low` and `high`.
    These are null with fewer than two videos; without frames, the value is null, too.
    """
    if not len(first.ious):
        empty = {"value": None, "low": None, "high": None}
        return {name: dict(empty) for name in figure_names(protocol)}
    ours, theirs = columns(first, protocol), columns(second, protocol)
    found: Figures = {}
    for name in filter(theirs.__contains__, ours):
        value, bounds = uncertainty.difference_of(ours[name], theirs[name], draws)
        low, high = bounds or (None, None)
        found[name] = {"value": value, "low": low, "high": high}
    return found


def _figures_per_group(
    ious: Doubles, groups: Sequence[frozenset[str]], protocol: Protocol
) -> dict[str, Figures]:
    """Figures of each group; a score counts in every group that it names."""
    members: dict[str, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        for name in group:
            members[name].append(number)
    return {
        name: {"truths": len(numbers)} | figures(from_ious(ious[numbers]), protocol)
        for name, numbers in sorted(members.items())
    }


def _mean_over_groups(groups: dict[str, Figures], protocol: Protocol) -> Figures:
    """Mean over groups; each counts once, whatever its number of frames."""
    means: Figures = {}
    for name in figure_names(protocol):
        values = [group[name] for group in groups.values()]
        means[name] = float(np.mean(values)) if values else None
    return means


def summarize(
    scores: FrameScores,
    predictions: Predictions,
    selection: Selection,
    protocol: Protocol,
    draws: Draws | None,
) -> Figures:
    """All figures of a run or baseline: with intervals, per class, and as class and video means."""
    videos = [predictions.videos[number] for number in selection.frames]
    categories = [target.categories for target in selection.targets]
    by_class = _figures_per_group(scores.target_ious, categories, protocol)
    by_video = _figures_per_group(scores.ious, [frozenset(names) for names in videos], protocol)
    return figures(scores, protocol) | {
        "interval_95": intervals(scores, protocol, draws),
        "per_class": by_class,
        "class_mean": _mean_over_groups(by_class, protocol),
        "video_mean": _mean_over_groups(by_video, protocol),
    }
