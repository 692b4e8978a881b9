"""The matching loss: a sound belongs to its own picture and to no other video's."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce

Negatives = Literal["one", "all"]


def negative_mask(videos: Tensor) -> Tensor:
    """Which pairs of a batch come from different videos: (B,) numbers → (B, B) bool."""
    return videos[:, None] != videos[None, :]


def sample_one_negative(pairs: Tensor, generator: torch.Generator) -> Tensor:
    """Keep one random true entry of each row that has any: (B, B) bool → (B, B) bool."""
    chance = torch.rand(pairs.shape, generator=generator) * pairs
    kept = torch.zeros_like(pairs)
    kept.scatter_(1, chance.argmax(1, keepdim=True), True)
    return kept & pairs


def matching_loss(scores: Tensor, negative: Tensor) -> Tensor:
    """Binary cross-entropy of positives and negatives, half and half.

    Parameters
    ----------
    scores : Tensor, shape (B, B)
        Logit of each sound (row) with each picture (column): the largest of its map. The diagonal is positive.
    negative : Tensor, shape (B, B), bool
        Which pairs count as negative.

    Returns
    -------
    Tensor, scalar, in nats
        With one negative a sound this is DSOL's loss: the mean over its interleaved pairs.

    Source: Hu et al., NeurIPS 2020 (L_loc), on logits: with ε = 0.65 and τ = 0.03 an untrained network's σ is 4e-10.
    """
    own = scores.diagonal()
    positive = bce(own, torch.ones_like(own))
    others = scores[negative]
    return positive if not len(others) else (positive + bce(others, torch.zeros_like(others))) / 2


def matching_accuracy(scores: Tensor, negative: Tensor) -> float:
    """Fraction of right decisions at logit 0, positives and negatives weighted alike (the paper's Fig. 3)."""
    hit = (scores.diagonal() > 0).float().mean()
    miss = (scores[negative] <= 0).float().mean() if negative.any() else hit
    return float((hit + miss) / 2)


def contrastive_loss(distances: Tensor, negative: Tensor, margin: float) -> Tensor:
    """½ [y d² + (1 - y) max(0, margin - d)²], its mean over positives and negatives, half and half.

    Parameters
    ----------
    distances : Tensor, shape (B, B)
        From each sound (row) to each picture (column). The diagonal is positive.
    negative : Tensor, shape (B, B), bool
        Which pairs count as negative.
    margin : float
        Distance at which a stranger no longer matters.

    Source: Hadsell, Chopra and LeCun, CVPR 2006, as DMC and DSOL's copy of Attention use it.
    """
    positive = distances.diagonal().square().mean() / 2
    others = distances[negative]
    return (
        positive
        if not len(others)
        else (positive + (margin - others).clamp_min(0).square().mean() / 2) / 2
    )


def ranking_accuracy(scores: Tensor, negative: Tensor) -> float:
    """Fraction of the negatives that score less than the sound's own picture: for scores without a threshold."""
    if not negative.any():
        return 1.0
    return float((scores < scores.diagonal()[:, None])[negative].float().mean())
