"""Attention: Senocak et al., Learning to Localize Sound Source in Visual Scenes, CVPR 2018.

The sound attends to positions by their cosine with it; what it attends to, pooled, must be near the sound of the same
clip and far from others. As DSOL ran it: contrastive loss, and no temperature in the softmax unless one is set.
"""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from spm.audio.network import FEATURES
from spm.fusion.localization_network import (
    Heat,
    LocalizationNetwork,
    Step,
    flat_frames,
    framewise,
    min_max,
)
from spm.fusion.losses import contrastive_loss, ranking_accuracy
from spm.fusion.network import all_cosines
from spm.fusion.settings import Train
from spm.learn.backbones import CHANNELS


class Settings(Train):
    """How sharp attention is, and how far apart strangers are to be."""

    promote: bool = False
    temperature: float = Field(
        1.0, gt=0
    )  # of the softmax over positions; cosines alone attend almost evenly
    margin: float = Field(
        10.0, gt=0
    )  # beyond it a stranger does not matter; standardized sounds are 32 apart


class Network(LocalizationNetwork):
    """Two fully connected layers turn a sound into a query, and two turn what is attended to into a sound."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.visual, settings.start)
        width = CHANNELS[settings.visual]
        self.temperature, self.margin = settings.temperature, settings.margin
        self.level = (
            nn.BatchNorm1d(FEATURES, affine=False) if settings.standardize else nn.Identity()
        )
        self.ask = nn.Sequential(
            nn.Linear(FEATURES, FEATURES), nn.ReLU(), nn.Linear(FEATURES, width), nn.ReLU()
        )
        self.answer = nn.Sequential(
            nn.Linear(width, FEATURES), nn.ReLU(), nn.Linear(FEATURES, FEATURES)
        )

    def query(self, heard: Tensor) -> Tensor:
        """(B, 512) → unit vectors (B, c)."""
        return normalize(self.ask(self.level(heard)), dim=1)

    def distances(self, visual: Tensor, heard: Tensor) -> Tensor:
        """From each sound to what it attends to in each picture: (B, c, h, w) and (B, 512) → (B, B)."""
        cosine = all_cosines(self.query(heard), normalize(visual, dim=1)).float()
        attention = (cosine / self.temperature).flatten(2).softmax(2)  # (B, B, h·w)
        pooled = torch.einsum("abp,bcp->abc", attention, visual.float().flatten(2))
        apart: Tensor = self.answer(pooled) - self.level(heard).float()[:, None]
        return apart.norm(dim=2)  # type: ignore[no-any-return]

    def loss(self, images: Tensor, heard: Tensor, negative: Tensor) -> Step:
        """Contrastive, on the distances."""
        distances = self.distances(self.visual(images), heard)
        return Step(
            contrastive_loss(distances, negative, self.margin),
            ranking_accuracy(-distances, negative),
        )

    def heat(self, images: Tensor, log_mels: Tensor) -> Heat:
        """Where the sound attends, each map from its least to its greatest."""
        places = framewise(normalize(self.visual(flat_frames(images)), dim=1), images)
        return Heat(
            min_max(torch.einsum("bc,bfchw->bfhw", self.query(self.sound(log_mels)), places))
        )
