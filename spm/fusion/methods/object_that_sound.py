"""Object-that-Sound: AVOL-Net of Arandjelović and Zisserman, Objects that Sound, ECCV 2018.

A sound's vector and each position's are multiplied as they are, not made unit vectors; an affine function of the
product is the logit of "this position makes this sound", and the largest one says whether the two belong together.
Here on the backbones that all methods share, in place of the paper's VGG-like ones.
"""

from torch import Tensor

from spm.audio.network import FEATURES
from spm.fusion.network import FusionConfig, FusionNetwork
from spm.fusion.settings import Train


class Settings(Train):
    """Nothing of its own."""

    promote: bool = False


class Network(FusionNetwork):
    """Products in place of cosines; their scale and offset are the paper's last 1 × 1 convolution."""

    def __init__(self, settings: Settings) -> None:
        width = settings.projection or FEATURES
        shape = FusionConfig(
            settings.visual, settings.projection, 0.0, width**0.5, True, settings.standardize
        )
        super().__init__(shape, settings.start)

    def look(self, pictures: Tensor) -> Tensor:
        """Vectors of any length: (B, 3, H, W) → (B, d, h, w)."""
        return self.see(self.visual(pictures))  # type: ignore[no-any-return]

    def listen(self, features: Tensor) -> Tensor:
        """Vectors of any length: (B, 512) → (B, d)."""
        return self.hear(self.level(features)[:, :, None, None]).flatten(1)  # type: ignore[no-any-return]
