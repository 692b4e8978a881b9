"""detectron2's Faster R-CNN (ResNet-50-FPN) with the calls of torchvision's.

detectron2 is installed in an environment of its own (envs/detectron2.yaml).
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate

from spm.base.errors import UserError

try:
    from detectron2 import model_zoo
    from detectron2.modeling import build_model
    from detectron2.structures import Boxes, Instances
    from detectron2.utils.events import EventStorage
except ImportError as error:
    raise UserError(
        f"detector.backend: detectron2 can't be imported ({error}): run with --use-conda, which"
        " installs envs/detectron2.yaml, or set detector.backend: torchvision"
    ) from error

MODEL_CONFIG = "COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml"
MIN_SCORE = 0.05  # detections with lower scores are discarded, as in torchvision


class Detectron(nn.Module):
    """Takes RGB images in [0, 1], and torchvision's targets; returns losses or detections."""

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network = network
        self.size = size  # px, width and height that images are resized to

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None
    ) -> Any:
        """Losses by name if there are targets, else boxes, labels and scores of each image."""
        inputs = [self._input(image) for image in images]
        if targets is None:
            return [self._detections(output["instances"]) for output in self.network(inputs)]
        for item, image, target in zip(inputs, images, targets, strict=True):
            item["instances"] = self._instances(target, image)
        with EventStorage():  # detectron2 requires a place to log to; its log is not used
            return self.network(inputs)

    def _input(self, image: Tensor) -> dict[str, Any]:
        """An image (3, H, W) in detectron2's form: BGR in 0 … 255, and the size of the boxes."""
        bgr = image.flip(0)[None] * 255
        side = (self.size, self.size)
        resized = interpolate(bgr, side, mode="bilinear", antialias=True)[0]
        return {"image": resized, "height": image.shape[1], "width": image.shape[2]}

    def _instances(self, target: dict[str, Tensor], image: Tensor) -> Any:
        boxes = Boxes(target["boxes"] * (self.size / image.shape[2]))
        classes = target["labels"] - 1  # detectron2's background is the last class, not the first
        return Instances((self.size, self.size), gt_boxes=boxes, gt_classes=classes)

    @staticmethod
    def _detections(instances: Any) -> dict[str, Tensor]:
        return {
            "boxes": instances.pred_boxes.tensor,
            "labels": instances.pred_classes + 1,
            "scores": instances.scores,
        }


def build(categories: Sequence[str], size: int, start: str) -> Detectron:
    """A detector of `categories` with random weights.

    Raises
    ------
    UserError
        If `start` is not `none`: detectron2 publishes its weights as pickles, which this project
        does not load.
    """
    if start != "none":
        raise UserError(
            f"detector.start: {start!r}; with detector.backend: detectron2 expected none"
        )
    config = model_zoo.get_config(MODEL_CONFIG)
    config.MODEL.WEIGHTS = ""
    config.MODEL.DEVICE = "cpu"  # the caller moves it to another device, like any module
    config.MODEL.BACKBONE.FREEZE_AT = 0  # random weights: every layer must be trained
    config.MODEL.RESNETS.NORM = "BN"
    config.MODEL.ROI_HEADS.NUM_CLASSES = len(categories)
    config.MODEL.ROI_HEADS.SCORE_THRESH_TEST = MIN_SCORE
    network: nn.Module = build_model(config)
    return Detectron(network, size)
