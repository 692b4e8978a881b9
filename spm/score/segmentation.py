"""Agreement of maps with masks: mIoU and F as AVSBench defines them, and both over the whole set.

Conventions: the first axis counts frames, maps are probabilities in [0, 1], masks are boolean. A
pixel is foreground if its value is above 0.5. F is the weighted harmonic mean of precision P and
recall R, (1 + β²) P R / (β² P + R) with β² = 0.3, at the best of 255 thresholds.

Each figure has two averages, which published tables mix:

    miou           mean over frames of the IoU; in a frame without truth, the share of the frame
                   that is not foreground
    iou_of_set     foreground in the truth over foreground or truth, counted over all frames
    f              of the mean over frames of the curve of F, the maximum; frames without truth are
                   left out
    f_of_videos    mean over videos of the maximum of the video's curve: what AVSBench prints
    f_of_set       maximum of the F of all pixels of the set

Source: Zhou et al., ECCV 2022 (AVSBench), `avs_scripts/avs_s4/utils/utility.py`: mask_iou and
Eval_Fmeasure; `test.py` averages the latter over batches of one video.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spm.score import kernels, metrics, uncertainty
from spm.score.metrics import Doubles, Floats, Mask
from spm.score.uncertainty import Draws

BETA2 = 0.3
LEVEL = 0.5  # a pixel above it is foreground
PX = 224  # width and height to which maps and masks are resized
STEPS = 255
METRICS = ("miou", "iou_of_set", "f", "f_of_videos", "f_of_set")


def thresholds() -> NDArray[np.float32]:
    """The 255 thresholds of F from 0 to 1 in single precision, as `torch.linspace` gives them."""
    step, numbers = float(np.float32(1) / np.float32(STEPS - 1)), np.arange(STEPS)
    from_end = 1 - step * (STEPS - 1 - numbers)  # rounded once, as by a fused multiply-add
    return np.where(numbers < STEPS // 2, step * numbers, from_end).astype(np.float32)


@dataclass(frozen=True)
class Agreement:
    """What each frame adds to the figures; counts are in pixels."""

    ious: Doubles  # (n,)
    inside: NDArray[np.int64]  # (n,): foreground in the truth
    union: NDArray[np.int64]  # (n,): foreground or truth
    truth: NDArray[np.int64]  # (n,)
    hits: NDArray[np.int32]  # (n, 255): pixels from each threshold on that are truth
    found: NDArray[np.int32]  # (n, 255): pixels from each threshold on

    @classmethod
    def join(cls, parts: Sequence["Agreement"]) -> "Agreement":
        """The frames of all parts."""
        return cls(
            np.concatenate([part.ious for part in parts]),
            np.concatenate([part.inside for part in parts]),
            np.concatenate([part.union for part in parts]),
            np.concatenate([part.truth for part in parts]),
            np.concatenate([part.hits for part in parts]),
            np.concatenate([part.found for part in parts]),
        )


def agreement(maps: Floats, truth: Mask) -> Agreement:
    """Compare maps with masks of the same size.

    Parameters
    ----------
    maps : float array, shape (n, h, w), in [0, 1]
    truth : bool array, shape (n, h, w)
        A mask without a pixel says that nothing visible sounds.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> maps = np.array([[[0.9, 0.7], [0.2, 0.1]]], np.float32)
    >>> agreement(maps, np.array([[[True, False], [False, False]]])).ious
    array([0.5])
    """
    if maps.shape != truth.shape or maps.ndim != 3:
        raise ValueError(f"expected maps and truth (n, h, w), not {maps.shape} and {truth.shape}")
    values = np.asarray(maps, np.float32)
    foreground = values > LEVEL
    inside, union = (foreground & truth).sum((1, 2)), (foreground | truth).sum((1, 2))
    background = 1 - foreground.mean((1, 2))
    ious = np.where(truth.any((1, 2)), metrics.ratio(inside, union), background)
    hits, found = kernels.threshold_counts(values, truth, thresholds())
    return Agreement(ious, inside, union, truth.sum((1, 2)), hits, found)


def f_measure(precision: Doubles, recovered: Doubles) -> Doubles:
    """F of precision and recall (the part recovered), of any shape; 0 where both are 0.

    >>> f_measure(np.array([1.0, 0.0]), np.array([0.5, 0.0])).round(4)
    array([0.8125, 0.    ])
    """
    total = BETA2 * precision + recovered
    product = (1 + BETA2) * precision * recovered
    return np.divide(product, total, out=np.zeros_like(total), where=total > 0)


def f_curves(found: Agreement) -> Doubles:
    """F of each frame at each threshold, (n, 255); 0 in frames without truth."""
    return f_measure(
        metrics.ratio(found.hits, found.found), metrics.ratio(found.hits, found.truth[:, None])
    )


def figures(found: Agreement, videos: Sequence[object]) -> dict[str, float]:
    """The figures of METRICS; `videos` names the video of each frame.

    Raises
    ------
    ValueError
        If there is no frame.
    """
    if not len(found.ious):
        raise ValueError("expected at least one frame")
    return {name: float(value[0]) for name, value in _of_sums(_columns(found, videos).sum(0)[None])}


def intervals(
    found: Agreement, videos: Sequence[object], draws: Draws | None
) -> dict[str, tuple[float, float] | None]:
    """95 % bootstrap intervals of the figures over videos; None with fewer than two videos."""
    if draws is None:
        return dict.fromkeys(METRICS)
    sums = uncertainty.resampled_sums(_columns(found, videos), draws)
    return {name: uncertainty.quantiles(values) for name, values in _of_sums(sums)}


def _columns(found: Agreement, videos: Sequence[object]) -> Doubles:
    """Columns whose sums over frames give every figure, (n, 7 + 3 · 255)."""
    names = {video: number for number, video in enumerate(dict.fromkeys(videos))}
    owner = np.array([names[video] for video in videos])
    frames = np.bincount(owner)
    curves, sounds = f_curves(found), found.truth > 0
    of_video = np.zeros((len(frames), STEPS))
    np.add.at(of_video, owner, curves)
    best = of_video.max(1) / np.maximum(np.bincount(owner, sounds), 1)
    share = 1 / frames[owner]  # of each frame in its video
    few = [np.ones(len(owner)), found.ious, found.inside, found.union, found.truth, sounds]
    few += [share, share * best[owner]]
    return np.hstack([np.stack(few, axis=1), curves, found.hits, found.found])


def _of_sums(sums: Doubles) -> list[tuple[str, Doubles]]:
    """The figures of METRICS from sums (r, columns) of `_columns`, each (r,)."""
    count, ious, inside, union, truth, sounds, videos, best = sums[:, :8].T
    curves, hits, found = np.split(sums[:, 8:], 3, axis=1)
    pooled = f_measure(metrics.ratio(hits, found), metrics.ratio(hits, truth[:, None]))
    values = (
        ious / np.maximum(count, 1),
        inside / np.maximum(union, 1),
        curves.max(1) / np.maximum(sounds, 1),
        best / np.maximum(videos, np.finfo(float).tiny),
        pooled.max(1),
    )
    return list(zip(METRICS, values, strict=True))
