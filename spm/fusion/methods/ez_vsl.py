"""EZ-VSL: Mo and Morgado, Localizing Visual Sounds the Easy Way, ECCV 2022, its audio-visual part.

Of a picture only the position most like the sound is asked to match it: InfoNCE on the maximum of the map, from sounds
to pictures and back. The paper's object prior, a second network's map added at test time, is not part of a run.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from spm.fusion.localization_network import Heat, Step, min_max
from spm.fusion.losses import Negatives, ranking_accuracy
from spm.fusion.network import FusionConfig, FusionNetwork
from spm.fusion.settings import Train


class Settings(Train):
    """The paper's temperature."""

    promote: bool = False
    negatives: Negatives = "all"
    temperature: float = Field(0.03, gt=0)


class Network(FusionNetwork):
    """The projections of the shared network; a score is the largest cosine over the temperature."""

    def __init__(self, settings: Settings) -> None:
        shape = FusionConfig(
            settings.visual,
            settings.projection,
            0.0,
            settings.temperature,
            False,
            settings.standardize,
        )
        super().__init__(shape, settings.start)

    def loss(self, images: Tensor, heard: Tensor, negative: Tensor) -> Step:
        """Cross-entropy of rows and of columns; pairs of one video are left out."""
        scores = self.scores(images, heard)
        counted = negative | torch.eye(len(scores), dtype=torch.bool, device=scores.device)
        own = torch.arange(len(scores), device=scores.device)
        chosen = scores.masked_fill(~counted, -torch.inf)
        loss = (cross_entropy(chosen, own) + cross_entropy(chosen.T, own)) / 2
        return Step(loss, ranking_accuracy(scores, negative))

    def heat(self, images: Tensor, log_mels: Tensor) -> Heat:
        """Cosines, each map from its least to its greatest."""
        return Heat(min_max(self.cosines(images, log_mels)))
