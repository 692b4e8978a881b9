"""LVS: Chen et al., Localizing Visual Sounds the Hard Way, CVPR 2021.

A tri-map: positions of the own picture surely like the sound are positive, those surely unlike it are hard negatives,
and between the two thresholds nothing is said. Other pictures are negative everywhere.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from spm.fusion.localiser import Heat, Step, min_max
from spm.fusion.matching import Negatives, ranking_accuracy
from spm.fusion.network import FusionNetwork, Shape, all_cosines
from spm.fusion.settings import Train


class Settings(Train):
    """The paper's numbers."""

    promote: bool = False
    negatives: Negatives = "all"
    epsilon: float = 0.65  # the cosine above which a position is positive
    epsilon_negative: float = 0.4  # the cosine below which it is a hard negative
    tau: float = Field(0.03, gt=0)  # how soft both thresholds are
    temperature: float = Field(0.07, gt=0)  # of the softmax over positives and negatives


class Network(FusionNetwork):
    """The projections of the shared network, taught by the tri-map."""

    def __init__(self, settings: Settings) -> None:
        shape = Shape(settings.visual, settings.projection, settings.epsilon, settings.tau, False, settings.standardise)
        super().__init__(shape, settings.start)
        self.settings = settings

    def trimap(self, own: Tensor) -> tuple[Tensor, Tensor]:
        """Means of a sound's cosines over the positives and over the hard negatives: (B, h, w) → (B,), (B,)."""
        positive = ((own - self.settings.epsilon) / self.settings.tau).sigmoid()
        negative = 1 - ((own - self.settings.epsilon_negative) / self.settings.tau).sigmoid()
        return weighted_mean(own, positive), weighted_mean(own, negative)

    def loss(self, images: Tensor, heard: Tensor, negative: Tensor) -> Step:
        """Cross-entropy of the positives against hard negatives and other pictures."""
        cosine = all_cosines(self.listen(heard), self.look(images)).float()
        positive, hard = self.trimap(cosine.diagonal().permute(2, 0, 1))
        others = cosine.mean((2, 3))
        rows = torch.cat([positive[:, None], hard[:, None], others.masked_fill(~negative, -torch.inf)], 1)
        loss = cross_entropy(rows / self.settings.temperature, torch.zeros_like(positive, dtype=torch.long))
        scores = torch.diagonal_scatter(others, positive)
        return Step(loss, ranking_accuracy(scores, negative))

    def heat(self, images: Tensor, log_mels: Tensor) -> Heat:
        """Cosines, each map from its least to its greatest."""
        return Heat(min_max(self.cosines(images, log_mels)))


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean over the positions: (B, h, w) twice → (B,)."""
    return (values * weights).sum((1, 2)) / weights.sum((1, 2)).clamp_min(1e-30)
