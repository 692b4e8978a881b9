"""Boxes that count in the forms that other tools read, and boxes drawn in other tools as `given` boxes.

python -m spm.boxes.formats.convert export --annotations detector.parquet --form coco --out boxes.json
    [--index clips.parquet --clips clips --frames folder]
python -m spm.boxes.formats.convert import --coco boxes.json --out boxes.csv

COCO is what FiftyOne, CVAT and Label Studio read and write; with --frames the pictures come along. A picture is named
`VIDEO@SECONDS.jpg`, so that boxes come home from tools that keep nothing but names.
"""

import argparse
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from PIL import Image

from spm.base import tables
from spm.base.config import UserError
from spm.boxes import ground_truth
from spm.boxes.benchmarks import DETECTOR, FRAME_RATE
from spm.boxes.ground_truth import Row
from spm.boxes.openimages import CLASSES
from spm.corpus import clip_reader

Form = Literal["coco", "openimages", "dsol"]
NAME = re.compile(r"(?P<video_id>.+)@(?P<time_s>\d+\.\d+)\.(?:jpe?g|png)")
SIDE = 256  # px, of pictures that are not looked at: their boxes are fractions anyway
LABELS = CLASSES | {
    "acoustic_guitar": CLASSES["guitar"]
}  # the manifest's name, too, has Open Images' label


def name_of(row: Mapping[str, Any]) -> str:
    """A frame's name as a picture."""
    return f"{row['video_id']}@{row['time_s']:.3f}.jpg"


def frame_named(name: str) -> tuple[str, float]:
    """The video and time in a picture's name.

    >>> frame_named("train/a@b@1.250.jpg")
    ('a@b', 1.25)
    """
    found = NAME.fullmatch(PurePosixPath(name).name)
    if found is None:
        raise ValueError(f"picture {name!r}: expected a name as VIDEO@SECONDS.jpg")
    return found["video_id"], float(found["time_s"])


def _pixels(row: Row, side: int) -> list[float]:
    return [round(row[edge] * side, 3) for edge in "xywh"]


def to_coco(rows: Sequence[Row], side: int = SIDE) -> dict[str, Any]:
    """Boxes as COCO's detection JSON, on pictures `side` pixels wide and high."""
    categories = {
        name: number for number, name in enumerate(sorted({row["category"] for row in rows}), 1)
    }
    frames = {name: number for number, name in enumerate(sorted({name_of(row) for row in rows}), 1)}
    annotations = [
        {
            "id": number,
            "image_id": frames[name_of(row)],
            "category_id": categories[row["category"]],
            "bbox": _pixels(row, side),
            "area": round(row["w"] * row["h"] * side**2, 3),
            "iscrowd": 0,
            "score": round(row["score"], 6),
        }
        for number, row in enumerate(rows, 1)
    ]
    images = [
        {"id": number, "file_name": name, "width": side, "height": side}
        for name, number in frames.items()
    ]
    listed = [
        {"id": number, "name": name, "supercategory": "instrument"}
        for name, number in categories.items()
    ]
    return {
        "info": {},
        "licenses": [],
        "images": images,
        "categories": listed,
        "annotations": annotations,
    }


def from_coco(coco: Mapping[str, Any]) -> list[Row]:
    """Boxes of a COCO JSON whose pictures are named as here, as rows of a file of given boxes.

    Raises
    ------
    ValueError
        Naming the picture or annotation that has no place here.
    """
    images = {image["id"]: image for image in coco["images"]}
    categories = {category["id"]: category["name"] for category in coco["categories"]}
    rows = []
    for annotation in coco["annotations"]:
        number, image = annotation.get("id"), images.get(annotation["image_id"])
        if image is None or annotation["category_id"] not in categories:
            raise ValueError(f"annotation {number}: its image_id or category_id is not listed")
        rows.append(_row(annotation["bbox"], image, categories[annotation["category_id"]], number))
    return sorted(rows, key=lambda row: tuple(row.values()))


def _row(bbox: Sequence[float], image: Mapping[str, Any], category: str, number: object) -> Row:
    """One box, cut to its picture; its sides are fractions."""
    video_id, time_s = frame_named(image["file_name"])
    left, top = (max(0.0, bbox[0] / image["width"]), max(0.0, bbox[1] / image["height"]))
    right = min(1.0, (bbox[0] + bbox[2]) / image["width"])
    bottom = min(1.0, (bbox[1] + bbox[3]) / image["height"])
    if right <= left or bottom <= top:
        raise ValueError(
            f"annotation {number}: {list(bbox)} has no area inside {image['file_name']}"
        )
    sides = (round(left, 6), round(top, 6), round(right - left, 6), round(bottom - top, 6))
    return dict(zip(ground_truth.COLUMNS, (video_id, time_s, category, *sides), strict=True))


def to_openimages(rows: Sequence[Row]) -> pd.DataFrame:
    """Boxes as a table of Open Images; a category that it has no label for is written by its own name."""
    return pd.DataFrame(
        {
            "ImageID": Path(name_of(row)).stem,
            "Source": "spm",
            "LabelName": LABELS.get(row["category"], row["category"]),
            "Confidence": round(row["score"], 6),
            "XMin": round(row["x"], 6),
            "XMax": round(row["x"] + row["w"], 6),
            "YMin": round(row["y"], 6),
            "YMax": round(row["y"] + row["h"], 6),
            **dict.fromkeys(
                ["IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"], -1
            ),
        }
        for row in rows
    )


def dsol_key(row: Mapping[str, Any]) -> str:
    """The key of a frame in DSOL's files: its video, second, and number at 30 frames a second."""
    number = round(row["time_s"] * FRAME_RATE)
    return f"{row['video_id']}_0_1000/frame_{number // FRAME_RATE:03d}/{number:05d}.jpg"


def to_dsol(rows: Sequence[Row], side: int = SIDE) -> dict[str, Any]:
    """Boxes as DSOL's solotest.json; boxes of a class that it doesn't number are left out."""
    number = {name: n for n, name in enumerate(DETECTOR)}
    found: dict[str, Any] = {}
    for key, several in groupby(sorted(rows, key=dsol_key), key=dsol_key):
        named = [(row, number.get(row["category"])) for row in several]
        boxes = [
            {
                "box": _pixels(row, side),
                "normbox": [round(row[edge], 6) for edge in "xywh"],
                "category_id": n,
            }
            for row, n in named
            if n is not None
        ]
        found[key] = {"bbox": boxes, "wdith": side, "height": side}  # misspelt there too
    return found


def kept(annotations: Path) -> list[Row]:
    """The boxes that count, by video and time."""
    rows = [row for row in tables.read(annotations).to_pylist() if row["status"] == "kept"]
    return sorted(
        rows, key=lambda row: (row["video_id"], row["time_s"], row["category"], row["x"], row["y"])
    )


def write_frames(rows: Sequence[Row], index: Path, clips: Path, folder: Path) -> int:
    """Write the rows' frames as pictures; their side in pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {row["clip_id"] for row in rows}
    table = tables.read(index)
    table = table.filter(
        pa.array([clip in wanted for clip in table["clip_id"].to_pylist()], pa.bool_())
    )
    jpegs = dict(zip(table["clip_id"].to_pylist(), clip_reader.frames(table, clips), strict=True))
    for row in rows:
        (folder / name_of(row)).write_bytes(jpegs[row["clip_id"]][row["frame"]])
    return (
        Image.open(io.BytesIO(jpegs[rows[0]["clip_id"]][rows[0]["frame"]])).width if rows else SIDE
    )


def export(
    annotations: Path,
    form: Form,
    out: Path,
    index: Path | None,
    clips: Path | None,
    frames: Path | None,
) -> None:
    """Write the boxes that count in another tool's form, and their frames where a folder is named for them."""
    rows = kept(annotations)
    if not rows:
        raise UserError(f"{annotations} has no box that counts: there is nothing to export")
    if frames and not (index and clips):
        raise UserError("--frames: expected --index and --clips too, to take the pictures from")
    side = write_frames(rows, index, clips, frames) if frames and index and clips else SIDE
    with tables.atomic_write(out) as part:
        if form == "openimages":
            to_openimages(rows).to_csv(part, index=False)
        else:
            made = to_coco(rows, side) if form == "coco" else to_dsol(rows, side)
            part.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def bring(coco: Path, out: Path) -> None:
    """Write the boxes of a COCO JSON as a file of given boxes.

    Raises
    ------
    UserError
        When it is none, or has a box that can't be placed.
    """
    try:
        rows = from_coco(json.loads(coco.read_text(encoding="utf-8")))
    except KeyError as error:
        raise UserError(
            f"{coco}: {error} is missing: expected images, categories and annotations of COCO"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{coco}: {error}") from error
    with tables.atomic_write(out) as part:
        pd.DataFrame(rows, columns=ground_truth.COLUMNS).to_csv(part, index=False)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    away, home = commands.add_parser("export"), commands.add_parser("import")
    away.add_argument("--annotations", type=Path, required=True)
    away.add_argument("--form", choices=["coco", "openimages", "dsol"], required=True)
    for name in ("index", "clips", "frames"):
        away.add_argument(f"--{name}", type=Path)
    home.add_argument("--coco", type=Path, required=True)
    for command in (away, home):
        command.add_argument("--out", type=Path, required=True)
    given = vars(parser.parse_args())
    try:
        (export if given.pop("command") == "export" else bring)(**given)
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")


if __name__ == "__main__":
    main()
