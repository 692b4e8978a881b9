"""The audio-visual network of Eqs. 1-5: it finds where in a frame the sound is made."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from spm.fusion.localization_network import (
    HeatMaps,
    LocalizationNetwork,
    StepOutput,
    flatten_frames,
    unflatten_frames,
)
from spm.fusion.losses import matching_accuracy, matching_loss
from spm.fusion.settings import Train
from spm.learn.backbones import CHANNELS, Audio, Start, Visual


@dataclass(frozen=True)
class FusionConfig:
    """Settings that a `FusionNetwork` is built from."""

    visual: Visual = "resnet18"
    audio: Audio = "resnet18"
    projection: int = 128  # channels compared; 0: f_v and f_a themselves, with ResNet-18 only
    epsilon: float = 0.65  # Eq. 4: the cosine at which the mask is one half
    tau: float = 0.03  # Eq. 4: temperature
    learn_scale: bool = False  # ε and τ are learned, from these values
    standardize: bool = False  # audio features get mean 0 and deviation 1 before the projection

    @classmethod
    def of(
        cls, settings: Train, *, epsilon: float, tau: float = 0.03, learn_scale: bool = False
    ) -> Self:
        """Networks and sizes from the settings of a run, and the scale of a method's mask."""
        return cls(
            visual=settings.visual,
            audio=settings.audio_network,
            projection=settings.projection,
            epsilon=epsilon,
            tau=tau,
            learn_scale=learn_scale,
            standardize=settings.standardize,
        )


class AudioNormalization(nn.BatchNorm1d):
    """Standardizes audio features, (A, channels) or (A, channels, t).

    In training, negative sounds are left out of the statistics: the features of silence are far
    from those of all clips, and would make the clips more alike.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)
        self.clips: int | None = None  # rows that are clips in training; None: all

    def forward(self, features: Tensor) -> Tensor:
        """In training, by mean and deviation of the batch's clips, which are the first rows."""
        if not self.training or self.clips is None or self.clips == len(features):
            return super().forward(features)
        own, others = features[: self.clips], features[self.clips :]
        all_but_channels = (0, *range(2, features.dim()))
        variance, mean = torch.var_mean(own.float(), all_but_channels, correction=0, keepdim=True)
        standardized = (others - mean) / (variance + self.eps).sqrt()
        return torch.cat([super().forward(own), standardized])


def audio_normalization(standardize: bool, channels: int) -> nn.Module:
    """Layer that standardizes audio features, (A, channels), or leaves them unchanged."""
    return AudioNormalization(channels) if standardize else nn.Identity()


def _projection(channels: int, width: int) -> nn.Module:
    """Two 1 × 1 convolutions, as in DSOL; for a single position they are two linear layers."""
    if width == 0:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels, width, 1), nn.ReLU(inplace=True), nn.Conv2d(width, width, 1)
    )


class FusionNetwork(LocalizationNetwork):
    """f_v, f_a, their projections, and the scale and offset of the mask; shared by most methods."""

    def __init__(self, config: FusionConfig, start: Start = "none") -> None:
        super().__init__(config.visual, start, config.audio)
        channels, audio_channels = CHANNELS[config.visual], self.audio.channels
        if config.projection == 0 and channels != audio_channels:
            raise ValueError(
                f"projection: 0, but {config.visual} has {channels} channels and the audio network"
                f" {audio_channels}: use resnet18"
            )
        self.visual_proj = _projection(channels, config.projection)
        self.audio_norm = audio_normalization(config.standardize, audio_channels)
        self.audio_proj = _projection(audio_channels, config.projection)
        learned = config.learn_scale
        self.epsilon = nn.Parameter(torch.tensor(config.epsilon), requires_grad=learned)
        self.scale = nn.Parameter(torch.tensor(1 / config.tau), requires_grad=learned)

    def embed_image(self, images: Tensor) -> Tensor:
        """Eq. 1 and the projection: (B, 3, H, W) → unit vectors (B, d, h, w)."""
        return normalize(self.visual_proj(self.visual_features(images)), dim=1)

    def embed_audio(self, features: Tensor) -> Tensor:
        """Projection of A = f_a(a): (B, channels) → unit vectors (B, d).

        The maximum of rectified features is positive. So two random sounds have a cosine near 0.9
        before the projection is trained, unless `standardize` is set.
        """
        normalized = self.audio_norm(features)[:, :, None, None]
        return normalize(self.audio_proj(normalized).flatten(1), dim=1)

    def logits(self, cosine: Tensor) -> Tensor:
        """The mask of Eq. 4 before its sigmoid.

        Losses use logits, because the sigmoid underflows in half precision.
        """
        return (cosine - self.epsilon) * self.scale

    def scores(self, images: Tensor, features: Tensor) -> Tensor:
        """Maximum logit of each sound with each frame of a batch: (A, B)."""
        cosine = all_cosines(self.embed_audio(features), self.embed_image(images))  # (A, B, h, w)
        return self.logits(cosine.float()).amax((2, 3))

    def loss(self, images: Tensor, features: Tensor, negative: Tensor) -> StepOutput:
        """DSOL's matching loss of the map's maximum; the SPM paper only says "calculate loss"."""
        scores = self.scores(images, features)
        return StepOutput(matching_loss(scores, negative), matching_accuracy(scores, negative))

    def embed_frames(self, images: Tensor) -> Tensor:
        """`embed_image` of clips with f frames each: (B, f, 3, H, W) → (B, f, d, h, w)."""
        return unflatten_frames(self.embed_image(flatten_frames(images)), images)

    def cosines(self, images: Tensor, log_mels: Tensor) -> Tensor:
        """Eq. 3 for each clip's f frames: (B, f, 3, H, W) and (B, 201, 64) → (B, f, h, w)."""
        audio = self.embed_audio(self.audio_features(log_mels))
        return torch.einsum("bd,bfdhw->bfhw", audio, self.embed_frames(images))

    def heat_maps(self, images: Tensor, log_mels: Tensor) -> HeatMaps:
        """The mask of Eq. 4."""
        return HeatMaps(self.logits(self.cosines(images, log_mels)).sigmoid())


def all_cosines(audio: Tensor, visual: Tensor) -> Tensor:
    """Eq. 3 for every sound and frame: unit vectors (A, d) and (B, d, h, w) → (A, B, h, w).

    In float32 also where the networks compute with 16 bits: bfloat16 knows 129 cosines from 0.5 to
    1, and a temperature of 0.03 would amplify the difference.
    """
    with torch.autocast(audio.device.type, enabled=False):
        return torch.einsum("ad,bdhw->abhw", audio.float(), visual.float())


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over the positions: (…, h, w) and (…, h, w) → (…)."""
    return (values * weights).sum((-2, -1)) / weights.sum((-2, -1)).clamp_min(1e-30)


def potential_objects(visual: Tensor, mask: Tensor) -> Tensor:
    """Eq. 5: O = GAP(f_v(v) ∘ m), the mean of the masked features over all positions.

    The SPM paper takes the soft mask of Eq. 4; DSOL takes a binary one.

    Parameters
    ----------
    visual : Tensor, shape (B, channels, h, w)
        f_v(v), not projected.
    mask : Tensor, shape (B, h, w)

    Returns
    -------
    Tensor, shape (B, channels)
    """
    return (visual * mask[:, None]).mean((2, 3))
