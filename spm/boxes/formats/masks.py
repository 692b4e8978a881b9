"""Masks as ground truth: images, and COCO's polygons and run-length codes.

    a folder of .png files    one per frame; its key is the path in the folder, without the suffix
    COCO                      JSON with `segmentation` of each annotation; the key is the image's
                              `file_name` without its suffix, and the masks of an image are united

A pixel of an image is truth if it is brighter than half of white; in an image with a palette, if it
has another index than 0. The box of a mask is its bounding box, from its first pixel to the end of
its last one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spm.base.errors import UserError
from spm.base.pictures import open_picture
from spm.base.sizes import MOST_PIXELS
from spm.boxes.formats import checks
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame, MaskSource, Sides

Mask = NDArray[np.bool_]
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
SOUNDING = "sounding"  # category of a mask whose file names none


@dataclass(frozen=True)
class ImageMask:
    """A mask in an image file."""

    path: Path

    def read(self) -> Mask:
        """The mask (h, w).

        Raises
        ------
        UserError
            If the file is missing or no image (names the file).
        """
        try:
            with open_picture(self.path) as image:
                if image.mode == "P":
                    return np.asarray(image) > 0
                if image.mode.startswith("I"):  # 16 bits
                    return np.asarray(image, np.int64) > 0x7FFF
                return np.asarray(image.convert("L")) > 127
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UserError(
                f"{self.path}: can't be read as a mask ({error}); expected an image"
            ) from error


@dataclass(frozen=True)
class ShapeMask:
    """A mask of polygons and run-length codes on an image `width` px wide and `height` px high."""

    shapes: Sequence[Any]
    height: int
    width: int

    def read(self) -> Mask:
        """The union of the shapes (h, w)."""
        from pycocotools import mask as coder

        union = np.zeros((self.height, self.width), bool)
        for shape in self.shapes:
            codes: Any = shape
            if isinstance(shape, list):
                codes = coder.merge(coder.frPyObjects(shape, self.height, self.width))
            elif isinstance(shape["counts"], list):
                codes = coder.frPyObjects(shape, self.height, self.width)
            union |= coder.decode(codes).astype(bool)
        return union


class FilesBelow:
    """The files in a folder and its subfolders, found by the end of a path of another machine."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected the masks of the data set")
        self.folder = folder
        self.by_name: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                self.by_name.setdefault(path.stem, []).append(path)

    def find(self, name: str) -> Path:
        """The file that shares the longest end of its path; the suffix of the file may differ.

        Raises
        ------
        ValueError
            If there is none, or several share an end of the same length.
        """
        wanted = PurePosixPath(name).with_suffix("").parts[::-1]
        shared: dict[int, list[Path]] = {}
        for path in self.by_name.get(wanted[0], ()):
            parts = path.with_suffix("").parts[::-1]
            same = [a == b for a, b in zip(wanted, parts, strict=False)]
            shared.setdefault([*same, False].index(False), []).append(path)
        if not shared:
            raise ValueError(f"no file {PurePosixPath(name).name} in {self.folder}")
        best = shared[max(shared)]
        if len(best) > 1:
            raise ValueError(f"{best[0]} and {best[1]} can both be {name}; expected one of them")
        return best[0]


def box_of(mask: Mask) -> Sides | None:
    """Bounding box of a mask (h, w): two corners in fractions of the frame; None if it is empty.

    >>> box_of(np.array([[False, False, False, False], [False, True, True, False]]))
    (0.25, 0.5, 0.75, 1.0)
    """
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


def with_mask(frame: Frame, mask: MaskSource, category: str = SOUNDING) -> Frame:
    """The frame with a mask, and with the bounding box of the mask as its box."""
    sides = box_of(mask.read())
    return replace(frame, mask=mask, boxes=() if sides is None else (Box(category, sides),))


def read_folder(folder: Path) -> BenchmarkBoxes:
    """Masks of a folder with one image per frame.

    In AVSBench's folders a file `<video>/<video>_1.png` is of this video. Other files are stills.
    """
    frames = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.name[0] != ".":
            key = path.relative_to(folder).with_suffix("").as_posix()
            video = path.parent.name
            frame = Frame((), video if path.stem.startswith(f"{video}_") else key)
            frames[key] = with_mask(frame, ImageMask(path))
    if not frames:
        raise ValueError("the folder has no image of a mask")
    return BenchmarkBoxes(frames, "xyxy", silent=True)


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file has COCO's form."""
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def read_coco(path: Path) -> BenchmarkBoxes:
    """Masks of COCO's `segmentation`, with a box per annotation.

    The box of an annotation is the bounding box of its mask. An image without annotation shows
    nothing that sounds.

    Raises
    ------
    UserError
        If an annotation has no segmentation, or one that can't be read (names the annotation).
    """
    content = checks.read_json(path)
    names = {entry["id"]: str(entry["name"]) for entry in content.get("categories", ())}
    images = {entry["id"]: entry for entry in content["images"]}
    shapes: dict[Any, list[Any]] = {image_id: [] for image_id in images}
    boxes: dict[Any, list[Box]] = {image_id: [] for image_id in images}
    for number, annotation in enumerate(content["annotations"], 1):
        with checks.named(f"{path}, annotation {annotation.get('id', f'number {number}')}"):
            image = images[annotation["image_id"]]
            mask = _shape_mask(annotation, image)
            shapes[image["id"]] += mask.shapes
            if sides := box_of(mask.read()):
                category = names.get(annotation.get("category_id"), SOUNDING)
                boxes[image["id"]].append(Box(category, sides))
    frames = {}
    for image_id, image in images.items():
        key = PurePosixPath(image["file_name"]).with_suffix("").as_posix()
        mask = ShapeMask(shapes[image_id], *_size(image))
        frames[key] = Frame(tuple(boxes[image_id]), key, mask=mask)
    return BenchmarkBoxes(frames, "xyxy", silent=True)


def _size(image: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of an image of COCO."""
    height, width = int(image["height"]), int(image["width"])
    if min(height, width) < 1 or height * width > MOST_PIXELS:
        raise ValueError(f"image of {width} x {height} px: expected a size above 0")
    return height, width


def _shape_mask(annotation: Mapping[str, Any], image: Mapping[str, Any]) -> ShapeMask:
    """The mask of an annotation, after a check of its form."""
    shape = annotation.get("segmentation")
    if not shape:
        raise ValueError("no segmentation; expected polygons or a run-length code")
    size = _size(image)
    if isinstance(shape, dict):
        if list(shape["size"]) != list(size):
            raise ValueError(f"a code of size {shape['size']}; expected {list(size)}")
    elif any(len(polygon) < 6 or len(polygon) % 2 for polygon in shape):
        raise ValueError("a polygon of fewer than three points; expected x, y, x, y, …")
    return ShapeMask([shape], *size)
