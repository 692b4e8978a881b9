"""SPM (Li, Zhao and Zhang, Electronics 2023): Algorithm 1, step 3.

Which picture a sound belongs to is the largest value of its map; the audio network, promoted by the clusters of the
sounds, stays as it is.
"""

import torch
from pydantic import Field
from torch import Tensor

from spm.fusion.localiser import Heat, Step, flat_frames, framewise
from spm.fusion.matching import matching_accuracy, matching_loss
from spm.fusion.network import FusionNetwork, Shape, all_cosines
from spm.fusion.settings import Train


class Settings(Train):
    """The two numbers of Eq. 4."""

    epsilon: float = 0.65  # Eq. 4: the cosine at which the mask is one half
    tau: float = Field(0.03, gt=0)  # Eq. 4: temperature
    learn_scale: bool = False  # ε and τ are learnt, starting there

    def shape(self) -> Shape:
        """What the network is built from."""
        return Shape(self.visual, self.projection, self.epsilon, self.tau, self.learn_scale, self.standardise)


class Network(FusionNetwork):
    """Eqs. 1-5, learnt by matching."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.shape(), settings.start)

    def scores(self, images: Tensor, heard: Tensor) -> Tensor:
        """The largest logit of each sound with each picture of a batch: (B, B)."""
        cosine = all_cosines(self.listen(heard), self.look(images))  # (B, B, h, w)
        return self.logits(cosine.float()).amax((2, 3))

    def loss(self, images: Tensor, heard: Tensor, negative: Tensor) -> Step:
        """DSOL's matching loss on the map's maximum; the paper says only "calculate loss"."""
        scores = self.scores(images, heard)
        return Step(matching_loss(scores, negative), matching_accuracy(scores, negative))

    def heat(self, images: Tensor, log_mels: Tensor) -> Heat:
        """The mask of Eq. 4: (B, f, 3, H, W) and (B, 201, 64) → (B, f, h, w)."""
        places = framewise(self.look(flat_frames(images)), images)  # (B, f, d, h, w)
        sounds = self.listen(self.sound(log_mels))
        return Heat(self.logits(torch.einsum("bd,bfdhw->bfhw", sounds, places)).sigmoid())
