"""Flickr-SoundNet's test annotations: a folder with one XML file per image.

Source: Senocak et al., CVPR 2018.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from xml.etree.ElementTree import Element

from spm.boxes.formats import checks
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame, Sides

SIDE_PX = 256  # width and height of the annotated images, unless a file states another size
EDGES = ("xmin", "ymin", "xmax", "ymax")


def read(folder: Path) -> BenchmarkBoxes:
    """Boxes by the name of the image: one of each annotator, two corners.

    Raises
    ------
    UserError
        If a file is not XML, or a box leaves its image by more than a pixel (names the file).
    ValueError
        If no file has a box.
    """
    frames = {}
    for path in sorted(folder.glob("*.xml")):
        with checks.named(str(path)):
            root = ElementTree.parse(path).getroot()
            size = _size(root)
            boxes = tuple(Box("sounding", _sides(item, size)) for item in root.iter("bbox"))
        frames[path.stem] = Frame(boxes, path.stem)
    if not any(frame.boxes for frame in frames.values()):
        raise ValueError("no .xml file has an element bbox")
    return BenchmarkBoxes(frames, "xyxy", annotators=2)


def _size(root: Element) -> tuple[int, int]:
    """Width and height of the image in px, as stated or published."""
    stated = [root.findtext(f".//size/{name}") for name in ("width", "height")]
    if stated == [None, None]:
        return SIDE_PX, SIDE_PX
    width, height = (checks.parse_number("size", side) for side in stated)
    return round(width), round(height)


def _sides(element: Element, size: tuple[int, int]) -> Sides:
    """The corners, in pixels: the children with their names, or else the last four children."""
    named = [element.findtext(name) for name in EDGES]
    edges = [child.text for child in list(element)[-4:]] if None in named else named
    return checks.parse_sides(edges, "xyxy", size, tolerance=1 / SIDE_PX)
