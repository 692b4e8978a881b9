"""The golden maps and boxes of tests/data, and the scores that they must have."""

import csv
import json
import lzma
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).parents[1] / "data"
RESIZED = 50  # solo maps whose resized pixels are compared with OpenCV's
CLASS_OF_ID = {
    13: "accordion",
    3: "acoustic_guitar",
    1: "cello",
    12: "flute",
    8: "saxophone",
    10: "trumpet",
    11: "violin",
}  # of those in DSOL's boxes of MUSIC

ClassBoxes = dict[str, list[list[float]]]  # x, y, w, h by class


@cache
def dsol_json(name: str) -> dict[str, Any]:
    """One of DSOL's three files of boxes: solotest, duettest or audioset_box."""
    return json.loads(lzma.decompress((DATA / "dsol" / f"{name}.json.xz").read_bytes()))


@cache
def maps() -> dict[str, NDArray[Any]]:
    """`solo_keys`, `solo_maps`, …, `classes` and `cluster_of_class`."""
    with np.load(DATA / "golden/maps.npz") as file:
        return dict(file)


@cache
def expected() -> dict[str, Any]:
    """What the authors' scripts printed, and the frozen scores per frame."""
    return json.loads((DATA / "golden/expected.json").read_text(encoding="utf-8"))


def class_maps(testset: str, arrays: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Maps (n, classes, h, w) of a test set; clusters drew them."""
    return arrays[f"{testset}_maps"][:, arrays["cluster_of_class"]]


def negative_inputs() -> dict[str, NDArray[Any]]:
    """Positive and negative frames made of the solo maps, with the same values everywhere.

    `own` and `other`, (800, 14, 14): the maps scaled to maxima between 0.2 and 1, and other maps
    scaled to maxima between 0 and 0.9, of which the first 40 are silent and the next 20 are full.
    `picture`, (800,): a number that two successive frames share.
    """
    cells = maps()["solo_maps"].astype(np.float64)
    unit = cells / cells.max((1, 2), keepdims=True)
    steps = np.arange(len(unit))
    own = unit * (0.2 + 0.8 * ((steps * 37) % 101) / 100)[:, None, None]
    other = unit[::-1] * (0.9 * ((steps * 53) % 97) / 96)[:, None, None]
    other[:40], other[40:60] = 0, 1
    return {
        "own": own.astype(np.float32),
        "other": other.astype(np.float32),
        "picture": steps // 2,
    }


def solo_boxes(content: dict[str, Any], keys: Iterable[Any]) -> list[NDArray[np.float64]]:
    """Boxes (k, 4) of each frame, whatever their class."""
    frames = []
    for key in keys:
        frames.append(np.array([box["normbox"] for box in content[str(key)]["bbox"]]))
    return frames


def by_class(boxes: list[dict[str, Any]]) -> ClassBoxes:
    """The boxes of one frame of DSOL's files, by class."""
    groups: ClassBoxes = defaultdict(list)
    for box in boxes:
        groups[CLASS_OF_ID[box["category_id"]]].append(box["normbox"])
    return groups


def synthetic_boxes(path: Path) -> dict[str, ClassBoxes]:
    """The boxes of the synthetic set, by key and class."""
    frames: dict[str, ClassBoxes] = defaultdict(lambda: defaultdict(list))
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            frames[row["key"]][row["category"]].append([float(row[side]) for side in "xywh"])
    return frames


def class_boxes(testset: str) -> list[ClassBoxes]:
    """Boxes of each golden frame of the duet or synthetic set, by class."""
    keys = [str(key) for key in maps()[f"{testset}_keys"]]
    if testset == "duet":
        return [by_class(dsol_json("duettest")[key]["bbox"]) for key in keys]
    frames = synthetic_boxes(DATA / "golden/synthetic_boxes.csv")
    return [frames[key] for key in keys]
