"""Which images and boxes of Open Images a detector is trained on, by the settings of openimages."""

from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, NamedTuple, cast

import pandas as pd

from spm.boxes.formats.openimages import FLAGS
from spm.boxes.statuses import ImageBoxStatus, ImageStatus

Treatment = Literal["keep", "drop-box", "drop-picture"]
MARGIN = 1e-6  # by which a side may leave the image: published numbers are rounded


class ImageDecision(NamedTuple):
    """What is decided about an image before its download."""

    status: ImageStatus
    reason: str


def flag_status(setting: str) -> ImageBoxStatus:
    """Status of a box that is dropped for a flag."""
    return ImageBoxStatus(setting.replace("_", "-"))


def select_boxes(boxes: pd.DataFrame, treatment: Mapping[str, Treatment]) -> pd.DataFrame:
    """Add the columns `status`, and `drops_image`: whether the image is dropped with its box.

    A box is malformed if it has no area or leaves the image; of several flags the first one in
    FLAGS gives the status.
    """
    inside = (
        (boxes[["x", "y"]] >= 0).all(axis=1)
        & (boxes.x + boxes.w <= 1 + MARGIN)
        & (boxes.y + boxes.h <= 1 + MARGIN)
    )
    status = pd.Series(ImageBoxStatus.KEPT.value, boxes.index)
    for setting in reversed(FLAGS.values()):
        if treatment[setting] != "keep":
            status[boxes[setting]] = flag_status(setting).value
    status[~(inside & (boxes[["w", "h"]] > 0).all(axis=1))] = ImageBoxStatus.MALFORMED.value
    dropping = [
        flag_status(setting).value
        for setting, choice in treatment.items()
        if choice == "drop-picture"
    ]
    return boxes.assign(status=status, drops_image=status.isin(dropping))


def select_images(
    boxes: pd.DataFrame, rotation: Mapping[str, float], max_per_class: int | None
) -> dict[str, ImageDecision]:
    """Decide which images of one subset are downloaded: wanted, policy, or surplus.

    Parameters
    ----------
    boxes : DataFrame
        Boxes of the subset, as `select_boxes` returns them.
    rotation : mapping
        Degrees by which an image should be rotated, by image_id. It is unknown in which
        orientation the boxes of such an image were drawn, so it is not used.
    max_per_class : int or None
        Images per class. The smallest ids are taken: ids are random, so this is a fair sample, and
        the same in every run. An image with several classes is taken if one of them lacks images.
    """
    taken: Counter[str] = Counter()
    decisions: dict[str, ImageDecision] = {}
    rows = cast(list[dict[str, Any]], boxes.sort_values("image_id").to_dict("records"))
    for image_id, group in groupby(rows, key=itemgetter("image_id")):
        image_boxes = list(group)
        kept = {row["category"] for row in image_boxes if row["status"] == ImageBoxStatus.KEPT}
        dropping = sorted({row["status"] for row in image_boxes if row["drops_image"]})
        if rotation.get(image_id, 0) > 0:
            decisions[image_id] = ImageDecision(ImageStatus.POLICY, "rotated")
        elif dropping or not kept:
            reason = " ".join(dropping) or "no box kept"
            decisions[image_id] = ImageDecision(ImageStatus.POLICY, reason)
        elif max_per_class is not None and all(taken[name] >= max_per_class for name in kept):
            reason = f"more than {max_per_class} pictures of {' '.join(sorted(kept))}"
            decisions[image_id] = ImageDecision(ImageStatus.SURPLUS, reason)
        else:
            decisions[image_id] = ImageDecision(ImageStatus.WANTED, "")
            taken.update(kept)
    return decisions
