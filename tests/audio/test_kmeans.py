import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from spm.audio.kmeans import _means, assign, spherical_kmeans


def bunches(
    k: int, each: int, spread: float = 0.05, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions around k orthogonal ones, of lengths between 1 and 100."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.eye(k, 16).repeat_interleave(each, 0)
    noise = spread * torch.randn(k * each, 16, generator=generator)
    length = 1 + 99 * torch.rand(k * each, 1, generator=generator)
    return length * (centres + noise), torch.arange(k).repeat_interleave(each)


def same_partition(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a[:, None] == a[None], b[:, None] == b[None])


def test_equation_6_by_hand():
    features, centroids = (
        torch.tensor([[1.0, 0.0], [0.6, 0.8]]),
        torch.tensor([[0.8, 0.6], [0.0, 1.0]]),
    )
    similarity, labels = assign(features, centroids)
    torch.testing.assert_close(similarity, torch.tensor([0.8, 0.96]))
    assert labels.tolist() == [0, 0]


@pytest.mark.parametrize("k", [2, 5, 11])
def test_separate_bunches_are_found_whatever_their_lengths(k):
    features, truth = bunches(k, 20)
    found = spherical_kmeans(features, k)
    assert same_partition(found.labels, truth)
    torch.testing.assert_close(found.centroids.norm(dim=1), torch.ones(k, dtype=torch.float64))


def test_it_stops_where_every_clip_is_with_its_nearest_centroid_and_every_centroid_is_a_mean():
    features = torch.randn(300, 8, generator=torch.Generator().manual_seed(3))
    found = spherical_kmeans(features, 6, restarts=3)
    unit = normalize(features.double())
    similarity, labels = assign(unit, found.centroids)
    assert torch.equal(labels, found.labels)
    torch.testing.assert_close(similarity, found.similarity)
    for cluster in range(6):
        torch.testing.assert_close(
            found.centroids[cluster], normalize(unit[labels == cluster].sum(0), dim=0)
        )
    assert 2 < len(found.course) < 300
    assert found.course[-1] == pytest.approx(float(found.similarity.mean()))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99))
def test_the_order_of_clips_does_not_change_a_clear_partition(seed):
    features, truth = bunches(4, 10)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    assert same_partition(spherical_kmeans(features[order], 4).labels, truth[order])


def test_the_same_seed_gives_the_same_clusters_and_more_restarts_are_never_worse():
    features = torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    one, two = spherical_kmeans(features, 7, seed=5), spherical_kmeans(features, 7, seed=5)
    assert all(torch.equal(a, b) for a, b in zip(one[:3], two[:3], strict=True))
    assert (
        one.similarity.sum() >= spherical_kmeans(features, 7, seed=5, restarts=1).similarity.sum()
    )


def test_an_empty_cluster_starts_anew_at_the_farthest_clip():
    features = normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]))
    centroids = _means(features, torch.tensor([0, 0, 0]), torch.tensor([1.0, 0.9, 0.1]), 2)
    torch.testing.assert_close(centroids[1], features[2])


def test_identical_clips_and_impossible_requests():
    same = spherical_kmeans(torch.ones(20, 3), 3, restarts=2)
    torch.testing.assert_close(same.similarity, torch.ones(20, dtype=torch.float64))
    with pytest.raises(ValueError, match="2 features can't fill 3 clusters"):
        spherical_kmeans(torch.ones(2, 3), 3)
    with pytest.raises(ValueError, match="finite"):
        spherical_kmeans(torch.tensor([[float("nan")], [1.0]]), 1)
