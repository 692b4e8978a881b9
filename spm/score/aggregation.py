"""From scores per frame to figures: means, intervals, and means per class and per video."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from spm.score import metrics, uncertainty
from spm.score.evaluation import FrameScores, Predictions, Selection
from spm.score.metrics import Doubles
from spm.score.protocols import Protocol

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


def intervals(
    scores: FrameScores,
    videos: Sequence[tuple[str, ...]],
    protocol: Protocol,
    resamples: int,
    seed: int,
) -> Figures:
    """95 % bootstrap interval of each figure, over videos; null with fewer than two videos."""
    if not len(scores.ious):
        return dict.fromkeys(figure_names(protocol))
    return {
        name: uncertainty.interval(column, videos, resamples=resamples, seed=seed)
        for name, column in columns(scores, protocol).items()
    }


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
    *,
    resamples: int,
    seed: int,
) -> Figures:
    """All figures of a run or baseline: with intervals, per class, and as class and video means."""
    videos = [predictions.videos[number] for number in selection.frames]
    categories = [target.categories for target in selection.targets]
    by_class = _figures_per_group(scores.target_ious, categories, protocol)
    by_video = _figures_per_group(scores.ious, [frozenset(names) for names in videos], protocol)
    return figures(scores, protocol) | {
        "interval_95": intervals(scores, videos, protocol, resamples, seed),
        "per_class": by_class,
        "class_mean": _mean_over_groups(by_class, protocol),
        "video_mean": _mean_over_groups(by_video, protocol),
    }
