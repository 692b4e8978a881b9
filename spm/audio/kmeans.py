"""Spherical k-means: Algorithm 1, step 1, with Eq. 6 as the criterion."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

ROWS = 65_536  # features that are normalized, or compared with the centroids, at once
CELLS = 2**27  # products, or memberships, of features and clusters in memory at once: 1 GB


class Clustering(NamedTuple):
    """The best result of several restarts."""

    centroids: Tensor  # (k, d), unit length: A_μ
    labels: Tensor  # (n,): argmax_μ D_iμ
    similarity: Tensor  # (n,): max_μ D_iμ, a cosine
    history: list[float]  # mean similarity after the initialization and after each iteration


def assign(features: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 6: D_iμ = A_iᵀ A_μ of unit vectors (n, d) and (k, d); the largest and its μ, (n,) each.

    The paper does not say that the vectors are normalized; without it, the longest centroid would
    win every clip.
    """
    rows = min(ROWS, CELLS // len(centroids))
    parts = [(part @ centroids.T).max(1) for part in features.split(rows)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def _init_centroids(features: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k-means++: each centroid is drawn with a probability proportional to its squared distance.

    The squared distance of unit vectors is 2 - 2 cos; the factor 2 does not matter.
    """
    first = torch.randint(len(features), (1,), generator=generator)
    centroids = features[first.to(features.device)]
    for _ in range(k - 1):
        distance = (1 - assign(features, centroids)[0]).clamp_min(1e-12)
        index = torch.multinomial(distance.cpu(), 1, generator=generator)
        centroids = torch.cat([centroids, features[index.to(features.device)]])
    return centroids


def _update_centroids(features: Tensor, labels: Tensor, similarity: Tensor, k: int) -> Tensor:
    """Direction of each cluster's mean.

    An empty cluster restarts at the clip that is farthest from its own centroid.
    """
    # A product adds in the same order on every device; scattered additions would not.
    sums = features.new_zeros(k, features.shape[1])
    for part, clusters in zip(features.split(CELLS // k), labels.split(CELLS // k), strict=True):
        one_hot = part.new_zeros(len(part), k).scatter_(1, clusters[:, None], 1)
        sums += one_hot.T @ part
    empty = (torch.bincount(labels, minlength=k) == 0).nonzero().flatten()
    farthest = similarity.argsort()[: len(empty)]
    sums[empty] = features[farthest]
    return normalize(sums)


def _lloyd(features: Tensor, centroids: Tensor, iterations: int) -> Clustering:
    similarity, labels = assign(features, centroids)
    history = [float(similarity.mean())]
    changed = True
    while changed and len(history) <= iterations:
        centroids = _update_centroids(features, labels, similarity, len(centroids))
        similarity, new_labels = assign(features, centroids)
        changed = not torch.equal(new_labels, labels)
        labels = new_labels
        history.append(float(similarity.mean()))
    return Clustering(centroids, labels, similarity, history)


def spherical_kmeans(
    features: Tensor, k: int, *, seed: int = 0, restarts: int = 10, iterations: int = 300
) -> Clustering:
    """Cluster directions: each centroid is the mean direction of its cluster.

    Parameters
    ----------
    features : Tensor, shape (n, d), float
        Of any length; only directions count. The result is on the device of the features.
    k : int
        Number of clusters, at most n.
    seed, restarts : int
        `restarts` initializations by k-means++; the result with the largest sum of similarities is
        returned.
    iterations : int
        Maximum; it stops earlier when no assignment changes ("the centroids no longer change").

    Raises
    ------
    ValueError
        If there are fewer features than clusters, or a feature is not finite.

    Source: Li et al., Electronics 2023, Algorithm 1 and Eq. 6; Arthur and Vassilvitskii, 2007
    (k-means++).
    """
    if len(features) < k:
        raise ValueError(f"{len(features)} features are too few for {k} clusters")
    unit = torch.empty(features.shape, dtype=torch.float64, device=features.device)
    for part, rows in zip(unit.split(ROWS), features.split(ROWS), strict=True):
        part.copy_(_unit(rows))
    generator = torch.Generator().manual_seed(seed)
    results = []
    for _ in range(restarts):
        centroids = _init_centroids(unit, k, generator)
        results.append(_lloyd(unit, centroids, iterations))
    return max(results, key=lambda result: float(result.similarity.sum()))


def _unit(features: Tensor) -> Tensor:
    """The features with length 1, in float64."""
    if not torch.isfinite(features).all():
        raise ValueError("features to cluster must be finite")
    return normalize(features.double())


def sampled_kmeans(
    features: Tensor,
    k: int,
    *,
    sample: int,
    device: torch.device,
    seed: int = 0,
    restarts: int = 10,
    iterations: int = 300,
) -> Clustering:
    """Spherical k-means of at most `sample` features, then the nearest centroid of every feature.

    Up to `sample` features, the result is that of `spherical_kmeans` on `device`. Above, the
    centroids are those of `sample` random features, and only these are on the device at once. The
    history then ends with the mean similarity of all features, and labels and similarity are on the
    CPU.
    """
    options = {"seed": seed, "restarts": restarts, "iterations": iterations}
    if len(features) <= sample:
        return spherical_kmeans(features.to(device), k, **options)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(features), generator=generator)[:sample].sort().values
    fit = spherical_kmeans(features[chosen].to(device), k, **options)
    similarities, labels = [], []
    for part in features.split(ROWS):
        largest, nearest = assign(_unit(part.to(device)), fit.centroids)
        similarities.append(largest.cpu())
        labels.append(nearest.cpu())
    similarity = torch.cat(similarities)
    history = [*fit.history, float(similarity.mean())]
    return Clustering(fit.centroids, torch.cat(labels), similarity, history)
