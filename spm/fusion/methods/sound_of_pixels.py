"""Sound-of-Pixels: Zhao et al., The Sound of Pixels, ECCV 2018: mix two sounds and separate them by what is seen.

A U-Net splits a spectrogram into K components; what a picture shows says how much of each it makes, hence which mels at
which times are its own. A position's heat is the share of the sound's energy that its own K numbers would keep; the
paper's code trains, and leaves this last step out.
"""

from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import interpolate, relu

from spm.fusion.localization_network import (
    Heat,
    LocalizationNetwork,
    Step,
    flat_frames,
    framewise,
    min_max,
)
from spm.fusion.settings import Kind, Train
from spm.learn.backbones import CHANNELS

SKIPS = {
    "relu": 64,
    "layer1": 64,
    "layer2": 128,
    "layer4": 512,
}  # channels of what the U-Net takes of ResNet-18
LEAST = 1e-10  # of a magnitude, as in the log-mels


class Settings(Train):
    """The numbers of the published code."""

    promote: bool = False
    kinds: tuple[Kind, ...] = Field(("solo",), min_length=1)  # a mix has one sound of each picture
    components: int = Field(32, ge=1)  # K


class Network(LocalizationNetwork):
    """A U-Net whose way down is the shared audio network, and K numbers for each position."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.visual, settings.start)
        k, widths = settings.components, list(SKIPS.values())[::-1]
        self.see = nn.Conv2d(CHANNELS[settings.visual], k, 3, padding=1)
        self.up = nn.ModuleList(
            nn.Conv2d(below + skip, skip, 3, padding=1) for below, skip in pairwise(widths)
        )
        self.split = nn.Conv2d(widths[-1], k, 3, padding=1)
        self.scale, self.offset = nn.Parameter(torch.ones(k)), nn.Parameter(torch.zeros(1))

    def sound(self, log_mels: Tensor) -> Tensor:
        """The log-mels themselves: what is heard depends on what they are mixed with."""
        return log_mels.float()

    def components(self, log_mels: Tensor) -> Tensor:
        """The U-Net: (B, 201, 64) → (B, K, 201, 64)."""
        value, found = self.audio.scaled(log_mels)[:, None], []
        for name, layer in self.audio.trunk.named_children():
            value = layer(value)
            if name in SKIPS:
                found.append(value)
        for skip, conv in zip(found[-2::-1], self.up, strict=True):
            value = relu(conv(torch.cat([_resized(value, skip), skip], 1)))
        return self.split(_resized(value, log_mels))  # type: ignore[no-any-return]

    def masks(self, shown: Tensor, components: Tensor) -> Tensor:
        """Logits of "these mels at this time are mine": (B, n, K) of n places and (B, K, 201, 64) → (B, n, 201, 64)."""
        return torch.einsum("bnk,bktm->bntm", shown * self.scale, components) + self.offset

    def loss(self, images: Tensor, heard: Tensor, negative: Tensor) -> Step:
        """Each sound is mixed with a stranger's; a mask should be 1 where its own sound is the louder one.

        Magnitudes add, as if phases did not matter; a mel counts by how loud it is. The accuracy is that of the mask.
        """
        mixed = negative.any(1)
        stranger = negative.int().argmax(1)[mixed]
        loud = magnitudes(heard)
        own, other = loud[mixed], loud[stranger]
        shown = self.see(self.visual(images)).amax((2, 3)).sigmoid().float()
        two = torch.stack([shown[mixed], shown[stranger]], 1)  # (B, 2, K)
        logits = self.masks(two, self.components(decibels(own + other)).float())
        target = torch.stack([own >= other, own < other], 1).float()
        weight = (own + other).log1p().clamp(1e-3, 10)[:, None].expand_as(target)
        loss = (bce(logits, target, reduction="none") * weight).sum() / weight.sum()
        right = (((logits > 0) == target.bool()) * weight).sum() / weight.sum()
        return Step(loss, float(right))

    def heat(self, images: Tensor, log_mels: Tensor) -> Heat:
        """Σ M_uv |S| / Σ |S| of each position's own mask, each map from its least to its greatest."""
        shown = framewise(
            self.see(self.visual(flat_frames(images))).sigmoid(), images
        )  # (B, f, K, h, w)
        places = shown.permute(0, 1, 3, 4, 2).flatten(1, 3)  # (B, f·h·w, K)
        several = zip(
            places, self.components(log_mels), magnitudes(self.sound(log_mels)), strict=True
        )
        kept = torch.stack(
            [self.kept(*clip) for clip in several]
        )  # one by one: a mask for each place is large
        return Heat(min_max(kept.view(*shown.shape[:2], *shown.shape[3:])))

    def kept(self, places: Tensor, components: Tensor, loud: Tensor) -> Tensor:
        """The share of a sound, (201, 64), that each place's mask keeps: (n, K) and (K, 201, 64) → (n,)."""
        masks = self.masks(places[None], components[None])[0].sigmoid()
        return torch.einsum("ntm,tm->n", masks, loud) / loud.sum()


def magnitudes(log_mels: Tensor) -> Tensor:
    """Undo the decibels."""
    return 10 ** (log_mels / 10)


def decibels(loud: Tensor) -> Tensor:
    """10 log10."""
    return 10 * loud.clamp_min(LEAST).log10()


def _resized(value: Tensor, like: Tensor) -> Tensor:
    return interpolate(value, like.shape[-2:], mode="bilinear", align_corners=False)
