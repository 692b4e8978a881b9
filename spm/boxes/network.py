"""Faster R-CNN with a class list of its own, from torchvision, or from detectron2 (same calls)."""

from collections.abc import Sequence
from typing import Literal, Self
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights
from torchvision.models.detection import (
    FasterRCNN,
    FasterRCNN_ResNet50_FPN_V2_Weights,
    fasterrcnn_resnet50_fpn_v2,
)
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from spm.base.errors import UserError
from spm.learn.backbones import CHANNELS, visual_trunk
from spm.learn.backbones import Start as TrunkStart
from spm.learn.transforms import MEAN, STD

Backend = Literal["torchvision", "detectron2"]
SmallTrunk = Literal["efficientnet_lite0", "mobilenet_v2"]
DetectorModel = Literal["resnet50_fpn_v2", "efficientnet_lite0", "mobilenet_v2", "resnet50_fpn"]
Start = TrunkStart | Literal["coco"]

# A small trunk has one feature map, so its anchors have all sizes (fractions of the image's side).
ANCHOR_SIZES = (0.125, 0.25, 0.5, 0.9)
ANCHOR_RATIOS = (0.33, 1.0, 3.0)  # height over width
# Layers of a pretrained trunk, up to stride 8, that keep the weights they start with.
FROZEN_LAYERS: dict[SmallTrunk, int] = {"efficientnet_lite0": 9, "mobilenet_v2": 7}
HEAD_CHANNELS = 128
HEAD_GRID = 5  # positions per side of a region's features
HEAD_HIDDEN = 256


def build(
    backend: Backend, model: DetectorModel, categories: Sequence[str], size: int,
    start: Start = "none",
) -> nn.Module:  # fmt: skip
    """A detector; label 0 is background, label n + 1 is `categories[n]`.

    Parameters
    ----------
    backend : str
        The implementation. Either takes images and targets, and returns losses or boxes.
    model : str
        `resnet50_fpn_v2`: torchvision's, similar to the paper's; `efficientnet_lite0` and
        `mobilenet_v2`: one feature map at stride 16, for CPUs; `resnet50_fpn`: detectron2's.
    categories : sequence of str
        The class list.
    size : int
        Width and height that images are resized to before detection, in px.
    start : str
        Initial weights. resnet50_fpn_v2: `coco` or `imagenet`, downloaded; small trunks: those
        of `visual_trunk`; `none`: random.
    """
    if (backend == "detectron2") != (model == "resnet50_fpn"):
        raise UserError(
            f"detector.model: {model!r} with detector.backend: {backend}; detectron2 has"
            " resnet50_fpn, torchvision has resnet50_fpn_v2, efficientnet_lite0 and mobilenet_v2"
        )
    if backend == "detectron2":
        # Imported only here, because detectron2 is installed in an environment of its own.
        from spm.boxes import detectron

        return detectron.build(categories, size, start)
    network: nn.Module
    if model == "efficientnet_lite0" or model == "mobilenet_v2":
        network = _small(model, len(categories) + 1, size, start)
    else:
        network = _resnet50(len(categories) + 1, size, start)
    return network


class _FixedNormalization(nn.Sequential):
    """Layers whose batch normalization keeps the statistics and the scale it starts with.

    As in torchvision's own detectors, because a few images per batch give poor statistics.
    """

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all layers but batch normalization."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval().requires_grad_(False)
        return self


def _small(model: SmallTrunk, classes: int, size: int, start: Start) -> FasterRCNN:
    """Faster R-CNN on a small trunk, with few channels and proposals.

    With the usual head nearly all of the time would go into the head's first layer.
    """
    if start == "coco":
        raise UserError(
            f"detector.start: 'coco' with detector.model: {model}; expected the initial weights of"
            f" {model}, or detector.model: resnet50_fpn_v2"
        )
    trunk = visual_trunk(model, start)
    if start != "none":
        trunk[: FROZEN_LAYERS[model]].requires_grad_(False)
        trunk = _FixedNormalization(*trunk)
    reduce_channels = nn.Conv2d(CHANNELS[model], HEAD_CHANNELS, 1)
    backbone = nn.Sequential(trunk, reduce_channels, nn.ReLU(inplace=True))
    backbone.out_channels = HEAD_CHANNELS  # type: ignore[assignment]  # FasterRCNN reads it
    sizes = tuple(int(size * fraction) for fraction in ANCHOR_SIZES)
    return FasterRCNN(
        backbone, min_size=size, max_size=size, image_mean=MEAN.tolist(), image_std=STD.tolist(),
        rpn_anchor_generator=AnchorGenerator((sizes,), (ANCHOR_RATIOS,)),
        rpn_pre_nms_top_n_train=500, rpn_post_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=300, rpn_post_nms_top_n_test=50, box_batch_size_per_image=32,
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=HEAD_GRID, sampling_ratio=1),
        box_head=TwoMLPHead(HEAD_CHANNELS * HEAD_GRID**2, HEAD_HIDDEN),
        box_predictor=FastRCNNPredictor(HEAD_HIDDEN, classes),
    )  # fmt: skip


def _resnet50(classes: int, size: int, start: Start) -> FasterRCNN:
    if start not in ("coco", "imagenet", "none"):
        raise UserError(
            f"detector.start: {start!r} with detector.model: resnet50_fpn_v2; expected coco,"
            " imagenet or none, or detector.model: mobilenet_v2"
        )
    weights = FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1 if start == "coco" else None
    trunk_weights = ResNet50_Weights.IMAGENET1K_V1 if start == "imagenet" else None
    try:
        network = fasterrcnn_resnet50_fpn_v2(
            weights=weights, weights_backbone=trunk_weights, min_size=size, max_size=2 * size
        )
    except (URLError, OSError) as error:
        raise UserError(
            f"the {start} weights can't be downloaded ({error}): run once with internet, or set"
            " detector.start: none"
        ) from error
    features = network.roi_heads.box_predictor.cls_score.in_features
    network.roi_heads.box_predictor = FastRCNNPredictor(features, classes)
    return network


def losses(network: nn.Module, images: Tensor, targets: list[dict[str, Tensor]]) -> Tensor:
    """Sum of Faster R-CNN's four losses on images (B, 3, H, W) in [0, 1], in training mode."""
    parts: dict[str, Tensor] = network(list(images), targets)
    return torch.stack(list(parts.values())).sum()


def float16(device: torch.device, *, half: bool = True) -> torch.autocast:
    """Context in which a GPU computes with float16, if `half` says so.

    Not with bfloat16 as other networks: torchvision converts the coordinates of boxes to the type
    of the network's outputs, and bfloat16 rounds 500 px to a multiple of 2.
    """
    return torch.autocast(device.type, torch.float16, enabled=half and device.type == "cuda")


@torch.inference_mode()
def detect(network: nn.Module, images: Tensor) -> list[dict[str, Tensor]]:
    """Detections on images (B, 3, H, W) in [0, 1], on the CPU.

    Returns
    -------
    list of dict, one per image
        `boxes` (n, 4), two corners in px of the image, `labels` (n,) from 1, `scores` (n,).
    """
    network.eval()
    detections = []
    with float16(images.device):
        outputs = network(list(images))
    for detected in outputs:
        detections.append(
            {
                name: tensor.float().cpu() if tensor.is_floating_point() else tensor.cpu()
                for name, tensor in detected.items()
            }
        )
    return detections
