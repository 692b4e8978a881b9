"""Open Images' tables: CSV files of boxes and of images, as published.

`read` is for evaluation: frames by image id. `read_boxes` and `read_images` are for training a
detector: they select rows of the large published tables, with flags, license and author.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from spm.base import tables
from spm.base.errors import UserError
from spm.boxes.formats import checks, csv
from spm.boxes.formats.frames import BenchmarkBoxes, BoxRow, KeyedBox, group_by_key
from spm.boxes.formats.image_names import image_name

# Category → Open Images' label.
CLASSES = {
    "accordion": "/m/0mkg", "banjo": "/m/018j2", "cello": "/m/01xqw", "drum": "/m/026t6",
    "flute": "/m/0l14j_", "guitar": "/m/0342h", "harmonica": "/m/03qjg", "harp": "/m/03m5k",
    "horn": "/m/0319l", "oboe": "/m/05kms", "piano": "/m/05r5c", "saxophone": "/m/06ncr",
    "trombone": "/m/07c6l", "trumpet": "/m/07gql", "violin": "/m/07y_7",
}  # fmt: skip
LABELS = CLASSES | {"acoustic_guitar": CLASSES["guitar"]}  # the manifest's name of guitars
# Column of the published table → setting with the same meaning, in the order of their precedence.
FLAGS = {
    "IsGroupOf": "group_of",
    "IsDepiction": "depiction",
    "IsInside": "inside",
    "IsTruncated": "truncated",
    "IsOccluded": "occluded",
}
UNKNOWN = -1  # of a flag
EDGES = ("XMin", "YMin", "XMax", "YMax")
BOX_TYPES = {"ImageID": pa.string(), "LabelName": pa.string()} | {
    **dict.fromkeys(["XMin", "XMax", "YMin", "YMax"], pa.float64()),
    **dict.fromkeys(FLAGS, pa.int8()),
}
IMAGE_TYPES = {
    "ImageID": pa.string(),
    "License": pa.string(),
    "Author": pa.string(),
    "Rotation": pa.float64(),
}
IMAGE_COLUMNS = {"ImageID": "image_id", "License": "license", "Author": "author",
                 "Rotation": "rotation"}  # fmt: skip


def read(path: Path) -> BenchmarkBoxes:
    """Boxes of a table by image id, two corners; the category is the published label."""
    return group_by_key(_keyed_boxes(path), "xyxy")


def _keyed_boxes(path: Path) -> Iterator[KeyedBox]:
    for row in csv.read_rows(path, ("ImageID", "LabelName", *EDGES)):
        image_id = row.values["ImageID"]
        with checks.named(f"{path}, line {row.line}"):
            sides = checks.parse_sides([row.number_text(name) for name in EDGES], "xyxy")
        yield KeyedBox(image_id, image_id, None, row.values["LabelName"], sides)


def read_boxes(path: Path, classes: Mapping[str, str]) -> pd.DataFrame:
    """Boxes of some classes: image_id, category, x, y, w, h (fractions), and a column per flag.

    Parameters
    ----------
    path : Path
        A published table of boxes.
    classes : mapping
        Category → Open Images' label, such as `/m/0mkg`.
    """
    rows = _select(path, BOX_TYPES, "LabelName", classes.values())
    categories = {label: category for category, label in classes.items()}
    sides = {"x": rows.XMin, "y": rows.YMin, "w": rows.XMax - rows.XMin, "h": rows.YMax - rows.YMin}
    flags = {setting: rows[column] == 1 for column, setting in FLAGS.items()}  # UNKNOWN is not set
    named = {"image_id": rows.ImageID, "category": rows.LabelName.map(categories)}
    return pd.DataFrame({**named, **sides, **flags})


def read_images(path: Path, ids: Collection[str]) -> pd.DataFrame:
    """Some images: image_id, license, author, rotation (degrees; NaN where it is unknown)."""
    return _select(path, IMAGE_TYPES, "ImageID", ids).rename(columns=IMAGE_COLUMNS)


def _select(
    path: Path, types: Mapping[str, pa.DataType], column: str, values: Collection[str]
) -> pd.DataFrame:
    """The rows of a large CSV whose column has one of the values; memory holds one block."""
    selected = pa.array(sorted(values), pa.string())
    convert = pyarrow.csv.ConvertOptions(include_columns=list(types), column_types=types)
    # The names of some authors contain line breaks.
    multiline = pyarrow.csv.ParseOptions(newlines_in_values=True)
    try:
        with pyarrow.csv.open_csv(path, convert_options=convert, parse_options=multiline) as reader:
            parts = [batch.filter(pc.is_in(batch[column], selected)) for batch in reader]
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise UserError(
            f"{path}: {error}: expected a table of Open Images with {','.join(types)}"
        ) from error
    table: pd.DataFrame = pa.Table.from_batches(parts, pa.schema(list(types.items()))).to_pandas()
    return table


def to_openimages(rows: Sequence[BoxRow]) -> pd.DataFrame:
    """Boxes as a table of Open Images; a category without a label is written by its name."""
    return pd.DataFrame(
        {
            "ImageID": Path(image_name(row)).stem,
            "Source": "spm",
            "LabelName": LABELS.get(row["category"], row["category"]),
            "Confidence": round(row["score"], 6),
            "XMin": round(row["x"], 6),
            "XMax": round(row["x"] + row["w"], 6),
            "YMin": round(row["y"], 6),
            "YMax": round(row["y"] + row["h"], 6),
            "IsOccluded": UNKNOWN,
            "IsTruncated": UNKNOWN,
            "IsGroupOf": UNKNOWN,
            "IsDepiction": UNKNOWN,
            "IsInside": UNKNOWN,
        }
        for row in rows
    )


def write(path: Path, rows: Sequence[BoxRow]) -> None:
    """Write boxes as a table of Open Images."""
    with tables.atomic_write(path) as part:
        to_openimages(rows).to_csv(part, index=False)
