import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from spm.audio import kmeans
from spm.audio.kmeans import _update_centroids, assign, sampled_kmeans, spherical_kmeans


def sample_clusters(k: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors near k orthogonal directions, of lengths between 1 and 100, and their clusters."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.eye(k, 16).repeat_interleave(size, 0)
    noise = 0.05 * torch.randn(k * size, 16, generator=generator)
    length = 1 + 99 * torch.rand(k * size, 1, generator=generator)
    return length * (centers + noise), torch.arange(k).repeat_interleave(size)


def same_partition(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a[:, None] == a[None], b[:, None] == b[None])


def test_equation_6_by_hand():
    features = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    centroids = torch.tensor([[0.8, 0.6], [0.0, 1.0]])
    similarity, labels = assign(features, centroids)
    torch.testing.assert_close(similarity, torch.tensor([0.8, 0.96]))
    assert labels.tolist() == [0, 0]


@pytest.mark.parametrize("k", [2, 5, 11])
def test_separate_clusters_are_found_and_lengths_do_not_matter(k):
    features, truth = sample_clusters(k, 20)
    result = spherical_kmeans(features, k)
    assert same_partition(result.labels, truth)
    torch.testing.assert_close(result.centroids.norm(dim=1), torch.ones(k, dtype=torch.float64))


def test_at_the_end_every_clip_has_its_nearest_centroid_and_every_centroid_is_a_mean():
    features = torch.randn(300, 8, generator=torch.Generator().manual_seed(3))
    result = spherical_kmeans(features, 6, restarts=3)
    unit = normalize(features.double())
    similarity, labels = assign(unit, result.centroids)
    assert torch.equal(labels, result.labels)
    torch.testing.assert_close(similarity, result.similarity)
    for cluster in range(6):
        mean = normalize(unit[labels == cluster].sum(0), dim=0)
        torch.testing.assert_close(result.centroids[cluster], mean)
    assert 2 < len(result.history) < 300
    assert result.history[-1] == pytest.approx(float(result.similarity.mean()))


@settings(max_examples=20)
@given(st.integers(0, 99))
def test_the_order_of_clips_does_not_change_a_clear_partition(seed):
    features, truth = sample_clusters(4, 10)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    assert same_partition(spherical_kmeans(features[order], 4).labels, truth[order])


def test_the_same_seed_gives_the_same_clusters_and_more_restarts_are_never_worse():
    features = torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    one, two = (spherical_kmeans(features, 7, seed=5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one[:3], two[:3], strict=True))
    single = spherical_kmeans(features, 7, seed=5, restarts=1)
    assert one.similarity.sum() >= single.similarity.sum()


def test_an_empty_cluster_restarts_at_the_farthest_clip():
    features = normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]))
    labels, similarity = torch.tensor([0, 0, 0]), torch.tensor([1.0, 0.9, 0.1])
    centroids = _update_centroids(features, labels, similarity, 2)
    torch.testing.assert_close(centroids[1], features[2])


def test_identical_clips_are_clustered_and_impossible_requests_are_errors():
    same = spherical_kmeans(torch.ones(20, 3), 3, restarts=2)
    torch.testing.assert_close(same.similarity, torch.ones(20, dtype=torch.float64))
    with pytest.raises(ValueError, match="2 features are too few for 3 clusters"):
        spherical_kmeans(torch.ones(2, 3), 3)
    with pytest.raises(ValueError, match="finite"):
        spherical_kmeans(torch.tensor([[float("nan")], [1.0]]), 1)


def test_clusters_do_not_depend_on_how_many_features_are_in_memory(monkeypatch):
    features = torch.randn(300, 8, generator=torch.Generator().manual_seed(3))
    whole = spherical_kmeans(features, 6, restarts=3)
    monkeypatch.setattr(kmeans, "CELLS", 6 * 70)
    parts = spherical_kmeans(features, 6, restarts=3)
    assert torch.equal(parts.labels, whole.labels)
    torch.testing.assert_close(parts.centroids, whole.centroids)


def test_a_sample_that_contains_all_features_gives_the_exact_clusters():
    features = torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    options = {"seed": 5, "restarts": 3}
    exact = spherical_kmeans(features, 7, **options)
    sampled = sampled_kmeans(features, 7, sample=200, device=torch.device("cpu"), **options)
    assert all(torch.equal(a, b) for a, b in zip(exact[:3], sampled[:3], strict=True))
    assert exact.history == sampled.history


def test_a_sample_determines_the_centroids_and_every_clip_has_the_nearest():
    features, truth = sample_clusters(5, 200)
    result = sampled_kmeans(features, 5, sample=60, device=torch.device("cpu"))
    assert same_partition(result.labels, truth)
    similarity, labels = assign(normalize(features.double()), result.centroids)
    assert torch.equal(labels, result.labels)
    torch.testing.assert_close(similarity, result.similarity)
    assert result.history[-1] == pytest.approx(float(similarity.mean()))
    features[-1] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        sampled_kmeans(features, 5, sample=60, device=torch.device("cpu"))
