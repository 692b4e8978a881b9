"""EfficientNet-Lite0 with ImageNet's classes, and feature maps at stride 16.

Tan and Le, EfficientNet, ICML 2019. The Lite variants have neither squeeze-and-excitation nor
swish. Weights: the part `efficientnet_lite0` of spm.learn.pretrained, on which TensorFlow's
"same" padding and normalization constants depend.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spm.learn import pretrained
from spm.learn.same_padding import SameConv2d
from spm.learn.transforms import MEAN, STD

PART = "efficientnet_lite0"
INPUT_PX = 224  # the network was trained with images of this size
CHANNELS = 320  # of the trunk
HEAD_CHANNELS = 1280
OFFSET, SCALE = 127.0, 128.0  # input of the published network: (8-bit pixel − OFFSET) / SCALE


class Stage(NamedTuple):
    """Blocks of one resolution."""

    blocks: int
    kernel: int
    stride: int  # of the first block
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24), Stage(2, 5, 2, 6, 40), Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112), Stage(4, 5, 2, 6, 192), Stage(1, 3, 1, 6, CHANNELS),
)  # fmt: skip


class Rescale(nn.Module):
    """From ImageNet's mean and standard deviation, as all trunks take them, to this network's."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, 3, H, W)."""
        scale = (STD * 255 / SCALE).to(images)[:, None, None]
        offset = ((MEAN * 255 - OFFSET) / SCALE).to(images)[:, None, None]
        return images * scale + offset


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> list[nn.Module]:
    """Convolution and batch normalization, with TensorFlow's constants."""
    convolution = SameConv2d(
        inputs, outputs, kernel, stride, groups=groups, dilation=dilation, bias=False
    )
    return [convolution, nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)]


class Block(nn.Module):
    """Inverted residual: expansion, depthwise convolution, linear projection."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, dilation: int
    ) -> None:
        super().__init__()
        hidden = expansion * inputs
        expand = [*_conv(inputs, hidden, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        self.layers = nn.Sequential(
            *expand,
            *_conv(hidden, hidden, kernel, stride, groups=hidden, dilation=dilation),
            nn.ReLU6(inplace=True),
            *_conv(hidden, outputs, 1),
        )
        self.has_shortcut = inputs == outputs and stride == 1

    def forward(self, images: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, ⌈H/stride⌉, ⌈W/stride⌉)."""
        features: Tensor = self.layers(images)
        return features + images if self.has_shortcut else features


def _blocks(stride: int) -> Iterator[Block]:
    """The blocks of all stages; at `stride`, steps become dilation."""
    inputs, reached, dilation = 32, 2, 1
    for stage in STAGES:
        for number in range(stage.blocks):
            step = stage.stride if number == 0 else 1
            pending = step if reached * step > stride else 1  # the step that dilation replaces
            yield Block(
                inputs, stage.channels, stage.kernel, step // pending, stage.expansion, dilation
            )
            reached *= step // pending
            dilation *= pending
            inputs = stage.channels


def trunk(stride: int = 16) -> nn.Sequential:
    """Trunk with random weights, for images with ImageNet's mean and standard deviation.

    (B, 3, H, W) → (B, 320, ⌈H/stride⌉, ⌈W/stride⌉). The published network has stride 32. At 16, the
    last step is replaced by dilation, so that each position sees what it saw at stride 32.
    """
    return nn.Sequential(
        Rescale(), *_conv(3, 32, 3, stride=2), nn.ReLU6(inplace=True), *_blocks(stride)
    )


def head() -> nn.Sequential:
    """The classifier's own features: (B, 320, h, w) → (B, 1280, h, w), in [0, 6]."""
    return nn.Sequential(*_conv(CHANNELS, HEAD_CHANNELS, 1), nn.ReLU6(inplace=True))


class EfficientNetLite0(nn.Module):
    """Trunk, head and classifier, with the published weights or with random ones."""

    def __init__(self, stride: int = 16, published: bool = True) -> None:
        super().__init__()
        self.trunk, self.head = trunk(stride), head()
        self.classifier = nn.Linear(HEAD_CHANNELS, len(class_names()))
        if published:  # the file has the same order of layers, and other names
            tensors = pretrained.state_dict(PART).values()
            self.load_state_dict(dict(zip(self.state_dict(), tensors, strict=True)))
        self.to(memory_format=torch.channels_last)
        self.eval()

    def features(self, images: Tensor) -> Tensor:
        """Images with ImageNet's mean and deviation (B, 3, H, W) → (B, 1280, h, w), in [0, 6]."""
        features: Tensor = self.head(self.trunk(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Logits of ImageNet's classes: (B, 3, H, W) → (B, 1000)."""
        logits: Tensor = self.classifier(self.features(images).mean((2, 3)))
        return logits


@cache
def class_names() -> tuple[str, ...]:
    """ImageNet's 1,000 class names, in the classifier's order."""
    # Imported only here: the networks need no torchvision.
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
