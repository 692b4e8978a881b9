"""Boxes as x, y, w, h in fractions of the frame: how much two of them overlap."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def iou(one: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of every box of `one` (n, 4) with every box of `other` (m, 4): (n, m).

    >>> iou([[0, 0, 0.5, 1]], [[0, 0, 1, 1], [0.25, 0, 0.5, 1], [0.5, 0, 0.5, 1]]).round(3).tolist()
    [[0.5, 0.333, 0.0]]
    """
    a, b = (np.asarray(boxes, float).reshape(-1, 4) for boxes in (one, other))
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    both = (high - low).clip(0).prod(2)  # (n, m)
    union = a[:, 2:].prod(1)[:, None] + b[:, 2:].prod(1)[None] - both
    overlap: NDArray[np.float64] = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return overlap
