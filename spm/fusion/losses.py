"""Losses and accuracies of a batch: each sound belongs to its own frame, not to other videos'."""

from enum import StrEnum

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce


class Negatives(StrEnum):
    """Negatives of each sound in a batch."""

    ONE = "one"
    ALL = "all"


def negative_mask(videos: Tensor) -> Tensor:
    """Which pairs of a batch come from different videos: (B,) numbers → (B, B) bool."""
    return videos[:, None] != videos[None, :]


def sample_one_negative(pairs: Tensor, generator: torch.Generator) -> Tensor:
    """Keep one random true entry of each row that has any: (B, B) bool → (B, B) bool."""
    priority = torch.rand(pairs.shape, generator=generator) * pairs
    kept = torch.zeros_like(pairs)
    kept.scatter_(1, priority.argmax(1, keepdim=True), True)
    return kept & pairs


def matching_loss(scores: Tensor, negative: Tensor) -> Tensor:
    """Binary cross-entropy; positives and negatives have the same weight.

    Parameters
    ----------
    scores : Tensor, shape (B, B)
        Logit of each sound (row) with each frame (column): the maximum of the map. The diagonal
        has the positives.
    negative : Tensor, shape (B, B), bool
        The pairs that are negatives.

    Returns
    -------
    Tensor, scalar, in nats
        With one negative per sound, this is DSOL's loss: the mean over its interleaved pairs.

    Source: Hu et al., NeurIPS 2020 (L_loc), on logits: with ε = 0.65 and τ = 0.03, σ of an
    untrained network is 4e-10.
    """
    positives = scores.diagonal()
    positive_loss = bce(positives, torch.ones_like(positives))
    negatives = scores[negative]
    if not len(negatives):
        return positive_loss
    return (positive_loss + bce(negatives, torch.zeros_like(negatives))) / 2


def matching_accuracy(scores: Tensor, negative: Tensor) -> float:
    """Fraction of correct decisions at logit 0; positives and negatives have the same weight.

    This is the accuracy of the paper's Fig. 3.
    """
    accepted = (scores.diagonal() > 0).float().mean()
    rejected = (scores[negative] <= 0).float().mean() if negative.any() else accepted
    return float((accepted + rejected) / 2)


def contrastive_loss(distances: Tensor, negative: Tensor, margin: float) -> Tensor:
    """½ [y d² + (1 - y) max(0, margin - d)²]; positives and negatives have the same weight.

    Parameters
    ----------
    distances : Tensor, shape (B, B)
        From each sound (row) to each frame (column). The diagonal has the positives.
    negative : Tensor, shape (B, B), bool
        The pairs that are negatives.
    margin : float
        Negatives that are farther away than this add nothing to the loss.

    Source: Hadsell, Chopra and LeCun, CVPR 2006; used by DMC and by DSOL's copy of Attention.
    """
    positive_loss = distances.diagonal().square().mean() / 2
    negatives = distances[negative]
    if not len(negatives):
        return positive_loss
    return (positive_loss + (margin - negatives).clamp_min(0).square().mean() / 2) / 2


def ranking_accuracy(scores: Tensor, negative: Tensor) -> float:
    """Fraction of the negatives that score less than the sound's own frame.

    It is used for scores that have no threshold.
    """
    if not negative.any():
        return 1.0
    return float((scores < scores.diagonal()[:, None])[negative].float().mean())
