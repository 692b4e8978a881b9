"""Object-that-Sound: AVOL-Net of Arandjelović and Zisserman, Objects that Sound, ECCV 2018.

The vectors of the sound and of each position are multiplied without normalization. An affine
function of the product is the logit that this position makes this sound; the maximum over the
positions decides whether sound and frame belong together. It uses the shared backbones instead of
the paper's VGG-like ones.
"""

from torch import Tensor

from spm.fusion.network import FusionConfig, FusionNetwork
from spm.fusion.settings import Train
from spm.learn.backbones import AUDIO_CHANNELS


class Settings(Train):
    """Object-that-Sound (Arandjelović and Zisserman, ECCV 2018)."""

    promote: bool = False


class Network(FusionNetwork):
    """Products instead of cosines; `scale` and `epsilon` are the paper's last 1 × 1 convolution."""

    def __init__(self, settings: Settings) -> None:
        width = settings.projection or AUDIO_CHANNELS[settings.audio_network]
        config = FusionConfig.of(settings, epsilon=0.0, tau=width**0.5, learn_scale=True)
        super().__init__(config, settings.start)

    def embed_image(self, images: Tensor) -> Tensor:
        """Vectors of any length: (B, 3, H, W) → (B, d, h, w)."""
        return self.visual_proj(self.visual_features(images))  # type: ignore[no-any-return]

    def embed_audio(self, features: Tensor) -> Tensor:
        """Vectors of any length: (B, 512) → (B, d)."""
        normalized = self.audio_norm(features)[:, :, None, None]
        return self.audio_proj(normalized).flatten(1)  # type: ignore[no-any-return]
