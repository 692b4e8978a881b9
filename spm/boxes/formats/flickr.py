"""Flickr-SoundNet's test annotations: a folder with one XML file per image.

Source: Senocak et al., CVPR 2018.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame, Sides, parse_sides

SIDE_PX = 256  # width and height of the annotated images


def read(folder: Path) -> BenchmarkBoxes:
    """Boxes by the name of the image: one of each annotator, two corners."""
    frames = {}
    for path in sorted(folder.glob("*.xml")):
        elements = ElementTree.parse(path).getroot().iter("bbox")
        boxes = tuple(Box("sounding", _sides(element)) for element in elements)
        frames[path.stem] = Frame(boxes, path.stem)
    return BenchmarkBoxes(frames, "xyxy", annotators=2)


def _sides(element: ElementTree.Element) -> Sides:
    """The last four children are the corners, in pixels."""
    return parse_sides([int(str(child.text)) / SIDE_PX for child in list(element)[-4:]])
