"""Base classes of methods that use pretrained networks as they are, without any training."""

from collections.abc import Callable, Iterable
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.settings import Train
from spm.learn.backbones import Start, Visual

STRIDE = 32  # of the published image network, whose weights are used as they are
CROP = 448  # px: 14 × 14 positions at this stride
# Frames per pass: on a CPU, more need gigabytes of memory at this size, and no less time.
FRAMES, GPU_FRAMES = 8, 32
PIXELS = 448 * 448  # of the frames that a trunk computes at once on a CPU


def frames_per_pass(device: torch.device) -> int:
    """Frames that a network without training computes at once."""
    return GPU_FRAMES if device.type == "cuda" else FRAMES


def clips_per_pass(device: torch.device, frames: int) -> int:
    """Clips of so many frames that such a network computes at once."""
    return max(1, frames_per_pass(device) // max(frames, 1))


class FrameByFrame(nn.Sequential):
    """An image trunk that a CPU computes for one frame of 448 px at a time, or for more small ones.

    The outputs of a layer then fit its caches: 60 ms per frame of 448 px in place of 95 ms, with
    the same features, bit by bit.
    """

    def forward(self, frames: Tensor) -> Tensor:
        """Features of frames: (N, 3, H, W) → (N, c, h, w)."""
        layers: Callable[[Tensor], Tensor] = super().forward
        if frames.is_cuda:
            return layers(frames)
        at_once = max(1, PIXELS // frames[0, 0].numel())
        return torch.cat([layers(part) for part in frames.split(at_once)])


class UntrainedSettings(Train):
    """Settings of a method without training: keys about training have no effect."""

    promote: bool = Field(False, description="Always false: nothing is trained.")
    visual: Visual = Field("efficientnet_lite0", description="Always efficientnet_lite0.")
    start: Start = Field("imagenet", description="Always imagenet.")
    crop: int = Field(
        CROP, ge=32, le=2_048, description="Width and height of a frame, in px: 32 px per cell."
    )

    @property
    def total_epochs(self) -> int:
        """No epoch: the stage `train` writes the pretrained weights at once."""
        return 0

    @model_validator(mode="after")
    def _is_untrained(self) -> Self:
        if self.promote:
            raise ValueError(f"promote: true, but {self.method} is not trained: set it to false")
        if self.visual != "efficientnet_lite0":
            raise ValueError(f"visual: {self.visual}, but {self.method} needs efficientnet_lite0")
        return self


class UntrainedNetwork(LocalizationNetwork):
    """A network without the backbones that other methods train."""

    def __init__(self) -> None:
        nn.Module.__init__(self)  # the base class would build backbones for training

    def match_categories(self, names: Iterable[str]) -> dict[str, int]:
        """Index of the map of each category among the network's clusters."""
        return {}
