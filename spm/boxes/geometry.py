"""Overlap of boxes; a box is x, y, w, h in fractions of the frame."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def iou(boxes: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of every one of `boxes` (n, 4) with every one of `others` (m, 4).

    Returns
    -------
    array, shape (n, m)
        0 where both boxes have no area.

    >>> iou([[0, 0, 0.5, 1]], [[0, 0, 1, 1], [0.25, 0, 0.5, 1], [0.5, 0, 0.5, 1]]).round(3).tolist()
    [[0.5, 0.333, 0.0]]
    """
    a = np.asarray(boxes, float).reshape(-1, 4)
    b = np.asarray(others, float).reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    intersection = (high - low).clip(0).prod(2)  # (n, m)
    union = a[:, 2:].prod(1)[:, None] + b[:, 2:].prod(1)[None] - intersection
    ratio: NDArray[np.float64] = np.divide(
        intersection, union, out=np.zeros_like(intersection), where=union > 0
    )
    return ratio
