"""EZ-VSL: Mo and Morgado, Localizing Visual Sounds the Easy Way, ECCV 2022, audio-visual part.

Only the position of a frame that is most similar to the sound has to match it: InfoNCE on the
maximum of the map, from sounds to frames and from frames to sounds. The paper's object prior (the
map of a second network, added at test time) is not included.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from spm.fusion.localization_network import CosineMaps, StepOutput
from spm.fusion.losses import Negatives, ranking_accuracy
from spm.fusion.network import FusionConfig, FusionNetwork
from spm.fusion.settings import Train


class Settings(Train):
    """EZ-VSL (Mo and Morgado, ECCV 2022), without its object prior."""

    promote: bool = False
    negatives: Negatives = Negatives.ALL
    temperature: float = Field(
        0.03, gt=0, le=100, description="Temperature of the softmax over the frames of a batch."
    )


class Network(CosineMaps, FusionNetwork):
    """The shared projections; a score is the maximum cosine, divided by the temperature."""

    def __init__(self, settings: Settings) -> None:
        config = FusionConfig.of(settings, epsilon=0.0, tau=settings.temperature)
        super().__init__(config, settings.start)

    def loss(self, images: Tensor, features: Tensor, negative: Tensor) -> StepOutput:
        """Cross-entropy of rows and of columns; pairs of the same video are left out.

        Negative sounds are in the columns only, because no frame is theirs.
        """
        scores = self.scores(images, features)  # (A, B)
        count = scores.shape[1]
        diagonal = torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)
        logits = scores.masked_fill(~(negative | diagonal), -torch.inf)
        target = torch.arange(count, device=scores.device)
        loss = (cross_entropy(logits[:count], target) + cross_entropy(logits.T, target)) / 2
        return StepOutput(loss, ranking_accuracy(scores, negative))
