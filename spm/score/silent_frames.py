"""Figures of a set in which nothing visible sounds in some frames.

Unlike the negatives of the workflow (`negative_scores`), these frames are other pictures, or other
pairs of a picture and a sound, than the positive ones. `spm.score.negatives` has the figures.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from spm.score import evaluation, masks, metrics, negatives, protocols, uncertainty
from spm.score.evaluation import Predictions, Truth
from spm.score.masks import Maps
from spm.score.metrics import Doubles, Mask
from spm.score.negatives import Detections
from spm.score.uncertainty import Draws

PROTOCOL = "ez-vsl"  # of the IoU of SLAVC's detections
Means = Callable[[Doubles], Doubles]  # sums over frames of columns: (n, k) → (resamples, k)


class SilentMeasures(NamedTuple):
    """What each frame has: (n,) each."""

    sounding: Mask
    maximum: Doubles
    confidence: Doubles  # of SLAVC: mean of the highest quarter
    share: Doubles  # of the image that is above the threshold
    iou: Doubles  # of the foreground of PROTOCOL with the truth; 0 without truth
    iou_above: Doubles  # of the foreground above the threshold with the truth; 0 without truth


def measure(
    predictions: Predictions, truth: Truth, threshold: float | None
) -> tuple[float, SilentMeasures]:
    """Measure every map; without a threshold, the universal one of the frames without truth.

    Raises
    ------
    ValueError
        If no frame is without truth and no threshold is stated.
    """
    sounding = np.array([bool(truth.boxes.get(key)) for key in predictions.keys])
    maxima, confidences = np.empty(len(sounding)), np.empty(len(sounding))
    for part, maps in _parts(predictions):
        maxima[part] = negatives.maximum(maps)
        confidences[part] = negatives.top_quarter(masks.resize_cubic(maps, negatives.PX))
    if threshold is None:
        if sounding.all():
            raise ValueError("expected a frame without truth, or a threshold")
        threshold = negatives.universal_threshold(maxima[~sounding])
    shares = np.empty(len(sounding))
    for part, maps in _parts(predictions):
        shares[part] = negatives.foreground_share(maps, threshold)
    chosen = [protocols.find(PROTOCOL), negatives.protocol(threshold)]
    results = evaluation.score(chosen, predictions, truth)
    ious = np.zeros((2, len(sounding)))
    for row, (selection, scores) in zip(ious, results.values(), strict=True):
        row[selection.frames] = scores.ious
    return threshold, SilentMeasures(sounding, maxima, confidences, shares, *ious)


def _parts(predictions: Predictions) -> Iterator[tuple[slice, Maps]]:
    """Ranges of at most masks.BATCH frames, and their maps."""
    for part, loaded in predictions.parts():
        maps = np.asarray(loaded.frame_maps)
        for start in range(0, len(maps), masks.BATCH):
            batch = maps[start : start + masks.BATCH]
            yield slice(part.start + start, part.start + start + len(batch)), batch


def figures(
    found: SilentMeasures, threshold: float, draws: Draws | None = None
) -> dict[str, Doubles]:
    """Every figure, (1,), or (resamples,) with draws of the videos.

    ap, max_f1      of SLAVC: detection and localization over confidence
    loc_acc         share of positive frames with an IoU above 0.5
    fpr             share of negative frames with a pixel above the threshold
    pia, auc_pia    mean share of the image above it in negative frames; area under its curve
    f               harmonic mean of the mean IoU above the threshold and 1 - pIA
    """

    def sums(columns: Doubles) -> Doubles:
        if draws is None:
            return np.asarray(columns.sum(0, keepdims=True))
        return uncertainty.resampled_sums(columns, draws)

    positive, negative = found.sounding.astype(float), 1.0 - found.sounding
    silence = np.stack(
        [
            negative,
            negative * (found.maximum > threshold),
            negative * found.share,
            negative * negatives.inactive_auc_per_frame(found.share),
            positive,
            positive * (found.iou > 0.5),
            positive * found.iou_above,
        ],
        axis=1,
    )
    frames, above, share, area, sounds, located, ious = sums(silence).T
    count, sounds = np.maximum(frames, 1), np.maximum(sounds, 1)
    return {
        "ap": _detection(found, negatives.ap_thresholds, sums, negatives.area_under_precision),
        "max_f1": _detection(found, negatives.f1_thresholds, sums, _largest_f1),
        "loc_acc": located / sounds,
        "fpr": above / count,
        "pia": share / count,
        "auc_pia": area / count,
        "f": negatives.harmonic_mean(ious / sounds, 1 - share / count),
    }


def _largest_f1(precision: Doubles, recovered: Doubles) -> Doubles:
    return np.asarray(negatives.f1(precision, recovered).max(-1))


def _detection(
    found: SilentMeasures,
    thresholds_of: Callable[[Doubles], Doubles],
    sums: Means,
    figure: Callable[[Doubles, Doubles], Doubles],
) -> Doubles:
    """A figure of precision and recall over confidence, (resamples,)."""
    levels = thresholds_of(found.confidence)
    detections = Detections.check(found.iou, found.confidence, found.sounding)
    counts = negatives.detection_counts(detections, levels)
    totals = sums(np.hstack([np.asarray(each, np.float64) for each in counts]))
    return np.asarray(figure(*negatives.precision_recall(*np.split(totals, 3, axis=1))))


def pair_columns(ious: Doubles, videos: list[str]) -> tuple[Doubles, list[str]]:
    """IIoU and IAUC of each picture, (pictures, 2), and the pictures: pairs of the same video."""
    names = sorted(set(videos))
    at_half = negatives.iiou_per_picture(ious, videos, [0.5])
    curve = negatives.iiou_per_picture(ious, videos, metrics.GRID)
    area = np.trapezoid(curve.astype(float), metrics.GRID, axis=1)
    return np.column_stack([at_half[:, 0].astype(float), area]), names
