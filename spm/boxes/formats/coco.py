"""COCO's detection JSON, which FiftyOne, CVAT and Label Studio read and write."""

import json
import math
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spm.base import tables
from spm.base.errors import UserError
from spm.boxes.formats import checks
from spm.boxes.formats.frames import COLUMNS, SIDE_PX, BoxRow, Sides, to_pixels
from spm.boxes.formats.image_names import FrameTime, KnownFrames, image_name, parse_image_name

ROUNDING_PX = 1.0  # tools draw inside the image; a box may leave it by their rounding
Entry = Mapping[str, Any]


def read(path: Path, frames: KnownFrames | None = None) -> list[BoxRow]:
    """Given boxes of a COCO file, sorted.

    Parameters
    ----------
    path : Path
        The file.
    frames : KnownFrames, optional
        Frames that the images show. Default: the names of the images tell video and time.

    Raises
    ------
    UserError
        If the file is not COCO, or a box can't be read or assigned to a frame.
    """
    if zipfile.is_zipfile(path):
        raise UserError(f"{path} is a ZIP archive: unpack it and name the JSON file inside")
    with checks.named(str(path)):
        return from_coco(_content(path), frames, str(path))


def _content(path: Path) -> Any:
    try:
        return checks.read_json(path)
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}); expected a COCO file") from error
    except (json.JSONDecodeError, RecursionError) as error:
        fault = f"it is not JSON ({error})" if path.stat().st_size else "it is empty"
        raise ValueError(f"{fault}; expected a JSON file of COCO") from error


def write(
    path: Path,
    rows: Sequence[BoxRow],
    side: int = SIDE_PX,
    empty: Sequence[BoxRow] = (),
    categories: Iterable[str] = (),
) -> None:
    """Write boxes on images `side` pixels wide and high, and images without a box."""
    with tables.atomic_write(path) as part:
        text = json.dumps(to_coco(rows, side, empty, categories), indent=1)
        part.write_text(text + "\n", encoding="utf-8")


def to_coco(
    rows: Sequence[BoxRow],
    side: int = SIDE_PX,
    empty: Sequence[BoxRow] = (),
    categories: Iterable[str] = (),
) -> dict[str, Any]:
    """Boxes as COCO's detection JSON.

    Parameters
    ----------
    rows : sequence of BoxRow
        The boxes, with `score`.
    side : int
        Width and height of the images in px.
    empty : sequence of BoxRow
        `video_id` and `time_s` of images without a box.
    categories : iterable of str
        Categories that a person can choose, besides those of the boxes.
    """
    category_ids = _numbered([*categories, *(row["category"] for row in rows)])
    image_ids = _numbered(image_name(row) for row in [*rows, *empty])
    return {
        "info": {},
        "licenses": [],
        "images": [
            {"id": number, "file_name": name, "width": side, "height": side}
            for name, number in image_ids.items()
        ],
        "categories": [
            {"id": number, "name": name, "supercategory": "instrument"}
            for name, number in category_ids.items()
        ],
        "annotations": [
            {
                "id": number,
                "image_id": image_ids[image_name(row)],
                "category_id": category_ids[row["category"]],
                "bbox": to_pixels(row, side),
                "area": round(row["w"] * row["h"] * side**2, 3),
                "iscrowd": 0,
                "segmentation": [],  # CVAT's library expects the key
                "score": round(row["score"], 6),
            }
            for number, row in enumerate(rows, 1)
        ],
    }


def _numbered(names: Iterable[str]) -> dict[str, int]:
    """Ids from 1 on, in the order of the names."""
    return {name: number for number, name in enumerate(sorted(set(names)), 1)}


def from_coco(coco: Any, frames: KnownFrames | None = None, source: str = "COCO") -> list[BoxRow]:
    """Given boxes of COCO's detection JSON, sorted; `source` is its name in messages.

    Raises
    ------
    ValueError
        If it is not COCO, or has no box.
    UserError
        If a box can't be read or assigned to a frame (names its annotation).
    """
    images, categories = (_by_id(coco, name) for name in ("images", "categories"))
    boxes: dict[tuple[Any, ...], str] = {}  # values of COLUMNS, and the name of the annotation
    image_of_frame: dict[FrameTime, str] = {}
    annotations = _entries(coco, "annotations")
    ids = Counter(str(annotation.get("id")) for annotation in annotations)
    for number, annotation in enumerate(annotations, 1):
        name = str(annotation.get("id"))
        if name == "None" or ids[name] > 1:
            name = f"number {number}"
        with checks.named(f"{source}, annotation {name}"):
            image_id, image = _listed(images, annotation, "image_id")
            _, category = _listed(categories, annotation, "category_id")
            frame = _frame(image, frames)
            if (other := image_of_frame.setdefault(frame, image_id)) != image_id:
                raise ValueError(
                    f"its image {image['file_name']!r} shows the same frame as the image with id"
                    f" {other}: expected one image per frame; delete the boxes of one of them"
                )
            values = (*frame, _name(category, "name"), *_fractions(annotation, image))
            if (first := boxes.setdefault(values, name)) != name:
                raise ValueError(f"its box is that of annotation {first}: expected it once")
    if not boxes:
        raise ValueError("it has no annotation: expected at least one box")
    return [dict(zip(COLUMNS, values, strict=True)) for values in sorted(boxes)]


def _entries(coco: Any, name: str) -> list[Entry]:
    """One of the lists of a COCO file."""
    expected = "expected images, categories and annotations of COCO"
    if not isinstance(coco, dict):
        raise ValueError(f"it is a JSON {type(coco).__name__}: {expected}; export in the form COCO")
    if name not in coco:
        raise ValueError(f"{name!r} is missing: {expected}")
    entries = coco[name]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{name!r} is not a list of objects: {expected}")
    return entries


def _by_id(coco: Any, name: str) -> dict[str, Entry]:
    """Entries by the text of their id: some tools write ids as text, in one place only."""
    entries: dict[str, Entry] = {}
    for entry in _entries(coco, name):
        if str(entry.get("id")) in entries:
            raise ValueError(f"{name}: the id {entry.get('id')} occurs twice; expected it once")
        entries[str(entry.get("id"))] = entry
    return entries


def _listed(entries: Mapping[str, Entry], annotation: Entry, key: str) -> tuple[str, Entry]:
    """Id and entry of the image or the category of an annotation."""
    number = str(annotation[key])
    if number not in entries:
        raise ValueError(f"its {key} {number} is not listed")
    return number, entries[number]


def _name(entry: Entry, key: str) -> str:
    name = entry.get(key)
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{key} is {name!r}: expected a text")
    return name.strip()


def _frame(image: Entry, frames: KnownFrames | None) -> FrameTime:
    """Video and time of the frame that an image shows."""
    name = _name(image, "file_name")
    return frames.find(name) if frames else parse_image_name(name)


def _fractions(annotation: Entry, image: Entry) -> Sides:
    """The box of an annotation as x, y, w, h in fractions of its image.

    Raises
    ------
    ValueError
        If it is not the box of one object, has no area, or leaves the image.
    """
    size = _size(image)
    if any(annotation.get(flag) not in (None, 0, "0") for flag in ("iscrowd", "ignore")):
        raise ValueError("iscrowd or ignore is set: expected one object; draw a box around each")
    bbox, degrees = _bbox(annotation), _rotation(annotation)
    corners = _enclosing(bbox, degrees)
    limits = [*size, *size]
    inside = [min(max(edge, 0.0), limit) for edge, limit in zip(corners, limits, strict=True)]
    leaves = max(abs(edge - kept) for edge, kept in zip(corners, inside, strict=True))
    # The corners of a turned box may leave the image although its object does not.
    if inside[0] >= inside[2] or inside[1] >= inside[3] or (leaves > ROUNDING_PX and not degrees):
        raise ValueError(
            f"bbox {bbox} leaves its image of {size[0]:g} x {size[1]:g} px:"
            " expected x, y, width, height in px inside it"
        )
    x, y, right, lower = (
        round(edge / limit, 6) for edge, limit in zip(inside, limits, strict=True)
    )
    return x, y, round(right - x, 6), round(lower - y, 6)


def _size(image: Entry) -> tuple[float, float]:
    """Width and height of an image in px."""
    sizes = [image.get(key) for key in ("width", "height")]
    width, height = (float(size) if isinstance(size, int | float) else 0.0 for size in sizes)
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise ValueError(
            f"its image {image['file_name']!r} has width {sizes[0]} and height {sizes[1]}:"
            " expected its size in px"
        )
    return width, height


def _bbox(annotation: Entry) -> list[float]:
    """Left edge, upper edge, width and height in px."""
    bbox = annotation.get("bbox")
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(
            f"bbox is {bbox}: expected x, y, width, height in px; export boxes, not outlines"
        )
    sides = [checks.parse_number(f"a side of bbox {bbox}", side) for side in bbox]
    if min(sides[2:]) <= 0:
        raise ValueError(f"bbox {bbox} has no area: expected a width and a height above 0")
    if max(sides[2:]) <= 1:
        raise ValueError(f"bbox {bbox} is at most one pixel: expected pixels, not fractions")
    return sides


def _rotation(annotation: Entry) -> float:
    """Degrees by which CVAT turns a box around its centre; `bbox` is the box before the turn.

    Raises
    ------
    ValueError
        If it is unknown whether `bbox` already encloses the turned box.
    """
    attributes = annotation.get("attributes")
    turn = attributes.get("rotation") if isinstance(attributes, dict) else None
    degrees = checks.parse_number("rotation", turn or 0)
    if annotation.get("rotation") or (degrees and annotation.get("segmentation")):
        raise ValueError(
            "its box is turned, and it is unknown whether bbox encloses the turned box: expected"
            " attributes.rotation without a segmentation, as CVAT writes; draw an upright box"
        )
    return degrees


def _enclosing(bbox: Sequence[float], degrees: float) -> list[float]:
    """Left, upper, right and lower edge of the box that encloses a turned box."""
    left, top, width, height = bbox
    cos, sin = (abs(turn(math.radians(degrees))) for turn in (math.cos, math.sin))
    half_width = (width * cos + height * sin) / 2
    half_height = (width * sin + height * cos) / 2
    x, y = left + width / 2, top + height / 2
    return [x - half_width, y - half_height, x + half_width, y + half_height]
