"""VGG-SS's JSON file: `[{"file": …, "class": …, "bbox": [[x, y, x, y], …]}, …]`.

Source: Chen et al., CVPR 2021, github.com/hche11/Localizing-Visual-Sounds-the-Hard-Way.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame, parse_sides

VGG_SOUND_CLIP_S = 10


def read(path: Path) -> BenchmarkBoxes:
    """VGG-SS's boxes: a key is `<id>_<start second>`, the boxes are of the clip's middle frame."""
    clips: Sequence[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    frames = {}
    for clip in clips:
        video, start = clip["file"].rsplit("_", 1)
        boxes = tuple(Box(clip["class"], parse_sides(sides)) for sides in clip["bbox"])
        frames[clip["file"]] = Frame(boxes, video, int(start) + VGG_SOUND_CLIP_S / 2)
    return BenchmarkBoxes(frames, "xyxy")
