"""Base classes of methods that use pretrained networks as they are, without any training."""

from collections.abc import Iterable
from typing import Self

from pydantic import Field, model_validator
from torch import nn

from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.settings import Train
from spm.learn.backbones import Start, Visual

STRIDE = 32  # of the published image network, whose weights are used as they are
CROP = 448  # px: 14 × 14 positions at this stride
FRAMES = 8  # frames per pass: more need gigabytes of memory at this size, and no less time


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
