"""SSPL: Song et al., Self-Supervised Predictive Learning, CVPR 2022: no negatives.

Two views of one frame, each attended by its sound, should look alike to each other (SimSiam). Before that, predictive
coding brings a picture's features nearer to the sound: coarse features predict the sound, the error goes back up to the
fine ones, and again. Follows the published code (`sspl_w_pcm`), which trains neither the visual network nor VGGish.
"""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, gelu, interpolate, max_pool2d, normalize, relu

from spm.audio.network import FEATURES
from spm.fusion.localization_network import (
    Heat,
    LocalizationNetwork,
    Step,
    flat_frames,
    framewise,
    min_max,
)
from spm.fusion.losses import ranking_accuracy
from spm.fusion.settings import Train
from spm.learn.backbones import CHANNELS

LEVELS = 3  # of features: the coarsest predicts the sound


class Settings(Train):
    """The numbers of the published code."""

    promote: bool = False
    learn_visual: bool = False  # the visual network learns too
    width: int = Field(512, ge=1)  # channels of every level
    cycles: int = Field(4, ge=0)  # of predicting and correcting
    projected: int = Field(2048, ge=4)  # numbers that two views are compared by


class Coding(nn.Module):
    """The predictive coding module: features (B, width, h, w), finest level last, that come to agree with a sound."""

    def __init__(self, width: int, cycles: int) -> None:
        super().__init__()
        upper, steps = range(LEVELS - 1), cycles + 1
        self.predict = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in upper
        )
        self.predict_sound = nn.Conv2d(width, FEATURES, 1)
        tall = [nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in upper]
        self.correct = nn.ModuleList([nn.Conv2d(FEATURES, width, 1, bias=False), *tall])
        self.trust = nn.ParameterList(
            torch.full((1, width, 1, 1), 0.5) for _ in range(LEVELS)
        )  # b: of predictions
        self.haste = nn.ParameterList(
            torch.ones(1, width, 1, 1) for _ in range(LEVELS)
        )  # a: of corrections
        self.settle_down = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(steps * len(upper)))
        self.settle_up = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(steps * LEVELS))
        self.cycles = cycles

    def forward(self, visual: Tensor, sound: Tensor) -> Tensor:
        """(B, width, h, w) and unit vectors (B, 512) → (B, width, h, w)."""
        predicted = [visual]
        for level in reversed(range(LEVELS - 1)):
            predicted.insert(0, gelu(self.settle_down[level](self._coarser(level, predicted[0]))))
        held = self._corrected(0, predicted, predicted, sound)
        for step in range(1, self.cycles + 1):
            held = self._predicted(step, held, predicted)
            held = self._corrected(step, held, predicted, sound)
        return held[-1]

    def _coarser(self, level: int, finer: Tensor) -> Tensor:
        """What the level above says of this one."""
        made = self.predict[level](finer)
        return max_pool2d(made, 2) if min(made.shape[2:]) > 1 else made

    def _predicted(self, step: int, held: list[Tensor], predicted: list[Tensor]) -> list[Tensor]:
        """Down: each level leans to what the one above says of it; `predicted` keeps that."""
        held = [*held[:-1], gelu(torch.lerp(held[-1], predicted[-1], relu(self.trust[-1])))]
        for level in reversed(range(LEVELS - 1)):
            predicted[level] = self._coarser(level, held[level + 1])
            leaning = torch.lerp(held[level], predicted[level], relu(self.trust[level]))
            held[level] = gelu(self.settle_down[step * (LEVELS - 1) + level](leaning))
        return held

    def _corrected(
        self, step: int, held: list[Tensor], predicted: list[Tensor], sound: Tensor
    ) -> list[Tensor]:
        """Up: the sound's error moves the coarsest level, and each level's move the next."""
        expected = gelu(self.predict_sound(held[0])).mean((2, 3))
        error, corrected = (sound - expected)[:, :, None, None], list[Tensor]()
        for level, value in enumerate(held):
            size = value.shape[2:]
            wide = (
                interpolate(error, size, mode="bilinear", align_corners=True)
                if error.shape[2:] != size
                else error
            )
            moved = value + relu(self.haste[level]) * self.correct[level](wide)
            corrected.append(gelu(self.settle_up[step * LEVELS + level](moved)))
            error = corrected[level] - predicted[level]
        return corrected


class Network(LocalizationNetwork):
    """Predictive coding, attention by cosine, and SimSiam's two heads."""

    views = 2

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.visual, settings.start)
        self.settings, width, wide = settings, settings.width, settings.projected
        self.visual.requires_grad_(settings.learn_visual)
        self.see = nn.Conv2d(CHANNELS[settings.visual], width, 1)
        self.level = (
            nn.BatchNorm1d(FEATURES, affine=False) if settings.standardize else nn.Identity()
        )
        self.hear, self.out = nn.Linear(FEATURES, width), nn.Conv2d(width, width, 1)
        self.coding = Coding(width, settings.cycles)
        last = nn.Sequential(nn.Linear(wide, wide, bias=False), nn.BatchNorm1d(wide, affine=False))
        self.project = nn.Sequential(*_layer(width, wide), *_layer(wide, wide), *last)
        self.guess = nn.Sequential(*_layer(wide, wide // 4), nn.Linear(wide // 4, wide))

    def teach(self, config: Train) -> None:
        """Training mode, but for a visual network that stands still."""
        super().teach(config)
        self.visual.train(self.settings.learn_visual)

    def coded(self, images: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """Features after predictive coding, (B, width, h, w), and their cosines with the sound, (B, h, w)."""
        features = self.level(heard)
        visual = self.out(self.coding(self.see(self.visual(images)), normalize(features, dim=1)))
        query = normalize(self.hear(features), dim=1)
        return visual, torch.einsum("bdhw,bd->bhw", normalize(visual, dim=1), query)

    def attended(self, images: Tensor, heard: Tensor) -> Tensor:
        """The sum of the positions by their share of attention, (B, width)."""
        visual, cosine = self.coded(images, heard)
        return (visual * min_max(cosine)[:, None]).sum((2, 3))

    def loss(self, images: Tensor, heard: Tensor, negative: Tensor) -> Step:
        """Minus the cosine of what one view guesses of the other and what the other is, which gradients do not reach.

        `images` are both views of every clip, one after the other, or one view that stands for both. The accuracy is of
        telling the other view of a clip from a stranger's: it shows a collapse, which the loss does not.
        """
        views = images.chunk(2) if len(images) == 2 * len(heard) else (images, images)
        one, two = (self.project(self.attended(view, heard)) for view in views)
        guesses = self.guess(one), self.guess(two)
        pairs = zip(guesses, (two.detach(), one.detach()), strict=True)
        loss = -torch.stack(
            [cosine_similarity(guess.float(), view.float()).mean() for guess, view in pairs]
        ).mean()
        likeness = normalize(guesses[0].float().detach()) @ normalize(two.float().detach()).T
        return Step(loss, ranking_accuracy(likeness, negative))

    def heat(self, images: Tensor, log_mels: Tensor) -> Heat:
        """Cosines, each map from its least to its greatest."""
        sounds = self.sound(log_mels).repeat_interleave(images.shape[1], 0)
        return Heat(framewise(min_max(self.coded(flat_frames(images), sounds)[1]), images))


def _layer(before: int, after: int) -> list[nn.Module]:
    return [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
