import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from spm.fusion.losses import (
    contrastive_loss,
    matching_accuracy,
    matching_loss,
    mean_where,
    negative_mask,
    ranking_accuracy,
    rejection_loss,
    sample_one_negative,
)


def off_diagonal(size: int) -> torch.Tensor:
    """All pairs but those of a sound with its own frame."""
    return ~torch.eye(size, dtype=torch.bool)


def test_the_loss_is_dsols_with_one_negative_per_sound():
    scores = torch.tensor([[0.3, -1.0], [0.4, 2.0]])
    # Interleaved: the sound with its own frame, then with a negative.
    pairs = torch.tensor([0.3, -1.0, 2.0, 0.4]).sigmoid()
    expected = binary_cross_entropy(pairs, torch.tensor([1.0, 0, 1, 0]))
    torch.testing.assert_close(matching_loss(scores, off_diagonal(2)), expected)


def test_the_loss_of_an_untrained_network_has_a_gradient_in_half_precision():
    cosine = torch.zeros(2, 2, dtype=torch.float16, requires_grad=True)
    logit = (cosine - 0.65) / 0.03
    assert logit.sigmoid().max() < 1e-6
    matching_loss(logit.float(), off_diagonal(2)).backward()
    assert cosine.grad.diagonal().abs().min() > 1


def test_pairs_of_one_video_are_never_negatives():
    pairs = negative_mask(np.array([4, 4, 7]))
    assert pairs.tolist() == [[False, False, True], [False, False, True], [True, True, False]]
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        kept = sample_one_negative(pairs, generator)
        assert kept.sum(1).tolist() == [1, 1, 1]
        assert not (kept & ~pairs).any()
    assert not sample_one_negative(negative_mask(np.array([1, 1])), generator).any()


def test_a_batch_of_one_video_has_the_loss_of_its_positives():
    loss = matching_loss(torch.zeros(2, 2), negative_mask(torch.tensor([1, 1])))
    assert loss.item() == pytest.approx(torch.tensor(2.0).log().item())


def test_positives_and_negatives_have_the_same_weight_in_the_accuracy():
    scores = torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [1.0, 1.0, -1.0]])
    accuracy = matching_accuracy(scores, off_diagonal(3))
    assert accuracy == pytest.approx((2 / 3 + 4 / 6) / 2)


def test_values_are_averaged_where_they_are_chosen_and_0_without_any():
    values, chosen = torch.tensor([[1.0, 2.0], [4.0, 8.0]]), off_diagonal(2)
    assert mean_where(values, chosen) == 3
    assert mean_where(values, torch.zeros_like(chosen)) == 0
    expected = (values[chosen].exp() + 1).log().mean()
    torch.testing.assert_close(rejection_loss(values, chosen), expected)
    assert rejection_loss(values, torch.zeros_like(chosen)) == 0


def test_accuracies_of_a_batch_of_one_video_are_those_of_its_positives():
    nothing = negative_mask(torch.tensor([1, 1]))
    assert ranking_accuracy(torch.zeros(2, 2), nothing) == 1
    assert matching_accuracy(torch.tensor([[1.0, 0.0], [0.0, -1.0]]), nothing) == 0.5


def test_contrastive_loss_ignores_negatives_beyond_the_margin():
    distances = torch.tensor([[1.0, 7.0], [3.0, 2.0]])
    loss = contrastive_loss(distances, off_diagonal(2), 5.0)
    assert loss.item() == pytest.approx(0.5 * (1 + 4 + 0 + (5 - 3) ** 2) / 4)


def test_ranking_accuracy_counts_negatives_that_score_less_than_the_positive():
    scores = torch.tensor([[2.0, 1.0, 3.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.0]])
    assert ranking_accuracy(scores, off_diagonal(3)) == pytest.approx(3 / 6)
