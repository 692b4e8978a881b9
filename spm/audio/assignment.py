"""The cluster of each category, from the labels of the training clips only."""

from collections.abc import Sequence

import numpy as np


def match_clusters(
    labels: Sequence[int], categories: Sequence[str], clusters: int = 0
) -> dict[str, int]:
    """Match each category to one cluster, so that the most clips agree (Hungarian assignment).

    Parameters
    ----------
    labels, categories : sequence
        Cluster and category of each clip.
    clusters : int
        Number of clusters; some may have no clip. A category is matched to an empty cluster when
        all its clips lie in clusters that match other categories better.

    >>> match_clusters([0, 0, 1, 2], ["flute", "flute", "cello", "cello"])
    {'cello': 1, 'flute': 0}
    """
    # Imported only here, because trainings import this module and few of them match clusters.
    from scipy.optimize import linear_sum_assignment

    names, rows = np.unique(categories, return_inverse=True)
    counts = np.zeros((len(names), max([clusters, *(label + 1 for label in labels)])), int)
    np.add.at(counts, (rows, np.asarray(labels, int)), 1)
    pairs = zip(*linear_sum_assignment(-counts), strict=True)
    return {str(names[row]): int(cluster) for row, cluster in pairs}
