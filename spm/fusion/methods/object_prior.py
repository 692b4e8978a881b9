"""Object prior: where an image network that was trained on ImageNet sees an object, for any sound.

The L1 norm of the features at each position. Nothing is trained, and nothing is heard: a localizer
that is not better than this baseline does not need its ears. EZ-VSL (Mo and Morgado, ECCV 2022)
mixes such a map with its own.
"""

import torch
from torch import Tensor

from spm.fusion import zero_shot
from spm.fusion.localization_network import HeatMaps, flatten_frames, unflatten_frames
from spm.fusion.untrained import (
    STRIDE,
    FrameByFrame,
    UntrainedNetwork,
    UntrainedSettings,
    frames_per_pass,
)
from spm.learn.efficientnet import EfficientNetLite0


class Settings(UntrainedSettings):
    """Object prior: features of ImageNet, image only (Mo and Morgado, ECCV 2022)."""


class Network(UntrainedNetwork):
    """The trunk of EfficientNet-Lite0, at two image sizes."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        trunk = EfficientNetLite0(STRIDE, published=settings.start != "none").trunk
        self.visual = FrameByFrame(*trunk)

    def heat_maps(self, images: Tensor, sounds: Tensor) -> HeatMaps:
        """L1 norm of the features, with maximum 1: the same for every sound."""
        maps = []
        for frames in flatten_frames(images).split(frames_per_pass(images.device)):
            scales = (frames, zero_shot.half_size(frames))
            priors = [zero_shot.object_prior(self.visual(each)) for each in scales]  # (N, h, w)
            maps.append(zero_shot.average_scales(priors))
        return HeatMaps(unflatten_frames(torch.cat(maps), images))
