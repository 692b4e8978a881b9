"""Average precision of a detector, by COCO's own evaluator."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import pandas as pd
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

COLUMNS = ["category", "ap", "ap50", "boxes"]
ALL_SIZES, MOST_DETECTIONS = 0, 2  # COCOeval's area range "all", and 100 detections per image


def average_precision(
    detections: Sequence[dict[str, Tensor]],
    targets: Sequence[dict[str, Tensor]],
    categories: Sequence[str],
    side: int,
) -> pd.DataFrame:
    """AP@[.5:.95], AP@.5 and the number of boxes of each category.

    Parameters
    ----------
    detections, targets : sequences of dict, one per image
        `boxes` (n, 4), two corners in px, and `labels` (n,) from 1; detections also have
        `scores` (n,).
    categories : sequence of str
        `categories[n]` has label n + 1.
    side : int
        Width and height of the images, in px.

    Returns
    -------
    DataFrame with the columns category, ap, ap50, boxes
        AP is missing for a category without boxes.
    """
    scored = _coco_boxes(detections)
    curves = None
    if scored:
        with redirect_stdout(io.StringIO()):
            curves = _curves(_coco_dataset(targets, categories, side), scored)
    rows = []
    for number, category in enumerate(categories):
        count = sum(int((target["labels"] == number + 1).sum()) for target in targets)
        ap, ap50 = 0.0, 0.0
        if curves is not None:
            ap, ap50 = float(curves[:, :, number].mean()), float(curves[0, :, number].mean())
        rows.append((category, ap, ap50, count) if count else (category, None, None, 0))
    return pd.DataFrame(rows, columns=COLUMNS)


def _coco_dataset(
    targets: Sequence[dict[str, Tensor]], categories: Sequence[str], side: int
) -> COCO:
    annotations = [
        {**box, "id": number, "iscrowd": 0, "area": box["bbox"][2] * box["bbox"][3]}
        for number, box in enumerate(_coco_boxes(targets), 1)
    ]
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": n, "width": side, "height": side} for n in range(len(targets))],
        "categories": [{"id": n, "name": name} for n, name in enumerate(categories, 1)],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _curves(truth: COCO, scored: list[dict[str, Any]]) -> Any:
    """Precision, shape (IoU thresholds, recalls, categories), for boxes of all sizes."""
    evaluator = COCOeval(truth, truth.loadRes(scored), "bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    return evaluator.eval["precision"][:, :, :, ALL_SIZES, MOST_DETECTIONS]


def _coco_boxes(images: Sequence[dict[str, Tensor]]) -> list[dict[str, Any]]:
    """The boxes of all images as COCO's annotations, with scores if they have any."""
    boxes = []
    for image_id, image in enumerate(images):
        for number, (x, y, x2, y2) in enumerate(image["boxes"]):
            box: dict[str, Any] = {
                "image_id": image_id,
                "category_id": int(image["labels"][number]),
                "bbox": [float(x), float(y), float(x2 - x), float(y2 - y)],
            }
            if "scores" in image:
                box["score"] = float(image["scores"][number])
            boxes.append(box)
    return boxes
