"""Open Images as published: its tables, which of its boxes a detector may learn from, and of which pictures."""

from collections import Counter
from collections.abc import Collection, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, cast

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from spm.base.config import UserError

Subset = Literal["train", "validation", "test"]
Treatment = Literal["keep", "drop-box", "drop-picture"]

PUBLISHED = "https://storage.googleapis.com/openimages/"
BUCKET = "https://open-images-dataset.s3.amazonaws.com/"  # {subset}/{image_id}.jpg, the longer side 1024 px at most
BOXES = {  # V7 has the boxes of V6, and those of V5 for validation and test
    "train": "v6/oidv6-train-annotations-bbox.csv",
    "validation": "v5/validation-annotations-bbox.csv",
    "test": "v5/test-annotations-bbox.csv",
}
PICTURES = {
    "train": "2018_04/train/train-images-boxable-with-rotation.csv",
    "validation": "2018_04/validation/validation-images-with-rotation.csv",
    "test": "2018_04/test/test-images-with-rotation.csv",
}
FLAGS = {  # column of the published table → setting of the same meaning, in the order in which they are looked at
    "IsGroupOf": "group_of",
    "IsDepiction": "depiction",
    "IsInside": "inside",
    "IsTruncated": "truncated",
    "IsOccluded": "occluded",
}
BOX_TYPES = {"ImageID": pa.string(), "LabelName": pa.string()} | {
    **dict.fromkeys(["XMin", "XMax", "YMin", "YMax"], pa.float64()),
    **dict.fromkeys(FLAGS, pa.int8()),
}
PICTURE_TYPES = {
    "ImageID": pa.string(),
    "License": pa.string(),
    "Author": pa.string(),
    "Rotation": pa.float64(),
}


def _rows_where(
    path: Path, types: Mapping[str, pa.DataType], column: str, values: Collection[str]
) -> pd.DataFrame:
    """The rows of a large CSV whose column has one of the values; memory is a block, whatever the file's size."""
    wanted = pa.array(sorted(values), pa.string())
    convert = csv.ConvertOptions(include_columns=list(types), column_types=types)
    quoted = csv.ParseOptions(newlines_in_values=True)  # some authors' names go over two lines
    try:
        with csv.open_csv(path, convert_options=convert, parse_options=quoted) as reader:
            parts = [batch.filter(pc.is_in(batch[column], wanted)) for batch in reader]
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise UserError(
            f"{path}: {error}: expected a table of Open Images with {','.join(types)}"
        ) from error
    found: pd.DataFrame = pa.Table.from_batches(parts, pa.schema(list(types.items()))).to_pandas()
    return found


def read_boxes(path: Path, classes: Mapping[str, str]) -> pd.DataFrame:
    """Boxes of the classes: image_id, category, x, y, w, h (fractions of the picture), and a column a flag.

    Parameters
    ----------
    path : Path
        A published table of boxes.
    classes : mapping
        Category → Open Images' label, as `/m/0mkg`.
    """
    rows = _rows_where(path, BOX_TYPES, "LabelName", classes.values())
    name = {label: category for category, label in classes.items()}
    sides = {"x": rows.XMin, "y": rows.YMin, "w": rows.XMax - rows.XMin, "h": rows.YMax - rows.YMin}
    flags = {setting: rows[column] == 1 for column, setting in FLAGS.items()}  # -1: nobody looked
    return pd.DataFrame(
        {"image_id": rows.ImageID, "category": rows.LabelName.map(name), **sides, **flags}
    )


def read_pictures(path: Path, ids: Collection[str]) -> pd.DataFrame:
    """What is said of pictures: image_id, license, author, rotation (degrees; none where unknown)."""
    return _rows_where(path, PICTURE_TYPES, "ImageID", ids).rename(
        columns={
            "ImageID": "image_id",
            "License": "license",
            "Author": "author",
            "Rotation": "rotation",
        }
    )


def judge_boxes(boxes: pd.DataFrame, treatment: Mapping[str, Treatment]) -> pd.DataFrame:
    """The boxes with `status`: kept, malformed, or the flag for which a box falls; and `spoils`, its picture with it.

    A box is malformed when it has no area or leaves the picture.
    """
    inside = (
        (boxes[["x", "y"]] >= 0).all(axis=1)
        & (boxes.x + boxes.w <= 1 + 1e-6)
        & (boxes.y + boxes.h <= 1 + 1e-6)
    )
    status = pd.Series("kept", boxes.index)
    for setting in reversed(FLAGS.values()):
        if treatment[setting] != "keep":
            status[boxes[setting]] = setting.replace("_", "-")
    status[~(inside & (boxes[["w", "h"]] > 0).all(axis=1))] = "malformed"
    spoiling = [
        setting.replace("_", "-") for setting, what in treatment.items() if what == "drop-picture"
    ]
    return boxes.assign(status=status, spoils=status.isin(spoiling))


def judge_pictures(
    boxes: pd.DataFrame, rotation: Mapping[str, float], most: int | None
) -> dict[str, tuple[str, str]]:
    """What becomes of each picture of one subset, as (status, reason): wanted, policy, or surplus.

    Parameters
    ----------
    boxes : DataFrame
        Judged boxes of the subset.
    rotation : mapping
        Degrees by which a picture should be turned, by image_id: boxes of turned pictures can't be trusted.
    most : int or None
        Pictures a class, those with the smallest ids; ids are random, so this is a fair sample that stays the same.
        A picture with several classes is wanted while one of them lacks pictures.
    """
    had: Counter[str] = Counter()
    verdict: dict[str, tuple[str, str]] = {}
    rows = cast(list[dict[str, Any]], boxes.sort_values("image_id").to_dict("records"))
    for image_id, several in groupby(rows, key=itemgetter("image_id")):
        group = list(several)
        kept = {row["category"] for row in group if row["status"] == "kept"}
        spoiled = sorted({row["status"] for row in group if row["spoils"]})
        if rotation.get(image_id, 0) > 0:
            verdict[image_id] = ("policy", "rotated")
        elif spoiled or not kept:
            verdict[image_id] = ("policy", " ".join(spoiled) or "no box kept")
        elif most is not None and all(had[category] >= most for category in kept):
            verdict[image_id] = (
                "surplus",
                f"more than {most} pictures of {' '.join(sorted(kept))}",
            )
        else:
            verdict[image_id] = ("wanted", "")
            had.update(kept)
    return verdict
