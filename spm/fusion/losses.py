"""Losses and accuracies of a batch: each sound belongs to its own frame, not to other videos'."""

from enum import StrEnum
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce

Numbers = TypeVar("Numbers", Tensor, np.ndarray)


class Negatives(StrEnum):
    """Negatives of each sound in a batch."""

    ONE = "one"
    ALL = "all"


def negative_mask(frames: Numbers, sounds: Numbers | None = None) -> Numbers:
    """Which pairs of sound and frame come from different videos.

    Parameters
    ----------
    frames, sounds : Tensor or ndarray, shapes (B,) and (A,)
        Number of the video of each; without `sounds`, each frame's own sound.

    Returns
    -------
    Tensor or ndarray, shape (A, B), bool
    """
    pairs: Numbers = (frames if sounds is None else sounds)[:, None] != frames
    return pairs


def sample_one_negative(pairs: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """Keep one random true entry of each row that has any: (A, B) bool → (A, B) bool."""
    priority = torch.rand(pairs.shape, generator=generator).numpy() * pairs
    one = np.zeros_like(pairs)
    one[np.arange(len(pairs)), priority.argmax(1)] = True
    kept: np.ndarray = one & pairs
    return kept


def mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the values (…) at the chosen positions (…), bool; 0 without any.

    On a GPU, the others are multiplied by 0, because a selection would wait for the GPU.
    """
    if values.is_cuda:
        return values.where(chosen, 0).sum() / chosen.sum().clamp_min(1)
    return values[chosen].mean() if chosen.any() else values.new_zeros(())


def rejection_loss(logits: Tensor, chosen: Tensor) -> Tensor:
    """Mean cross-entropy of the chosen logits (…) with the target 0; 0 without any."""
    target = torch.zeros_like(logits)
    if logits.is_cuda:  # as in mean_where
        weight = chosen.to(logits.dtype)
        return bce(logits, target, weight, reduction="sum") / weight.sum().clamp_min(1)
    return bce(logits[chosen], target[chosen]) if chosen.any() else logits.new_zeros(())


def matching_loss(scores: Tensor, negative: Tensor) -> Tensor:
    """Binary cross-entropy; positives and negatives have the same weight.

    Parameters
    ----------
    scores : Tensor, shape (A, B)
        Logit of each sound (row) with each frame (column): the maximum of the map. The diagonal
        has the positives; rows after the first B are sounds without a frame.
    negative : Tensor, shape (A, B), bool
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
    return _half_each(positive_loss, rejection_loss(scores, negative), negative)


def matching_accuracy(scores: Tensor, negative: Tensor) -> Tensor:
    """Fraction of correct decisions at logit 0; positives and negatives have the same weight.

    This is the accuracy of the paper's Fig. 3.
    """
    accepted = (scores.diagonal() > 0).float().mean()
    return _half_each(accepted, mean_where((scores <= 0).float(), negative), negative)


def silent_map_loss(cosines: Tensor, negative: Tensor) -> Tensor:
    """Mean of the positive maxima of maps that should be low; 0 without any.

    For methods whose own loss has no negatives.

    Parameters
    ----------
    cosines : Tensor, shape (…, h, w)
        Maps of negative sounds.
    negative : Tensor, shape (…), bool
        The maps that count.
    """
    return mean_where(cosines.float().amax((-2, -1)).relu(), negative)


def contrastive_loss(distances: Tensor, negative: Tensor, margin: float) -> Tensor:
    """½ [y d² + (1 - y) max(0, margin - d)²]; positives and negatives have the same weight.

    Parameters
    ----------
    distances : Tensor, shape (A, B)
        From each sound (row) to each frame (column). The diagonal has the positives.
    negative : Tensor, shape (A, B), bool
        The pairs that are negatives.
    margin : float
        Negatives that are farther away than this add nothing to the loss.

    Source: Hadsell, Chopra and LeCun, CVPR 2006; used by DMC and by DSOL's copy of Attention.
    """
    positive_loss = distances.diagonal().square().mean() / 2
    negative_losses = (margin - distances).clamp_min(0).square() / 2
    return _half_each(positive_loss, mean_where(negative_losses, negative), negative)


def own_scores(scores: Tensor) -> Tensor:
    """The positive that each pair of sound and frame is compared with: (A, B) → (A, B).

    It is the sound with its own frame; for a negative sound, which has none, the frame with its own
    sound.
    """
    own = scores.diagonal()
    rows = own[:, None].expand(-1, len(own))
    return torch.cat([rows, own.expand(len(scores) - len(own), -1)])


def ranking_accuracy(scores: Tensor, negative: Tensor) -> Tensor:
    """Fraction of the negatives that score less than the sound's own frame; 1 without negatives.

    It is used for scores that have no threshold, (A, B).
    """
    is_less = (scores < own_scores(scores)).float()
    return torch.where(negative.any(), mean_where(is_less, negative), 1.0)


def _half_each(positive: Tensor, rejected: Tensor, negative: Tensor) -> Tensor:
    """Mean of a value of the positives and one of the negatives; the first without negatives."""
    return torch.where(negative.any(), (positive + rejected) / 2, positive)
