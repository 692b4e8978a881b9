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


def average_precision(
    found: Sequence[dict[str, Tensor]],
    wanted: Sequence[dict[str, Tensor]],
    categories: Sequence[str],
    side: int,
) -> pd.DataFrame:
    """AP@[.5:.95], AP@.5 and the number of boxes of each category.

    Parameters
    ----------
    found, wanted : sequences of dict, one a picture
        `boxes` (n, 4) corner to corner in pixels and `labels` (n,) from 1; `found` has `scores` (n,) too.
    categories : sequence of str
        `categories[n]` has label n + 1.
    side : int
        Of the square pictures, in pixels.

    Returns
    -------
    DataFrame with the columns category, ap, ap50, boxes; no value where no box is wanted.
    """
    counts = [
        sum(int((target["labels"] == n).sum()) for target in wanted)
        for n in range(1, len(categories) + 1)
    ]
    scored = _boxes(found)
    if not scored:
        precision = [(0.0, 0.0)] * len(categories)
    else:
        with redirect_stdout(io.StringIO()):
            curves = _curves(_dataset(wanted, categories, side), scored)
        precision = [
            (float(curves[:, :, n].mean()), float(curves[0, :, n].mean()))
            for n in range(len(categories))
        ]
    rows = [
        (name, *(pair if count else (None, None)), count)
        for name, pair, count in zip(categories, precision, counts, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _dataset(wanted: Sequence[dict[str, Tensor]], categories: Sequence[str], side: int) -> COCO:
    coco = COCO()
    boxes = enumerate(_boxes(wanted), 1)
    coco.dataset = {
        "info": {},
        "images": [{"id": n, "width": side, "height": side} for n in range(len(wanted))],
        "categories": [{"id": n, "name": name} for n, name in enumerate(categories, 1)],
        "annotations": [
            {**box, "id": n, "iscrowd": 0, "area": box["bbox"][2] * box["bbox"][3]}
            for n, box in boxes
        ],
    }
    coco.createIndex()
    return coco


def _curves(truth: COCO, scored: list[dict[str, Any]]) -> Any:
    """Precision at (IoUs, recalls, categories) for boxes of every size, 100 a picture."""
    evaluator = COCOeval(truth, truth.loadRes(scored), "bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    return evaluator.eval["precision"][:, :, :, 0, 2]


def _boxes(several: Sequence[dict[str, Tensor]]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": n,
            "category_id": int(found["labels"][k]),
            "bbox": [float(x), float(y), float(x2 - x), float(y2 - y)],
            **({"score": float(found["scores"][k])} if "scores" in found else {}),
        }
        for n, found in enumerate(several)
        for k, (x, y, x2, y2) in enumerate(found["boxes"])
    ]
