"""LVS: Chen et al., Localizing Visual Sounds the Hard Way, CVPR 2021.

A tri-map: positions of the own picture surely like the sound are positive, those surely unlike it are hard negatives,
and between the two thresholds nothing is said. What other pictures have of the sound is negative too.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from spm.fusion.localization_network import Heat, Step, min_max
from spm.fusion.losses import Negatives, ranking_accuracy
from spm.fusion.network import FusionConfig, FusionNetwork, all_cosines
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
        shape = FusionConfig(
            settings.visual,
            settings.projection,
            settings.epsilon,
            settings.tau,
            False,
            settings.standardize,
        )
        super().__init__(shape, settings.start)
        self.settings = settings

    def above(self, cosine: Tensor, threshold: float) -> Tensor:
        """How surely each position is like the sound, in [0, 1]."""
        return ((cosine - threshold) / self.settings.tau).sigmoid()

    def loss(self, images: Tensor, heard: Tensor, negative: Tensor) -> Step:
        """Cross-entropy of the positives against hard negatives and other pictures' positives.

        The paper averages other pictures over all positions; its code, as here, over those that it takes for positive:
        else a map that peaks in every picture, whatever is heard, would do.
        """
        cosine = all_cosines(self.listen(heard), self.look(images)).float()
        own = cosine.diagonal().permute(2, 0, 1)  # (B, h, w)
        scores = weighted_mean(cosine, self.above(cosine, self.settings.epsilon))  # (B, B)
        hard = weighted_mean(own, 1 - self.above(own, self.settings.epsilon_negative))  # (B,)
        others = scores.masked_fill(~negative, -torch.inf)
        rows = (
            torch.cat([scores.diagonal()[:, None], hard[:, None], others], 1)
            / self.settings.temperature
        )
        loss = cross_entropy(rows, torch.zeros(len(rows), dtype=torch.long, device=rows.device))
        return Step(loss, ranking_accuracy(scores, negative))

    def heat(self, images: Tensor, log_mels: Tensor) -> Heat:
        """Cosines, each map from its least to its greatest."""
        return Heat(min_max(self.cosines(images, log_mels)))


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean over the positions: (…, h, w) twice → (…)."""
    return (values * weights).sum((-2, -1)) / weights.sum((-2, -1)).clamp_min(1e-30)
