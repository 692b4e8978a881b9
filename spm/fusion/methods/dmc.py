"""DMC: Hu, Nie and Li, Deep Multimodal Clustering for Unsupervised Audiovisual Learning, CVPR 2019.

Each side's positions are clustered by a soft k-means that gradients pass through: two centres in the picture, one in
the sound. A sound belongs to the picture that has a centre near its own; the heat map is what that centre holds.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from spm.audio.network import FEATURES
from spm.fusion.localization_network import Heat, LocalizationNetwork, Step, flat_frames
from spm.fusion.losses import contrastive_loss, ranking_accuracy
from spm.fusion.settings import Train
from spm.learn.backbones import CHANNELS


class Settings(Train):
    """The numbers of the published code."""

    promote: bool = False
    centres: int = Field(2, ge=2)  # in a picture
    beta: float = Field(30.0, gt=0)  # of the assignments: softmax(-β · distance)
    iterations: int = Field(4, ge=1)
    margin: float = Field(
        5.0, gt=0
    )  # beyond it a stranger does not matter; standardized sounds are 32 apart


class Network(LocalizationNetwork):
    """One linear map a side, then clusters."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.visual, settings.start)
        self.settings = settings
        self.see = nn.Conv2d(CHANNELS[settings.visual], FEATURES, 1)
        self.level = (
            nn.BatchNorm1d(FEATURES, affine=False) if settings.standardize else nn.Identity()
        )
        self.hear = nn.Linear(FEATURES, FEATURES)

    def sound(self, log_mels: Tensor) -> Tensor:
        """The mean over time and mel, (B, 512): with one centre every position belongs to it wholly."""
        return self.audio.positions(log_mels).mean((2, 3))

    def clusters(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Soft k-means of a picture's positions: centres (B, k, d), and each position's shares (B, h·w, k)."""
        places = self.see(self.visual(pictures)).float().flatten(2).transpose(1, 2)  # (B, h·w, d)
        spaced = torch.arange(self.settings.centres) * places.shape[1] // self.settings.centres
        centres = places[:, spaced]
        for _ in range(self.settings.iterations):
            distance = (places[:, :, None] - centres[:, None]).norm(dim=3)
            shares = (-self.settings.beta * distance).softmax(2)
            centres = shares.transpose(1, 2) @ places / shares.sum(1)[:, :, None].clamp_min(1e-6)
        return centres, shares

    def distances(self, heard: Tensor, centres: Tensor) -> Tensor:
        """From each sound to each picture's centres: (A, 512) and (B, k, d) → (A, B, k)."""
        apart: Tensor = self.hear(self.level(heard)).float()[:, None, None] - centres
        return apart.norm(dim=3)  # type: ignore[no-any-return]

    def loss(self, images: Tensor, heard: Tensor, negative: Tensor) -> Step:
        """Contrastive, on the distance to the nearest centre."""
        distances = self.distances(heard, self.clusters(images)[0]).amin(2)
        return Step(
            contrastive_loss(distances, negative, self.settings.margin),
            ranking_accuracy(-distances, negative),
        )

    def heat(self, images: Tensor, log_mels: Tensor) -> Heat:
        """Each position's share of the centre that is nearest to the sound."""
        count, frames = images.shape[:2]
        side = self.visual(flat_frames(images)[:1]).shape[2:]
        centres, shares = self.clusters(flat_frames(images))
        sounds = self.sound(log_mels).repeat_interleave(frames, 0)  # (B·f, 512)
        nearest = (self.hear(self.level(sounds))[:, None] - centres).norm(dim=2).argmin(1)  # (B·f,)
        chosen = shares.gather(2, nearest[:, None, None].expand(-1, shares.shape[1], 1))
        return Heat(chosen.reshape(count, frames, *side))
