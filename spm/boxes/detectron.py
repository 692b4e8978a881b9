"""detectron2's Faster R-CNN (ResNet-50-FPN), called as torchvision's are; needs detectron2, which has its own env."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate

from spm.base.config import UserError

try:
    from detectron2 import model_zoo
    from detectron2.modeling import build_model
    from detectron2.structures import Boxes, Instances
    from detectron2.utils.events import EventStorage
except ImportError as error:
    raise UserError(
        f"detector.backend: detectron2 can't be imported ({error}): run with --use-conda, whose envs/detectron2.yaml"
        " has it, or say torchvision"
    ) from error

RECIPE = "COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml"
MIN_SCORE = 0.05  # of a detection that is reported, as torchvision's


class Detectron(nn.Module):
    """Takes pictures in [0, 1], RGB, with torchvision's targets; gives its losses, or its boxes, labels and scores."""

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network = network
        self.size = size  # px, side that pictures are resized to

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None
    ) -> Any:
        """Losses by name in training mode, else boxes, labels and scores of each picture."""
        given = [self._input(image) for image in images]
        if targets is not None:
            for one, image, target in zip(given, images, targets, strict=True):
                one["instances"] = self._instances(target, image)
            with EventStorage():  # where it notes down figures of its own; nobody reads them
                return self.network(given)
        return [self._output(found["instances"]) for found in self.network(given)]

    def _input(self, image: Tensor) -> dict[str, Any]:
        """A picture (3, H, W) as detectron2 wants it: BGR in 0 … 255, with the size that boxes are to have again."""
        blue_first = image.flip(0)[None] * 255
        resized = interpolate(blue_first, (self.size, self.size), mode="bilinear", antialias=True)[
            0
        ]
        return {"image": resized, "height": image.shape[1], "width": image.shape[2]}

    def _instances(self, target: dict[str, Tensor], image: Tensor) -> Any:
        scale = self.size / image.shape[2]
        boxes, classes = (
            Boxes(target["boxes"] * scale),
            target["labels"] - 1,
        )  # background is its last class
        return Instances((self.size, self.size), gt_boxes=boxes, gt_classes=classes)

    @staticmethod
    def _output(found: Any) -> dict[str, Tensor]:
        return {
            "boxes": found.pred_boxes.tensor,
            "labels": found.pred_classes + 1,
            "scores": found.scores,
        }


def build(categories: Sequence[str], size: int, start: str) -> Detectron:
    """A detector of `categories` with random weights.

    Raises
    ------
    UserError
        For another start than `none`: detectron2's published weights are pickles, which nothing here loads.
    """
    if start != "none":
        raise UserError(
            f"detector.start: {start!r}; with detector.backend: detectron2 expected none"
        )
    config = model_zoo.get_config(RECIPE)
    config.MODEL.WEIGHTS = ""
    config.MODEL.DEVICE = "cpu"  # moved as any module is
    config.MODEL.BACKBONE.FREEZE_AT = 0  # nothing was learnt yet
    config.MODEL.RESNETS.NORM = "BN"
    config.MODEL.ROI_HEADS.NUM_CLASSES = len(categories)
    config.MODEL.ROI_HEADS.SCORE_THRESH_TEST = MIN_SCORE
    network: nn.Module = build_model(config)
    return Detectron(network, size)
