"""SSLalignment's lists: `[{"image": …, "audio": …, "gt_box": …}, …]`, one entry per frame.

`gt_box` is a box, left, upper, right and lower edge in px of an image of 224 x 224 px, or the path
of a mask. `[0, 0, 0, 0]` says that nothing in the frame sounds. The paths are those of the authors'
machine, and name the frame: its key is what follows `visual_frames/`, without the suffix and
without `test/`, as in the authors' evaluator. The forms of the keys:

    IS3            accordion_female_10438_accordion     picture, and the category that sounds
    VPO            000000062491_432356                  image of COCO, and its annotation
    AVSBench S4    helicopter/0d9u2CymIxc/0d9u2CymIxc_1 category, video, and frame of the video
    AVSBench MS3   rq5RDUm2Hnk_1/rq5RDUm2Hnk_1.mp4_1    video, and frame of the video

Frame n of AVSBench is at n - 1/16 s: its authors take 16 frames per second, and keep each 16th.

Source: Senocak et al., ICCV 2023, github.com/kaistmm/SSLalignment.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from spm.boxes.formats import checks, masks
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame, Sides

SIDE_PX = 224  # width and height of the annotated images
NOTHING = [0, 0, 0, 0]
SOUNDING = "sounding"  # category of the sets that name none
FRAME_OF_S4 = re.compile(r"(?P<category>[^/]+)/(?P<video>[^/]+)/(?P=video)_(?P<number>\d+)")
FRAME_OF_MS3 = re.compile(r"(?P<video>[^/]+)/(?P=video)\.mp4_(?P<number>\d+)")
FRAME_OF_VPO = re.compile(r"(?P<video>\d{12})_\d+")
FRAME_OF_IS3 = re.compile(r"(?P<video>.+)_(?P<category>[^_/]+)")
STEP_S = 1 / 16  # between the frames from which AVSBench takes one per second


def is_list(content: Any) -> bool:
    """Whether the content of a JSON file has this form."""
    return isinstance(content, list) and bool(content) and "gt_box" in content[0]


def read(path: Path) -> BenchmarkBoxes:
    """Boxes by key; a frame in which nothing sounds has none.

    Raises
    ------
    UserError
        If an entry can't be read (names its number), or its key occurs twice.
    """
    frames: dict[str, Frame] = {}
    for place, entry in _entries(path):
        with checks.named(place):
            key = _key(entry["image"])
            if key in frames:
                raise ValueError(f"an earlier entry is {key} too; expected it once")
            frames[key] = _frame(key, _sides(entry["gt_box"]))
    return BenchmarkBoxes(frames, "xyxy", silent=True)


def read_masks(path: Path, folder: Path) -> BenchmarkBoxes:
    """Masks by key, from a copy of the data set, in any folder below `folder`.

    The boxes are the bounding boxes of the masks.

    Raises
    ------
    UserError
        If an entry can't be read, or its mask is missing or damaged.
    """
    files = masks.FilesBelow(folder)
    frames = {}
    for place, entry in _entries(path):
        with checks.named(place):
            key, mask = _key(entry["image"]), masks.ImageMask(files.find(entry["gt_box"]))
            frames[key] = masks.with_mask(_frame(key, None), mask, _category(key))
    return BenchmarkBoxes(frames, "xyxy", silent=True)


def _entries(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each entry, and its place for messages."""
    for number, entry in enumerate(checks.read_json(path), 1):
        yield f"{path}, entry {number}", entry


def _key(image: str) -> str:
    """What follows `visual_frames/`, or else the name of the file; without its suffix."""
    path = PurePosixPath(image.rpartition("visual_frames/")[2]).with_suffix("")
    return path.as_posix().removeprefix("test/") if "visual_frames/" in image else path.name


def _match(key: str) -> Mapping[str, str]:
    """The parts of a key."""
    for form in (FRAME_OF_S4, FRAME_OF_MS3, FRAME_OF_VPO, FRAME_OF_IS3):
        if match := form.fullmatch(key):
            return match.groupdict()
    return {"video": key}


def _category(key: str) -> str:
    return _match(key).get("category", SOUNDING)


def _frame(key: str, sides: Sides | None) -> Frame:
    """The frame of a key, with at most one box."""
    parts = _match(key)
    boxes = () if sides is None else (Box(_category(key), sides),)
    time_s = int(parts["number"]) - STEP_S if "number" in parts else None
    return Frame(boxes, parts["video"], time_s)


def _sides(values: Sequence[Any]) -> Sides | None:
    """Edges as fractions; None if nothing sounds."""
    if values == NOTHING:
        return None
    left, upper, right, lower = checks.parse_sides(values, "xyxy", (SIDE_PX, SIDE_PX))
    return _on_pixel(left), _on_pixel(upper), _on_pixel(right), _on_pixel(lower)


def _on_pixel(side: float) -> float:
    """A fraction that is not below its pixel: 224 · (60 / 224) is a little less than 60."""
    return side if SIDE_PX * side >= round(SIDE_PX * side) else math.nextafter(side, 2)
