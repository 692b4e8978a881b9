"""The audio-visual network of Eqs. 1-5: where in the picture is what is heard."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from spm.audio.network import FEATURES
from spm.fusion.localization_network import Heat, LocalizationNetwork, Step, flat_frames, framewise
from spm.fusion.losses import matching_accuracy, matching_loss
from spm.learn.backbones import CHANNELS, Start, Visual


@dataclass(frozen=True)
class FusionConfig:
    """What a network is built from; its weights make no sense without it."""

    visual: Visual = "resnet18"
    projection: int = (
        128  # channels compared; 0 compares f_v and f_a themselves (ResNet-18 both sides)
    )
    epsilon: float = 0.65  # of Eq. 4: the cosine at which the mask is one half
    tau: float = 0.03  # of Eq. 4: temperature
    learn_scale: bool = (
        False  # ε and τ are learnt, starting there; DSOL learns 1/τ from 5 with ε = 0
    )
    standardize: bool = (
        False  # the sounds' features have mean 0 and deviation 1 before they are projected
    )


class FusionOutput(NamedTuple):
    """What one forward pass gives for pairs of one picture and one sound each."""

    cosine: Tensor  # (B, h, w), Eq. 3
    logit: Tensor  # (B, h, w): (cosine - ε)/τ, the mask of Eq. 4 before its sigmoid
    objects: Tensor  # (B, channels), Eq. 5


def _projection(channels: int, width: int) -> nn.Module:
    """Two 1 × 1 convolutions, as DSOL has on each side; on a vector they are two linear layers."""
    if width == 0:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels, width, 1), nn.ReLU(inplace=True), nn.Conv2d(width, width, 1)
    )


class FusionNetwork(LocalizationNetwork):
    """f_v, f_a, their projections, and the two constants of the mask: what SPM and DSOL have in common."""

    def __init__(self, shape: FusionConfig, start: Start = "none") -> None:
        super().__init__(shape.visual, start)
        if shape.projection == 0 and CHANNELS[shape.visual] != FEATURES:
            raise ValueError(
                f"projection: 0 compares {CHANNELS[shape.visual]} channels with {FEATURES}: use resnet18"
            )
        self.shape = shape
        self.see = _projection(CHANNELS[shape.visual], shape.projection)
        self.level = nn.BatchNorm1d(FEATURES, affine=False) if shape.standardize else nn.Identity()
        self.hear = _projection(FEATURES, shape.projection)
        self.epsilon = nn.Parameter(torch.tensor(shape.epsilon), requires_grad=shape.learn_scale)
        self.scale = nn.Parameter(torch.tensor(1 / shape.tau), requires_grad=shape.learn_scale)

    def look(self, pictures: Tensor) -> Tensor:
        """Eq. 1 and the projection: (B, 3, H, W) → unit vectors (B, d, h, w)."""
        return normalize(self.see(self.visual(pictures)), dim=1)

    def listen(self, features: Tensor) -> Tensor:
        """The projection of A = f_a(a): (B, 512) → unit vectors (B, d).

        The maximum of rectified features is positive: those of any two sounds have a cosine near 0.9, and projections
        start from that blur unless `standardize` takes it away.
        """
        return normalize(self.hear(self.level(features)[:, :, None, None]).flatten(1), dim=1)

    def logits(self, cosine: Tensor) -> Tensor:
        """The mask of Eq. 4 before its sigmoid; losses take it so, for σ underflows in half precision."""
        return (cosine - self.epsilon) * self.scale

    def forward(self, pictures: Tensor, log_mels: Tensor) -> FusionOutput:
        """Pictures (B, 3, H, W) and the log-mels (B, 201, 64) that belong to them."""
        visual = self.visual(pictures)  # (B, channels, h, w)
        cosine = torch.einsum(
            "bdhw,bd->bhw", normalize(self.see(visual), dim=1), self.listen(self.audio(log_mels))
        )
        logit = self.logits(cosine)
        return FusionOutput(cosine, logit, potential_objects(visual, logit))

    def scores(self, images: Tensor, heard: Tensor) -> Tensor:
        """The largest logit of each sound with each picture of a batch: (B, B)."""
        cosine = all_cosines(self.listen(heard), self.look(images))  # (B, B, h, w)
        return self.logits(cosine.float()).amax((2, 3))

    def loss(self, images: Tensor, heard: Tensor, negative: Tensor) -> Step:
        """DSOL's matching loss on the map's maximum; SPM says only "calculate loss"."""
        scores = self.scores(images, heard)
        return Step(matching_loss(scores, negative), matching_accuracy(scores, negative))

    def cosines(self, images: Tensor, log_mels: Tensor) -> Tensor:
        """Eq. 3 between each clip's sound and its f frames: (B, f, 3, H, W) and (B, 201, 64) → (B, f, h, w)."""
        places = framewise(self.look(flat_frames(images)), images)  # (B, f, d, h, w)
        return torch.einsum("bd,bfdhw->bfhw", self.listen(self.sound(log_mels)), places)

    def heat(self, images: Tensor, log_mels: Tensor) -> Heat:
        """The mask of Eq. 4."""
        return Heat(self.logits(self.cosines(images, log_mels)).sigmoid())


def all_cosines(sounds: Tensor, places: Tensor) -> Tensor:
    """Eq. 3 between every sound and every picture: unit vectors (A, d) and (B, d, h, w) → (A, B, h, w)."""
    return torch.einsum("ad,bdhw->abhw", sounds, places)


def potential_objects(visual: Tensor, logit: Tensor) -> Tensor:
    """Eq. 5: O = GAP(f_v(v) ∘ m), the mean over all positions of features weighted by the soft mask.

    Parameters
    ----------
    visual : Tensor, shape (B, channels, h, w)
        f_v(v), not projected.
    logit : Tensor, shape (B, h, w)
        The mask before its sigmoid.

    Returns
    -------
    Tensor, shape (B, channels)
    """
    return (visual * logit.sigmoid()[:, None]).mean((2, 3))
