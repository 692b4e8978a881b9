"""Which category each cluster stands for, by the training clips' labels alone."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment


def assign(labels: Sequence[int], truth: Sequence[str], clusters: int = 0) -> dict[str, int]:
    """The cluster of each category, one to one, that the most clips agree with (Hungarian assignment).

    Of `clusters` in all some may have no clip; a category gets such a one when every other is more another's.

    >>> assign([0, 0, 1, 2], ["flute", "flute", "cello", "cello"])
    {'cello': 1, 'flute': 0}
    """
    names, rows = np.unique(truth, return_inverse=True)
    shared = np.zeros((len(names), max([clusters, *(label + 1 for label in labels)])), int)
    np.add.at(shared, (rows, np.asarray(labels, int)), 1)
    return {
        str(names[row]): int(cluster)
        for row, cluster in zip(*linear_sum_assignment(-shared), strict=True)
    }
