"""How a localizer behaves where nothing that is seen makes the sound: silence, noise, other sounds.

Conventions: a frame is positive if its sound is made by what it shows, and negative otherwise. One
threshold holds for all frames, and a pixel is foreground above it. The confidence of a frame is a
number that is high where the system says that it has found the source. Maps must share one scale:
confidence has no meaning if each map is scaled to [0, 1] on its own.

docs/protocols.md compares each function with its source's code.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spm.score import masks, metrics
from spm.score.metrics import Doubles, Floats, Mask
from spm.score.protocols import Protocol, Rule

SLAVC_THRESHOLDS = 200  # about so many confidences are thresholds of the average precision
SLAVC_F1_THRESHOLDS = 10  # and so many of the largest F1
PX = 224  # width and height to which maps are resized


class Detections(NamedTuple):
    """Frames with what is needed to count right and wrong detections; each field is (n,)."""

    ious: Doubles  # of the foreground with the truth; any number for a negative frame
    confidences: Doubles
    sounding: Mask  # whether the frame is positive

    @classmethod
    def check(cls, ious: ArrayLike, confidences: ArrayLike, sounding: ArrayLike) -> "Detections":
        """Arrays of one length.

        Raises
        ------
        ValueError
            If the lengths differ, there is no frame, or a confidence is not finite.
        """
        found = cls(
            np.asarray(ious, np.float64),
            np.asarray(confidences, np.float64),
            np.asarray(sounding, np.bool_),
        )
        shapes = {field.shape for field in found}
        if len(shapes) > 1 or found.ious.ndim != 1 or not len(found.ious):
            raise ValueError(f"expected three arrays (n,) with n > 0, not {sorted(shapes)}")
        if not np.isfinite(found.confidences).all():
            raise ValueError("expected finite confidences")
        return found


# Confidence, from the map alone


def maximum(maps: Floats) -> Doubles:
    """Confidence of each map (n, h, w): its largest value, shape (n,).

    Source: Juanola et al., ICASSP 2025, `eval.py` (`max_heatmap_list`), on the maps as they are.

    Examples
    --------
    >>> maximum(np.array([[[0.1, 0.8], [0.2, 0.3]]]))
    array([0.8])
    """
    return np.asarray(maps.max((1, 2)), np.float64)


def top_quarter(maps: Floats) -> Doubles:
    """Confidence of each map (n, h, w): the mean of the highest quarter of its values, shape (n,).

    Source: SLAVC (Mo and Morgado, NeurIPS 2022), `test.py`, where the maps have 224 × 224 pixels
    after bicubic interpolation (`masks.resize_cubic`).

    Examples
    --------
    >>> top_quarter(np.array([[[0.1, 0.8], [0.2, 0.3]]]))
    array([0.8])
    """
    flat = np.sort(maps.reshape(len(maps), -1), axis=1)
    quarter = -(-flat.shape[1] // 4)  # rounded up
    return np.asarray(flat[:, -quarter:].mean(1, dtype=np.float64))


def universal_threshold(maxima: ArrayLike, quantile: float = 0.75) -> float:
    """The threshold above which a quarter of the negative frames still have a pixel.

    Parameters
    ----------
    maxima : float array, shape (n,)
        Largest value of the map of each negative frame, of all kinds of negative sounds. Take
        frames that are not scored.
    quantile : float
        Share of the negative frames whose maps become empty.

    Returns
    -------
    float

    Source: Juanola et al., ICASSP 2025, `eval.py`: the thresholds named `maxq3`, whose values are
    constants there. They come from the negatives of the test set.

    Examples
    --------
    >>> universal_threshold([0.1, 0.2, 0.3, 0.4, 0.5])
    0.4
    """
    return float(np.quantile(np.asarray(maxima, np.float64), quantile))


def protocol(threshold: float) -> Protocol:
    """The protocol by which frames are scored under one threshold for all maps.

    A pixel above it is foreground, and all boxes of a frame are one truth: `ciou_05_wogl` and its
    like in Juanola et al., `eval.py`.
    """
    source = "Juanola et al., ICASSP 2025: one threshold for all maps"
    return Protocol("absolute", source, Rule.VALUE, threshold, strict=True)


# Detection: average precision, F1, accuracy


def detection_counts(
    detections: Detections, thresholds: ArrayLike, iou_at: float = 0.5
) -> tuple[Mask, Mask, Mask]:
    """Which frames are true positives, false positives and false negatives at each threshold.

    A frame is detected if its confidence is at least the threshold. A detected positive frame is a
    true positive if its IoU is at least `iou_at`, and otherwise a false positive. It is not a false
    negative then: recall counts the positive frames that are not detected at all.

    Parameters
    ----------
    detections : Detections
    thresholds : float array, shape (t,)
    iou_at : float

    Returns
    -------
    Three bool arrays, shape (n, t)

    Source: SLAVC, `utils.py`, `EvaluatorFull.calc_precision_recall`.
    """
    detected = detections.confidences[:, None] >= np.asarray(thresholds, np.float64)  # (n, t)
    sounding, located = detections.sounding[:, None], (detections.ious >= iou_at)[:, None]
    true = detected & sounding & located
    return true, detected & ~(sounding & located), ~detected & sounding


def precision_recall(
    true: ArrayLike, false: ArrayLike, missed: ArrayLike
) -> tuple[Doubles, Doubles]:
    """Precision and recall of numbers of true positives, false positives and false negatives.

    The arrays have one shape, and may be means instead of numbers. Without detections the precision
    is 1, and without positive frames that count the recall is 1.

    Source: SLAVC, `utils.py`, `EvaluatorFull.calc_precision_recall`.
    """
    hits, wrong, unseen = (np.asarray(each, np.float64) for each in (true, false, missed))
    with np.errstate(invalid="ignore"):
        precisions, recalls = hits / (hits + wrong), hits / (hits + unseen)
    return np.nan_to_num(precisions, nan=1.0), np.nan_to_num(recalls, nan=1.0)


def ap_thresholds(confidences: ArrayLike) -> Doubles:
    """Thresholds of `average_precision`, falling: every confidence, or about 200 of them.

    The largest confidence is none, as in the source.
    """
    values = np.sort(np.asarray(confidences, np.float64))
    return np.asarray(values[:-1][:: -max(1, len(values) // SLAVC_THRESHOLDS)])


def f1_thresholds(confidences: ArrayLike) -> Doubles:
    """Thresholds of `max_f1`: about ten of the sorted confidences."""
    values = np.sort(np.asarray(confidences, np.float64))
    return np.asarray(values[:: max(1, len(values) // SLAVC_F1_THRESHOLDS)])


def area_under_precision(
    precisions: Doubles, recalls: Doubles, *, from_zero: bool = True
) -> Doubles:
    """Area under precision against recall, with the points in the last axis: (…, t) → (…).

    Each step of recall counts with the best precision from here on. SLAVC's `EvaluatorFull.calc_ap`
    begins at the first point (`from_zero=False`): what is found at the highest confidence does not
    count, and a perfect system with the same confidence for all frames that sound has an area of 0.
    """
    best = np.maximum.accumulate(precisions[..., ::-1], -1)[..., ::-1]
    area = np.asarray((best[..., :-1] * np.diff(recalls, axis=-1)).sum(-1), np.float64)
    if from_zero and recalls.shape[-1]:
        area += best[..., 0] * recalls[..., 0]
    return area


def average_precision(
    ious: ArrayLike,
    confidences: ArrayLike,
    sounding: ArrayLike,
    iou_at: float = 0.5,
    *,
    from_zero: bool = True,
) -> float:
    """Average precision of detection and localization over confidence.

    Parameters
    ----------
    ious : float array, shape (n,), in [0, 1]
        IoU of each frame's foreground with its truth; any number for a negative frame.
    confidences : float array, shape (n,)
    sounding : bool array, shape (n,)
        Whether the frame is positive.
    iou_at : float
        IoU from which on a detection is right.
    from_zero : bool
        Whether the area begins at recall 0; False: at the highest confidence, as in the source.

    Returns
    -------
    float

    Source: SLAVC, `utils.py`, `EvaluatorFull.calc_ap`; ACL-SSL and SSLalignment have copies.
    ACL-SSL takes the cosine of two embeddings as confidence.

    Examples
    --------
    Three positive frames that are located, and two negative ones with less confidence:

    >>> sounding = [True, True, True, False, False]
    >>> confidences = [0.9, 0.8, 0.7, 0.2, 0.1]
    >>> average_precision([1, 1, 1, 0, 0], confidences, sounding)
    1.0
    >>> round(average_precision([1, 1, 1, 0, 0], confidences, sounding, from_zero=False), 4)
    0.3333
    """
    detections = Detections.check(ious, confidences, sounding)
    counts = detection_counts(detections, ap_thresholds(confidences), iou_at)
    curve = precision_recall(*(each.sum(0) for each in counts))
    return float(area_under_precision(*curve, from_zero=from_zero))


def f1(precisions: ArrayLike, recalls: ArrayLike) -> Doubles:
    """Harmonic mean of precision and recall, of any shape; 0 where both are 0."""
    return harmonic_mean(precisions, recalls)


def max_f1(
    ious: ArrayLike, confidences: ArrayLike, sounding: ArrayLike, iou_at: float = 0.5
) -> float:
    """Largest F1 at about ten confidences; the parameters are those of `average_precision`.

    Source: SLAVC, `utils.py`, `EvaluatorFull.finalize_stats`, which prints the F1 of each
    threshold; ACL-SSL takes their maximum, of figures that are rounded to 0.1 %.

    Examples
    --------
    >>> max_f1([1, 1, 0], [0.9, 0.8, 0.1], [True, True, False])
    1.0
    """
    detections = Detections.check(ious, confidences, sounding)
    counts = detection_counts(detections, f1_thresholds(confidences), iou_at)
    return float(f1(*precision_recall(*(each.sum(0) for each in counts))).max())


def loc_acc(ious: ArrayLike, iou_at: float = 0.5) -> float:
    """Localization accuracy: the share of positive frames with an IoU above `iou_at`.

    Source: SLAVC, `utils.py`, `EvaluatorFull.precision_at_50`, which compares with `>`.

    Examples
    --------
    >>> loc_acc([0.2, 0.5, 0.6, 0.9])
    0.5
    """
    return metrics.ciou_at(ious, iou_at, strict=True)


# Foreground of negative frames


def foreground_share(maps: Floats, threshold: float, px: int = PX) -> Doubles:
    """pIA: percentage of the image area that is foreground, as a fraction, shape (n,).

    Parameters
    ----------
    maps : float array, shape (n, h, w)
        Resized to (px, px) by bilinear interpolation.
    threshold : float
        A pixel above it is foreground.
    px : int

    Returns
    -------
    float array, shape (n,), in [0, 1]: 0 is right for a negative frame

    Source: Juanola et al., `utils_dir/eval_utils.py`, `compute_pIA`. The false-positive rate of
    AVSBench-Robust (Li et al., 2025; `calculate_FPR`) is its mean at a threshold of 0.5.

    Examples
    --------
    >>> foreground_share(np.array([[[0.9, 0.1], [0.1, 0.1]]]), 0.5, px=2)
    array([0.25])
    """
    return 1 - masks.inactive_fractions(maps, px, threshold)


def false_positive_rate(maxima: ArrayLike, threshold: float) -> float:
    """Share of negative frames with any foreground.

    Examples
    --------
    >>> false_positive_rate([0.2, 0.7], 0.5)
    0.5
    """
    return float((np.asarray(maxima, np.float64) > threshold).mean())


def inactive_auc_per_frame(shares: ArrayLike) -> Doubles:
    """What each frame adds to `inactive_auc`, shape (n,)."""
    below = np.asarray(shares, np.float64)[:, None] <= metrics.GRID
    return np.asarray(np.trapezoid(below.astype(np.float64), metrics.GRID, axis=1))


def inactive_auc(shares: ArrayLike) -> float:
    """Area under the curve of the share of frames whose pIA is at most 0, 0.05, …, 1.

    It is 1 if no negative frame has foreground, and 0.025 if all of them are foreground everywhere.

    Source: Juanola et al., `utils_dir/eval_utils.py`, `compute_AUC_pIA`, printed as AOC.

    Examples
    --------
    >>> inactive_auc([0.0, 0.0])
    1.0
    """
    return float(inactive_auc_per_frame(shares).mean())


def map_ious(first: Floats, second: Floats, threshold: float, px: int = PX) -> Doubles:
    """IoU of the foregrounds of the same frames with two sounds, shape (n,).

    Two empty foregrounds have an IoU of 1. A localizer that ignores the sound has 1 everywhere.

    Parameters
    ----------
    first, second : float arrays, shape (n, h, w)
        Resized to (px, px) by bilinear interpolation.
    threshold : float
        A pixel above it is foreground.
    px : int

    Source: Juanola et al., `utils_dir/eval_utils.py`, `compute_IOU_maps`.

    Examples
    --------
    >>> empty, full = np.zeros((1, 2, 2)), np.ones((1, 2, 2))
    >>> map_ious(empty, empty, 0.5), map_ious(empty, full, 0.5)
    (array([1.]), array([0.]))
    """
    both, either = masks.shared_foreground(first, second, px, threshold).T
    return np.where(either == 0, 1.0, metrics.ratio(both, either))


# Positive and negative frames in one figure


def harmonic_mean(first: ArrayLike, second: ArrayLike) -> Doubles:
    """2ab / (a + b), of any shape; 0 where both are 0.

    With the mean IoU of positive frames and 1 - pIA of negative ones it is the F of Juanola et al.
    (`compute_f`, which divides by 0 there). It also combines the AUC of the IoU with
    `inactive_auc`.

    Examples
    --------
    >>> harmonic_mean([0.5, 0.0], [1.0, 0.0]).round(4)
    array([0.6667, 0.    ])
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    total = a + b
    return np.asarray(np.divide(2 * a * b, total, out=np.zeros_like(total), where=total > 0))


def global_score(own: float, negatives: Sequence[float]) -> float:
    """G-mIoU or G-F: harmonic mean of a score with the frames' own sounds, and 1 - with others.

    Parameters
    ----------
    own : float
        Mean IoU, or F, of the frames with their own sounds.
    negatives : sequence of float
        The same with each kind of negative sound, against the *same* truth: low is right.

    Source: AVSBench-Robust (Li et al., 2025). Its code gives the scores, and its README says that
    they were combined in a spreadsheet; the formula is this project's reading.

    Examples
    --------
    >>> round(global_score(0.8, [0.0, 0.4]), 4)
    0.8
    """
    return float(harmonic_mean(own, 1 - float(np.mean(negatives))))


# Two sounds of one picture


def iiou_per_picture(ious: ArrayLike, picture: ArrayLike, thresholds: ArrayLike) -> Mask:
    """Whether all sounds of a picture reach each IoU threshold (≥), shape (pictures, t).

    Parameters
    ----------
    ious : float array, shape (n,), in [0, 1]
        IoU of each sound of each picture, with the truth of this sound.
    picture : array, shape (n,)
        The picture of each IoU, of any type; the result is sorted by it.
    thresholds : float array, shape (t,)
    """
    names, owner = np.unique(np.asarray(picture), return_inverse=True)
    passed: NDArray[np.bool_] = np.ones((len(names), len(np.atleast_1d(thresholds))), bool)
    success = np.asarray(ious, np.float64)[:, None] >= np.atleast_1d(thresholds)
    np.logical_and.at(passed, owner, success)
    return passed


def iiou(ious: ArrayLike, picture: ArrayLike, iou_at: float = 0.5) -> float:
    """IIoU: the share of pictures of which every sound has an IoU of at least `iou_at`.

    A localizer that ignores the sound fails wherever two objects of a picture make its two sounds.
    The parameters are those of `iiou_per_picture`.

    Source: Senocak et al., TPAMI 2025 (SSLalignment), `utils.py`, `Evaluator_iiou.finalize_cIoU`.

    Examples
    --------
    >>> iiou([0.6, 0.7, 0.9, 0.1], ["a", "a", "b", "b"])
    0.5
    """
    return float(iiou_per_picture(ious, picture, iou_at).mean())


def iauc(ious: ArrayLike, picture: ArrayLike) -> float:
    """IAUC: area under the curve of `iiou` at 0, 0.05, …, 1, by the trapezoid rule.

    Source: SSLalignment, `utils.py`, `Evaluator_iiou.finalize_IAUC`.

    Examples
    --------
    >>> round(iauc([1.0, 1.0, 1.0, 0.0], ["a", "a", "b", "b"]), 4)
    0.5125
    """
    rates = iiou_per_picture(ious, picture, metrics.GRID).mean(0)
    return float(np.trapezoid(rates, metrics.GRID))
