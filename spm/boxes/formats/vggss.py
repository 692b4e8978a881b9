"""VGG-SS's JSON file: `[{"file": …, "class": …, "bbox": [[x, y, x, y], …]}, …]`.

Source: Chen et al., CVPR 2021, github.com/hche11/Localizing-Visual-Sounds-the-Hard-Way.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spm.boxes.formats import checks
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame, Sides
from spm.corpus.published_lists import WINDOW_S, category_of
from spm.corpus.windows import window_id

NO_EDGE = -(2**63) / 320  # published in place of eleven right and lower edges


def read(path: Path) -> BenchmarkBoxes:
    """VGG-SS's boxes: a key is `<id>_<start second>`, the boxes are of the clip's middle frame.

    Videos and categories have the names that `spm manifest vggss.json` gives them.
    Of the 5,941 published boxes 18 have no area. They stay: their frames count, without truth.
    """
    clips: Sequence[Mapping[str, Any]] = checks.read_json(path)
    frames: dict[str, Frame] = {}
    for number, clip in enumerate(clips, 1):
        with checks.named(f"{path}, clip {number}"):
            video, start = clip["file"].rsplit("_", 1)
            category = category_of(clip["class"])
            boxes = tuple(Box(category, _sides(sides)) for sides in clip["bbox"])
            if clip["file"] in frames:
                raise ValueError(f"an earlier clip is {clip['file']} too; expected it once")
            frames[clip["file"]] = Frame(
                boxes, window_id(video, int(start)), int(start) + WINDOW_S / 2
            )
    return BenchmarkBoxes(frames, "xyxy")


def _sides(sides: Sequence[Any]) -> Sides:
    if len(sides) == 4:
        left, upper, right, lower = (checks.parse_number("edge", side) for side in sides)
        has_no_area = right in (left, NO_EDGE) or lower in (upper, NO_EDGE)
        if has_no_area and min(left, upper) >= 0 and max(left, upper, right, lower) <= 1:
            return left, upper, right, lower
    return checks.parse_sides(sides, "xyxy")
