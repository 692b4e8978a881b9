"""DSOL's JSON files: `{key: {"bbox": [{"category_id": …, "normbox": [x, y, w, h]}, …]}}`.

Source: Hu et al., NeurIPS 2020, github.com/DTaoo/Discriminative-Sounding-Objects-Localization.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from spm.base import tables
from spm.boxes.formats import checks
from spm.boxes.formats.frames import (
    SIDE_PX,
    BenchmarkBoxes,
    Box,
    BoxRow,
    Frame,
    to_pixels,
)

# DSOL's category ids are positions in the class list of Co-Separation's detector. MUSIC's other
# categories (xylophone, erhu, tuba, clarinet) are not in it: they have no boxes and no scores.
CATEGORIES = (
    "banjo", "cello", "drum", "acoustic_guitar", "harp", "harmonica", "oboe", "piano", "saxophone",
    "trombone", "trumpet", "violin", "flute", "accordion", "horn",
)  # fmt: skip
FRAMES_PER_S = 30  # DSOL numbers frames of videos encoded again at 30 frames per second


def read(path: Path) -> BenchmarkBoxes:
    """DSOL's boxes of MUSIC and of AudioSet.

    A key of MUSIC is `<id>_0_1000/frame_<second>/<frame number>.jpg`, of AudioSet `<id>/<second>`.
    The authors publish no names for AudioSet's ids; they are read as positions in CATEGORIES too.
    """
    content: Mapping[str, Any] = checks.read_json(path)
    frames = {}
    for key, frame in content.items():
        with checks.named(f"{path}, frame {key}"):
            frames[key] = _frame(key, frame["bbox"])
    return BenchmarkBoxes(frames)


def category_name(number: Any) -> str:
    """The category with an id of DSOL.

    Raises
    ------
    ValueError
        If no category has it.
    """
    if number not in range(len(CATEGORIES)):
        raise ValueError(f"category {number}: expected a number from 0 to {len(CATEGORIES) - 1}")
    return CATEGORIES[int(number)]


def _frame(key: str, boxes: Sequence[Mapping[str, Any]]) -> Frame:
    parsed = []
    for box in boxes:
        number = box["category_id"] if "category_id" in box else box["category"]
        parsed.append(Box(category_name(number), checks.parse_sides(box["normbox"])))
    video, *_, last = key.split("/")
    number = int(last.removesuffix(".jpg"))
    # Only MUSIC's boxes have a `category_id`; a frame without boxes shows its set by its key.
    is_music = "category_id" in boxes[0] if boxes else last.endswith(".jpg")
    time_s = number / FRAMES_PER_S if is_music else float(number)
    return Frame(tuple(parsed), re.sub(r"_\d+_\d+$", "", video), time_s)


def frame_key(row: Mapping[str, Any]) -> str:
    """DSOL's key of a frame: its video, second, and number at 30 frames per second."""
    number = round(row["time_s"] * FRAMES_PER_S)
    return f"{row['video_id']}_0_1000/frame_{number // FRAMES_PER_S:03d}/{number:05d}.jpg"


def to_dsol(rows: Sequence[BoxRow], side: int = SIDE_PX) -> dict[str, Any]:
    """Boxes as DSOL's solotest.json; boxes of categories without an id are left out."""
    ids = {name: number for number, name in enumerate(CATEGORIES)}
    frames: dict[str, Any] = {}
    for key, group in groupby(sorted(rows, key=frame_key), key=frame_key):
        boxes = []
        for row in group:
            if row["category"] in ids:
                sides = [round(row[name], 6) for name in "xywh"]
                number = ids[row["category"]]
                box = {"box": to_pixels(row, side), "normbox": sides, "category_id": number}
                boxes.append(box)
        frames[key] = {"bbox": boxes, "wdith": side, "height": side}  # DSOL's own misspelling
    return frames


def write(path: Path, rows: Sequence[BoxRow], side: int = SIDE_PX) -> None:
    """Write boxes on images `side` pixels wide and high."""
    with tables.atomic_write(path) as part:
        part.write_text(json.dumps(to_dsol(rows, side), indent=1) + "\n", encoding="utf-8")
