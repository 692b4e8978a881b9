"""Spherical k-means: Algorithm 1, step 1, with Eq. 6 as the criterion."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

ROWS = 65_536  # features compared with the centroids at once


class Clustering(NamedTuple):
    """The best of several restarts."""

    centroids: Tensor  # (k, d), unit length: A_μ
    labels: Tensor  # (n,): argmax_μ D_iμ
    similarity: Tensor  # (n,): max_μ D_iμ, a cosine
    course: list[
        float
    ]  # mean similarity at the beginning and after each iteration, until no assignment changed


def assign(features: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 6: D_iμ = A_iᵀ A_μ of unit vectors, (n, d) and (k, d); the largest and its μ, (n,) each.

    The paper names no normalization; without one the longest centroid would win everything.
    """
    parts = [(part @ centroids.T).max(1) for part in features.split(ROWS)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def _plus_plus(features: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k-means++: each next centroid is drawn with probability proportional to its squared distance, 2 - 2 cos."""
    first = torch.randint(len(features), (1,), generator=generator)
    centroids = features[first.to(features.device)]
    for _ in range(k - 1):
        distance = (1 - assign(features, centroids)[0]).clamp_min(1e-12)
        drawn = torch.multinomial(distance.cpu(), 1, generator=generator)
        centroids = torch.cat([centroids, features[drawn.to(features.device)]])
    return centroids


def _means(features: Tensor, labels: Tensor, similarity: Tensor, k: int) -> Tensor:
    """The direction of each cluster's mean; an empty cluster starts anew at the clip farthest from its centroid."""
    sums = (
        one_hot(labels, k).T.to(features.dtype) @ features
    )  # in one order on every device, unlike scattered adds
    empty = (torch.bincount(labels, minlength=k) == 0).nonzero().flatten()
    farthest = similarity.argsort()[: len(empty)]
    sums[empty] = features[farthest]
    return normalize(sums)


def _lloyd(features: Tensor, centroids: Tensor, iterations: int) -> Clustering:
    similarity, labels = assign(features, centroids)
    course = [float(similarity.mean())]
    moved = True
    while moved and len(course) <= iterations:
        centroids = _means(features, labels, similarity, len(centroids))
        similarity, now = assign(features, centroids)
        moved = not torch.equal(now, labels)
        labels = now
        course.append(float(similarity.mean()))
    return Clustering(centroids, labels, similarity, course)


def spherical_kmeans(
    features: Tensor, k: int, *, seed: int = 0, restarts: int = 10, iterations: int = 300
) -> Clustering:
    """Cluster directions: features and centroids have unit length, and a centroid is its cluster's mean direction.

    Parameters
    ----------
    features : Tensor, shape (n, d), float
        Of any length; only directions count. The device of the features does the work.
    k : int
        Clusters, at most n.
    seed, restarts : int
        The best of `restarts` k-means++ beginnings, by the sum of similarities.
    iterations : int
        A bound; it stops when no assignment changes ("the centroids no longer change").

    Raises
    ------
    ValueError
        When there are fewer features than clusters, or one is not finite.

    Source: Li et al., Electronics 2023, Algorithm 1 and Eq. 6; Arthur and Vassilvitskii, 2007 (beginnings).
    """
    if len(features) < k:
        raise ValueError(f"{len(features)} features can't fill {k} clusters")
    if not torch.isfinite(features).all():
        raise ValueError("features to cluster must be finite")
    unit = normalize(features.double())
    generator = torch.Generator().manual_seed(seed)
    found = [_lloyd(unit, _plus_plus(unit, k, generator), iterations) for _ in range(restarts)]
    return max(found, key=lambda clustering: float(clustering.similarity.sum()))
