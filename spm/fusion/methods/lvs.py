"""LVS: Chen et al., Localizing Visual Sounds the Hard Way, CVPR 2021.

The tri-map: positions of the sound's own frame with a high cosine are positives, those with a low
cosine are hard negatives, and those between the two thresholds are ignored. The positive positions
of other frames are negatives too.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from spm.fusion.localization_network import CosineMaps, StepOutput
from spm.fusion.losses import Negatives, ranking_accuracy
from spm.fusion.network import FusionConfig, FusionNetwork, all_cosines, weighted_mean
from spm.fusion.settings import Train


class Settings(Train):
    """LVS (Chen et al., CVPR 2021)."""

    promote: bool = False
    negatives: Negatives = Negatives.ALL
    epsilon: float = Field(
        0.65, ge=-1, le=1, description="Positions with a higher cosine are positives."
    )
    epsilon_negative: float = Field(
        0.4, ge=-1, le=1, description="Positions with a lower cosine are hard negatives."
    )
    tau: float = Field(
        0.03, gt=0, le=100, description="Temperature of both thresholds: 0 would be a step."
    )
    temperature: float = Field(
        0.07, gt=0, le=100, description="Temperature of the softmax over positives and negatives."
    )


class Network(CosineMaps, FusionNetwork):
    """The shared projections, trained by the tri-map."""

    def __init__(self, settings: Settings) -> None:
        config = FusionConfig.of(settings, epsilon=settings.epsilon, tau=settings.tau)
        super().__init__(config, settings.start)
        self.settings = settings

    def soft_threshold(self, cosine: Tensor, threshold: float) -> Tensor:
        """Weight of each position in [0, 1]: whether its cosine is above the threshold."""
        return ((cosine - threshold) / self.settings.tau).sigmoid()

    def loss(self, images: Tensor, features: Tensor, negative: Tensor) -> StepOutput:
        """Cross-entropy of the positives against hard negatives and other frames' positives.

        The paper averages other frames over all positions. Its code, as here, averages over their
        positive positions; otherwise a map with a peak in every frame, for any sound, would do.
        Each clip has further negatives: the positives of its frame for each negative sound.
        """
        settings = self.settings
        cosine = all_cosines(self.embed_audio(features), self.embed_image(images)).float()
        own = cosine.diagonal().permute(2, 0, 1)  # (B, h, w)
        positive_weight = self.soft_threshold(cosine, settings.epsilon)
        negative_weight = 1 - self.soft_threshold(own, settings.epsilon_negative)
        scores = weighted_mean(cosine, positive_weight)  # (A, B)
        hard_negatives = weighted_mean(own, negative_weight)  # (B,)
        # Column 0 has the positive of each sound, so that the target of every row is 0.
        others = scores.masked_fill(~negative, -torch.inf)
        others, of_negative_sounds = others[: len(own)], others[len(own) :].T
        columns = [scores.diagonal()[:, None], hard_negatives[:, None], others, of_negative_sounds]
        logits = torch.cat(columns, 1) / settings.temperature
        target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        return StepOutput(cross_entropy(logits, target), ranking_accuracy(scores, negative))
