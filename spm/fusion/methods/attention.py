"""Attention: Senocak et al., Learning to Localize Sound Source in Visual Scenes, CVPR 2018.

Each position gets an attention weight by its cosine with the sound. The weighted mean of the
features must be near the sound of the same clip and far from other sounds. As DSOL ran it: with the
contrastive loss, and without a temperature in the softmax unless one is set.
"""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from spm.fusion.localization_network import (
    CosineMaps,
    StepOutput,
    flatten_frames,
    unflatten_frames,
)
from spm.fusion.losses import contrastive_loss, ranking_accuracy
from spm.fusion.network import all_cosines, audio_normalization
from spm.fusion.settings import Train
from spm.learn.backbones import CHANNELS


class Settings(Train):
    """Attention (Senocak et al., CVPR 2018)."""

    promote: bool = False
    temperature: float = Field(
        1.0,
        gt=0,
        le=100,
        description="Temperature of the softmax over positions. At 1, all positions have almost"
        " the same weight.",
    )
    margin: float = Field(
        10.0,
        gt=0,
        le=10_000,
        description="Distance beyond which a negative does not count. Two standardized sounds are"
        " 32 apart.",
    )


class Network(CosineMaps):
    """Two linear layers make a query of the sound; two more decode the attended features."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.visual, settings.start, settings.audio_network)
        width, channels = CHANNELS[settings.visual], self.audio.channels
        self.temperature, self.margin = settings.temperature, settings.margin
        self.audio_norm = audio_normalization(settings.standardize, channels)
        self.query_mlp = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, width), nn.ReLU()
        )
        self.decoder = nn.Sequential(
            nn.Linear(width, channels), nn.ReLU(), nn.Linear(channels, channels)
        )

    def query(self, features: Tensor) -> Tensor:
        """(B, 512) → unit vectors (B, c)."""
        return normalize(self.query_mlp(self.audio_norm(features)), dim=1)

    def distances(self, visual: Tensor, features: Tensor) -> Tensor:
        """From each sound to the features that it attends to: (B, c, h, w), (A, 512) → (A, B)."""
        cosine = all_cosines(self.query(features), normalize(visual, dim=1)).float()
        attention = (cosine / self.temperature).flatten(2).softmax(2)  # (A, B, h·w)
        attended = torch.einsum("abp,bcp->abc", attention, visual.float().flatten(2))
        difference: Tensor = self.decoder(attended) - self.audio_norm(features).float()[:, None]
        return difference.norm(dim=2)  # type: ignore[no-any-return]

    def loss(self, images: Tensor, features: Tensor, negative: Tensor) -> StepOutput:
        """Contrastive loss of the distances."""
        distances = self.distances(self.visual_features(images), features)
        loss = contrastive_loss(distances, negative, self.margin)
        return StepOutput(loss, ranking_accuracy(-distances, negative))

    def cosines(self, images: Tensor, log_mels: Tensor) -> Tensor:
        """Cosines of each position with the query: (B, f, h, w)."""
        visual = normalize(self.visual_features(flatten_frames(images)), dim=1)
        visual = unflatten_frames(visual, images)  # (B, f, c, h, w)
        query = self.query(self.audio_features(log_mels))
        return torch.einsum("bc,bfchw->bfhw", query, visual)
