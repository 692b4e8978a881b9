"""DMC: Hu, Nie and Li, Deep Multimodal Clustering for Unsupervised Audiovisual Learning, CVPR 2019.

A differentiable soft k-means clusters the positions of the frame into two clusters, and those of
the sound into one. A sound belongs to the frame that has a cluster center near the sound's; the
heat map is the share of each position in that cluster.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from spm.fusion.localization_network import (
    HeatMaps,
    LocalizationNetwork,
    StepOutput,
    flatten_frames,
)
from spm.fusion.losses import contrastive_loss, ranking_accuracy
from spm.fusion.network import audio_normalization
from spm.fusion.settings import Train
from spm.learn.backbones import CHANNELS


class Settings(Train):
    """DMC (Hu, Nie and Li, CVPR 2019)."""

    promote: bool = False
    centers: int = Field(
        2,
        ge=2,
        le=1_000,
        description="Number of cluster centers in a frame, found by a soft k-means.",
    )
    beta: float = Field(
        30.0, gt=0, le=10_000, description="β of the cluster assignments, softmax(-β · distance)."
    )
    iterations: int = Field(4, ge=1, le=1_000, description="Iterations of the soft k-means.")
    margin: float = Field(
        5.0,
        gt=0,
        le=10_000,
        description="Distance beyond which a negative does not count. Two standardized sounds are"
        " 32 apart.",
    )


class Network(LocalizationNetwork):
    """One linear projection per modality, then clusters."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.visual, settings.start, settings.audio_network)
        self.settings = settings
        channels = self.audio.channels
        self.visual_proj = nn.Conv2d(CHANNELS[settings.visual], channels, 1)
        self.audio_norm = audio_normalization(settings.standardize, channels)
        self.audio_proj = nn.Linear(channels, channels)

    def audio_features(self, log_mels: Tensor) -> Tensor:
        """Mean over time and mel, (B, 512): with one cluster, every position belongs to it."""
        return self.audio.feature_map(log_mels).mean((2, 3))

    def clusters(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Soft k-means of a frame's positions: centers (B, k, d) and shares (B, h·w, k)."""
        features = self.visual_proj(self.visual_features(images)).float()
        positions = features.flatten(2).transpose(1, 2)  # (B, h·w, d)
        # The first centers are evenly spaced positions.
        count = self.settings.centers
        spaced = torch.arange(count, device=positions.device) * positions.shape[1] // count
        centers = positions[:, spaced]
        for _ in range(self.settings.iterations):
            distances = (positions[:, :, None] - centers[:, None]).norm(dim=3)
            shares = (-self.settings.beta * distances).softmax(2)
            with torch.autocast(positions.device.type, enabled=False):  # 16 bits are too few
                sums = shares.transpose(1, 2) @ positions
            centers = sums / shares.sum(1)[:, :, None].clamp_min(1e-6)
        return centers, shares

    def embed_audio(self, features: Tensor) -> Tensor:
        """(B, 512) → (B, 512)."""
        return self.audio_proj(self.audio_norm(features))  # type: ignore[no-any-return]

    def distances(self, features: Tensor, centers: Tensor) -> Tensor:
        """From each sound to each frame's centers: (A, 512) and (B, k, d) → (A, B, k)."""
        difference = self.embed_audio(features).float()[:, None, None] - centers
        return difference.norm(dim=3)  # type: ignore[no-any-return]

    def loss(self, images: Tensor, features: Tensor, negative: Tensor) -> StepOutput:
        """Contrastive loss of the distance to the nearest center."""
        centers, _ = self.clusters(images)
        distances = self.distances(features, centers).amin(2)
        loss = contrastive_loss(distances, negative, self.settings.margin)
        return StepOutput(loss, ranking_accuracy(-distances, negative))

    def heat_maps(self, images: Tensor, log_mels: Tensor) -> HeatMaps:
        """Share of each position in the cluster whose center is nearest to the sound."""
        count, frames = images.shape[:2]
        size = self.visual_features(flatten_frames(images)[:1]).shape[2:]
        centers, shares = self.clusters(flatten_frames(images))
        features = self.audio_features(log_mels).repeat_interleave(frames, 0)  # (B·f, 512)
        nearest = (self.embed_audio(features)[:, None] - centers).norm(dim=2).argmin(1)  # (B·f,)
        chosen = shares.gather(2, nearest[:, None, None].expand(-1, shares.shape[1], 1))
        return HeatMaps(chosen.reshape(count, frames, *size))
