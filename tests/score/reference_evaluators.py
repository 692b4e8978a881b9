"""The authors' evaluators, written again as loops over frames with NumPy, OpenCV and torch.

They share no code with spm.score. tests/score/freeze_golden.py validates them with the figures of
the authors' own code, and stores the scores that they give to the maps of tests/data.
benchmarks/scores.py measures how fast such loops are.

Sources: DSOL (music-exp/tools.py, eval_duet.py, eval.py), LVS (utils.py), EZ-VSL (utils.py), SSPL
(sspl_w_pcm/test.py), SSLalignment (utils.py), AVGN (utils.py, datasets.py). Of negative frames:
SLAVC (utils.py), vssl_eval (utils_dir/eval_utils.py), SSLalignment (utils.py).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

PX = 224
NSA_AT = 0.2  # a pixel of a silent class is inactive up to this value

Image = NDArray[np.float32]  # (PX, PX)
Boxes = Sequence[Sequence[float]]  # of one frame and class: x, y, w, h in [0, 1]


def truth_image(boxes: Boxes) -> NDArray[np.float64]:
    """An image that is 1 in the boxes and 0 elsewhere."""
    image = np.zeros((PX, PX))
    for box in boxes:
        x, y, w, h = (PX * side for side in box)
        image[int(y) : int(y + h), int(x) : int(x + w)] = 1
    return image


def enlarge(cells: NDArray[np.float32]) -> Image:
    """A map (h, w), resized by OpenCV's bilinear interpolation."""
    return cv2.resize(cells, (PX, PX))


def minmax(image: Image) -> Image:
    """An image, stretched to [0, 1]."""
    low, high = image.min(), image.max()
    return (image - low) / (high - low) if high > low else image


def fraction_of_maximum(image: Image, truth: NDArray[np.float64], level: float) -> Image:
    """DSOL's rule."""
    return (image > level * np.max(image)).astype(np.float32)


def lvs(image: Image, truth: NDArray[np.float64], level: float) -> Image:
    """Above the median pixel; what is 1 stays 1."""
    image = 1 - minmax(-image)
    threshold = np.sort(image.flatten())[int(image.size * level)]
    image[image > threshold] = 1
    image[image < 1] = 0
    return image


def ez_vsl(image: Image, truth: NDArray[np.float64], level: float) -> Image:
    """At or above the median pixel."""
    image = minmax(image)
    threshold = np.sort(image.flatten())[int(image.size * level)]
    return (image >= threshold).astype(np.float32)


def sspl(image: Image, truth: NDArray[np.float64], level: float) -> Image:
    """At or above a fixed value."""
    return (minmax(image) >= level).astype(np.float32)


def adaptive(image: Image, truth: NDArray[np.float64], level: float) -> Image:
    """Above the pixel that makes the foreground as large as the truth."""
    image = 1 - minmax(-image)
    pixels = int((truth != 0).sum()) or image.size // 2
    threshold = np.sort(image.flatten())[image.size - pixels]
    return (image > threshold).astype(np.float32)


RULES = {
    "spm-paper": (fraction_of_maximum, 0.1),  # not an author's: the reading of Eq. 7
    "dsol-solo": (fraction_of_maximum, 0.1),
    "dsol-duet": (fraction_of_maximum, 0.2),
    "dsol-synthetic": (fraction_of_maximum, 0.5),
    "lvs": (lvs, 0.5),
    "ez-vsl": (ez_vsl, 0.5),
    "sspl": (sspl, 0.5),
    "adaptive": (adaptive, 0.5),
}


def iou(protocol: str, cells: NDArray[np.float32], boxes: Boxes) -> float:
    """IoU of one map (h, w) with the union of its boxes."""
    truth, image = truth_image(boxes), enlarge(cells)
    rule, level = RULES[protocol]
    foreground = rule(image, truth, level)
    both = np.sum(foreground * truth)
    return float(both / (np.sum(truth) + np.sum(foreground * (truth == 0))))


def class_scores(
    protocol: str,
    cells: NDArray[np.float32],
    boxes_by_class: dict[str, Boxes],
    classes: Sequence[str],
) -> tuple[float, float]:
    """Class-aware IoU and no-sounding area of the class maps (classes, h, w) of one frame."""
    ious, inactive = [], []
    for name, class_cells in zip(classes, cells, strict=True):
        if name in boxes_by_class:
            ious.append(iou(protocol, class_cells, boxes_by_class[name]))
        else:
            inactive.append(np.sum(enlarge(class_cells) <= NSA_AT) / PX**2)
    return float(np.mean(ious)), float(np.mean(inactive))


def avgn_as_coded(cells: NDArray[np.float32], boxes: Boxes) -> tuple[float, float]:
    """AVGN's IoU and precision of one map: boxes as two corners, precision arguments swapped."""
    import torch
    from sklearn.metrics import average_precision_score

    truth = np.zeros((PX, PX))
    for left, top, right, bottom in boxes:  # they are x, y, w, h
        truth[int(PX * top) : int(PX * bottom), int(PX * left) : int(PX * right)] = 1
    image = torch.nn.functional.interpolate(
        torch.from_numpy(cells)[None, None], (PX, PX), mode="bicubic", align_corners=True
    )
    image = minmax(image[0, 0].numpy())
    threshold = np.sort(image.flatten())[int(image.size * 0.5)]
    foreground = (image >= threshold).astype(np.float32)
    both = np.sum(foreground * truth)
    overlap = both / (np.sum(truth) + np.sum(foreground * (truth == 0)))
    return float(overlap), float(average_precision_score(foreground.flatten(), truth.flatten()))


def area_under_success(ious: Sequence[float]) -> float:
    """Area under the curve of success rates at IoU 0, 0.05, …, 1, by the trapezoid rule."""
    rates = [np.sum(np.array(ious) >= 0.05 * i) / len(ious) for i in range(21)]
    return float(np.trapezoid(rates, [0.05 * i for i in range(21)]))


def above(cells: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Foreground of a map (h, w) under one threshold for all frames."""
    return enlarge(cells) > threshold


def precision_recall(
    ious: Sequence[float], confidences: Sequence[float], sounding: Sequence[bool], least: float
) -> tuple[float, float]:
    """SLAVC's precision and recall of the frames with at least this confidence."""
    right = wrong = missed = 0
    for iou_of_frame, confidence, sounds in zip(ious, confidences, sounding, strict=True):
        if confidence >= least and sounds and iou_of_frame >= 0.5:
            right += 1
        elif confidence >= least:
            wrong += 1
        elif sounds:
            missed += 1
    precision = right / (right + wrong) if right + wrong else 1.0
    return precision, right / (right + missed) if right + missed else 1.0


def average_precision(
    ious: Sequence[float], confidences: Sequence[float], sounding: Sequence[bool]
) -> float:
    """SLAVC's average precision over confidence."""
    thresholds = sorted(confidences)[:-1][:: -max(1, len(ious) // 200)]
    points = [precision_recall(ious, confidences, sounding, least) for least in thresholds]
    area = 0.0
    for number in range(len(points) - 1):
        best = max(precision for precision, _ in points[number:])
        area += best * (points[number + 1][1] - points[number][1])
    return area


def largest_f1(
    ious: Sequence[float], confidences: Sequence[float], sounding: Sequence[bool]
) -> float:
    """The largest of SLAVC's ten values of F1."""
    found = []
    for least in sorted(confidences)[:: max(1, len(ious) // 10)]:
        point = precision_recall(ious, confidences, sounding, least)
        found.append(2 * point[0] * point[1] / sum(point) if sum(point) else 0.0)
    return max(found)


def area_under_inactivity(shares: Sequence[float]) -> float:
    """Area under the share of frames whose foreground is at most 0, 0.05, …, 1 of the image."""
    rates = [np.sum(np.array(shares) <= 0.05 * i) / len(shares) for i in range(21)]
    return float(np.trapezoid(rates, [0.05 * i for i in range(21)]))


def pictures_that_pass(
    ious: Sequence[float], picture: Sequence[int], threshold: float
) -> list[bool]:
    """Whether every sound of each picture has at least this IoU."""
    passed = dict.fromkeys(sorted(set(picture)), True)
    for value, owner in zip(ious, picture, strict=True):
        passed[owner] = passed[owner] and bool(value >= threshold)
    return list(passed.values())
