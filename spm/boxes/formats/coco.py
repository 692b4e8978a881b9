"""COCO's detection JSON, which FiftyOne, CVAT and Label Studio read and write."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spm.base import tables
from spm.base.errors import UserError
from spm.boxes.formats.frames import (
    COLUMNS,
    SIDE_PX,
    BoxRow,
    image_name,
    parse_image_name,
    to_pixels,
)


def read(path: Path) -> list[BoxRow]:
    """Given boxes of a COCO file whose images are named `VIDEO@SECONDS.jpg`.

    Raises
    ------
    UserError
        If the file is not COCO, or a box can't be assigned to a frame.
    """
    try:
        return from_coco(json.loads(path.read_text(encoding="utf-8")))
    except KeyError as error:
        raise UserError(
            f"{path}: {error} is missing: expected images, categories and annotations of COCO"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: {error}") from error


def write(path: Path, rows: Sequence[BoxRow], side: int = SIDE_PX) -> None:
    """Write boxes on images `side` pixels wide and high."""
    with tables.atomic_write(path) as part:
        part.write_text(json.dumps(to_coco(rows, side), indent=1) + "\n", encoding="utf-8")


def to_coco(rows: Sequence[BoxRow], side: int = SIDE_PX) -> dict[str, Any]:
    """Boxes as COCO's detection JSON, on images `side` pixels wide and high."""
    categories = _numbered(row["category"] for row in rows)
    images = _numbered(image_name(row) for row in rows)
    annotations = [
        {
            "id": number,
            "image_id": images[image_name(row)],
            "category_id": categories[row["category"]],
            "bbox": to_pixels(row, side),
            "area": round(row["w"] * row["h"] * side**2, 3),
            "iscrowd": 0,
            "score": round(row["score"], 6),
        }
        for number, row in enumerate(rows, 1)
    ]
    return {
        "info": {},
        "licenses": [],
        "images": [
            {"id": number, "file_name": name, "width": side, "height": side}
            for name, number in images.items()
        ],
        "categories": [
            {"id": number, "name": name, "supercategory": "instrument"}
            for name, number in categories.items()
        ],
        "annotations": annotations,
    }


def _numbered(names: Iterable[str]) -> dict[str, int]:
    """Ids from 1 on, in the order of the names."""
    return {name: number for number, name in enumerate(sorted(set(names)), 1)}


def from_coco(coco: Mapping[str, Any]) -> list[BoxRow]:
    """Given boxes of COCO's detection JSON, sorted.

    Raises
    ------
    ValueError
        If a box can't be assigned to a frame (names its image or annotation).
    """
    images = {image["id"]: image for image in coco["images"]}
    categories = {category["id"]: category["name"] for category in coco["categories"]}
    rows = []
    for annotation in coco["annotations"]:
        number, image = annotation.get("id"), images.get(annotation["image_id"])
        if image is None or annotation["category_id"] not in categories:
            raise ValueError(f"annotation {number}: its image_id or category_id is not listed")
        category = categories[annotation["category_id"]]
        rows.append(_row(annotation["bbox"], image, category, number))
    return sorted(rows, key=lambda row: tuple(row.values()))


def _row(bbox: Sequence[float], image: Mapping[str, Any], category: str, number: object) -> BoxRow:
    """One box, clipped to its image; its sides are fractions."""
    video_id, time_s = parse_image_name(image["file_name"])
    left, top = max(0.0, bbox[0] / image["width"]), max(0.0, bbox[1] / image["height"])
    right = min(1.0, (bbox[0] + bbox[2]) / image["width"])
    bottom = min(1.0, (bbox[1] + bbox[3]) / image["height"])
    if right <= left or bottom <= top:
        raise ValueError(
            f"annotation {number}: {list(bbox)} has no area inside {image['file_name']}"
        )
    sides = (round(left, 6), round(top, 6), round(right - left, 6), round(bottom - top, 6))
    return dict(zip(COLUMNS, (video_id, time_s, category, *sides), strict=True))
