"""Sound-of-Pixels: Zhao et al., The Sound of Pixels, ECCV 2018.

Two sounds are mixed and separated again with the help of their frames. A U-Net splits the
spectrogram of the mix into K components. The frame gives the weight of each component, and so a
mask: the mel bands and times that are this frame's sound. The heat of a position is the share of
the sound's energy that the mask of this position keeps; the published code has no such step.
"""

from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, interpolate, relu
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from spm.base.config import UNIQUE
from spm.base.errors import UserError
from spm.base.statuses import Kind
from spm.fusion.localization_network import (
    HeatMaps,
    LocalizationNetwork,
    StepOutput,
    flatten_frames,
    min_max,
    unflatten_frames,
)
from spm.fusion.settings import Train
from spm.learn import distributed
from spm.learn.backbones import CHANNELS

# Layers of ResNet-18 with skip connections, and their channels; the last one has no skip.
SKIPS = {"relu": 64, "layer1": 64, "layer2": 128, "layer4": 512}
MIN_MAGNITUDE = 1e-10  # as in the log-mels


class Settings(Train):
    """Sound-of-Pixels (Zhao et al., ECCV 2018)."""

    promote: bool = False
    kinds: tuple[Kind, ...] = Field((Kind.SOLO,), min_length=1, json_schema_extra=UNIQUE)
    components: int = Field(
        32, ge=1, le=1_024, description="Number of components that a spectrogram is split into."
    )
    pooled_frames: int = Field(
        1,
        ge=1,
        le=100,
        description="Successive frames of a spectrogram, of 5 ms each, whose mean is one frame of"
        " the mixes and masks. On a CPU, 12 make a training ten times as fast.",
    )


class Network(LocalizationNetwork):
    """A U-Net whose encoder is the shared audio network, and K weights for each position."""

    def __init__(self, settings: Settings) -> None:
        if settings.audio_network != "resnet18":
            raise UserError(
                f"train.audio_network: {settings.audio_network}, but sound_of_pixels splits spm's"
                " log-mels, which only resnet18 reads: choose another row of `audio`"
            )
        super().__init__(settings.visual, settings.start)
        self.pooled_frames = settings.pooled_frames
        k, widths = settings.components, list(SKIPS.values())[::-1]
        self.visual_proj = nn.Conv2d(CHANNELS[settings.visual], k, 3, padding=1)
        self.decoder = nn.ModuleList(
            nn.Conv2d(below + skip, skip, 3, padding=1) for below, skip in pairwise(widths)
        )
        self.component_head = nn.Conv2d(widths[-1], k, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(k))
        self.bias = nn.Parameter(torch.zeros(1))

    def audio_features(self, log_mels: Tensor) -> Tensor:
        """The log-mels themselves, pooled: (B, 201, 64) → (B, T, 64).

        The output of the U-Net is no feature of a sound, as it depends on the other sound of a mix.
        """
        if self.pooled_frames > 1:
            loudness = magnitudes(log_mels.float()).transpose(1, 2)
            pooled = avg_pool1d(loudness, self.pooled_frames, ceil_mode=True)
            log_mels = decibels(pooled.transpose(1, 2))
        return distributed.gather(log_mels.float())

    def shared_trunks(self) -> list[nn.Module]:
        """The audio network computes mixes of the whole batch, so only the visual trunk."""
        return [self.visual]

    def components(self, log_mels: Tensor) -> Tensor:
        """The U-Net: (B, T, 64) → (B, K, T, 64)."""
        value = self.audio.normalize(log_mels)[:, None]
        skips = []
        for name, layer in self.audio.trunk.named_children():
            value = layer(value)
            if name in SKIPS:
                skips.append(value)
        for skip, conv in zip(skips[-2::-1], self.decoder, strict=True):
            value = relu(conv(torch.cat([_resize(value, skip), skip], 1)))
        return self.component_head(_resize(value, log_mels))  # type: ignore[no-any-return]

    def mask_logits(self, weights: Tensor, components: Tensor) -> Tensor:
        """Masks of n positions: (B, n, K) and (B, K, T, 64) → logits (B, n, T, 64)."""
        return torch.einsum("bnk,bktm->bntm", weights * self.scale, components) + self.bias

    def loss(self, images: Tensor, features: Tensor, negative: Tensor) -> StepOutput:
        """Mix each sound with one of another video; a mask should be 1 where its sound is louder.

        Magnitudes are added, without their phases. Each mel band and time is weighted by its
        loudness. The accuracy is that of the masks. A negative sound is mixed with the sound of a
        frame that does not show it, and only the mask of this frame counts.
        """
        partner, mixed = negative.int().argmax(1), negative.any(1)
        count = negative.shape[1]
        frame = torch.cat([torch.arange(count, device=partner.device), partner[count:]])
        own = magnitudes(features)
        other = own[partner]
        weights = self.visual_proj(self.visual_features(images)).amax((2, 3)).sigmoid().float()
        pairs = torch.stack([weights[frame], weights[partner]], 1)  # (A, 2, K)
        logits = self.mask_logits(pairs, self.components(decibels(own + other)).float())
        target = torch.stack([own >= other, own < other], 1).float()
        importance = (own + other).log1p().clamp(1e-3, 10) * mixed[:, None, None]
        importance = importance[:, None].expand_as(target)
        if len(own) > count:
            is_shown = torch.ones(len(own), 2, device=own.device)
            is_shown[count:, 0] = 0
            importance = importance * is_shown[:, :, None, None]
        total = importance.sum().clamp_min(1e-3)
        losses = bce(logits, target, reduction="none")
        correct = (logits > 0) == target.bool()
        return StepOutput((losses * importance).sum() / total, (correct * importance).sum() / total)

    def heat_maps(self, images: Tensor, log_mels: Tensor) -> HeatMaps:
        """Shares of the loudness in each position's mask, scaled to [0, 1] per map."""
        return HeatMaps(min_max(self.absolute_maps(images, log_mels)))

    def absolute_maps(self, images: Tensor, log_mels: Tensor) -> Tensor:
        """Σ M_uv |S| / Σ |S| of each position's mask M_uv: (B, f, h, w)."""
        weights = self.visual_proj(self.visual_features(flatten_frames(images))).sigmoid()
        weights = unflatten_frames(weights, images)  # (B, f, K, h, w)
        positions = weights.permute(0, 1, 3, 4, 2).flatten(1, 3)  # (B, f·h·w, K)
        pooled = self.audio_features(log_mels)
        # One clip at a time, because a mask for each position needs much memory.
        clips = zip(positions, self.components(pooled), magnitudes(pooled), strict=True)
        kept = torch.stack([self.kept_share(*clip) for clip in clips])
        return kept.view(*weights.shape[:2], *weights.shape[3:])

    def kept_share(self, positions: Tensor, components: Tensor, loudness: Tensor) -> Tensor:
        """Share of the loudness (T, 64) in each mask: (n, K) and (K, T, 64) → (n,)."""
        masks = self.mask_logits(positions[None], components[None])[0].sigmoid()
        return torch.einsum("ntm,tm->n", masks, loudness) / loudness.sum()


def magnitudes(log_mels: Tensor) -> Tensor:
    """Magnitudes of log-mels in dB."""
    return 10 ** (log_mels / 10)


def decibels(loudness: Tensor) -> Tensor:
    """10 log10 of magnitudes."""
    return 10 * loudness.clamp_min(MIN_MAGNITUDE).log10()


def _resize(value: Tensor, target: Tensor) -> Tensor:
    return interpolate(value, target.shape[-2:], mode="bilinear", align_corners=False)
