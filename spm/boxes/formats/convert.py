"""Convert boxes from and to the formats of other tools.

python -m spm.boxes.formats.convert export --annotations detector.parquet --form coco
    --out boxes.json [--index clips.parquet --clips clips --frames folder]
python -m spm.boxes.formats.convert import --coco boxes.json --out boxes.csv

`export` writes the boxes that count (status `kept`); with --frames it also writes their frames as
JPEG. FiftyOne, CVAT and Label Studio read and write COCO. Frames are named `VIDEO@SECONDS.jpg`;
`import` reads video and time from these names, and writes a file for `corpus.given_boxes`.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
from PIL import Image

from spm.base import tables
from spm.base.errors import UserError
from spm.boxes.formats import coco as coco_format
from spm.boxes.formats import csv, dsol, openimages
from spm.boxes.formats.frames import SIDE_PX, BoxRow, image_name
from spm.boxes.statuses import BoxStatus
from spm.corpus import clip_reader

Form = Literal["coco", "openimages", "dsol"]


def kept_boxes(annotations: Path) -> list[BoxRow]:
    """The boxes that count, by video and time."""
    rows = tables.read(annotations).to_pylist()
    order = ("video_id", "time_s", "category", "x", "y")
    kept = [row for row in rows if row["status"] == BoxStatus.KEPT]
    return sorted(kept, key=lambda row: tuple(row[name] for name in order))


def write_frames(rows: Sequence[BoxRow], index: Path, clips: Path, folder: Path) -> int:
    """Write the frames that the boxes lie on as JPEG; returns their width in px."""
    folder.mkdir(parents=True, exist_ok=True)
    clip_ids = {row["clip_id"] for row in rows}
    table = tables.read(index)
    selected = [clip_id in clip_ids for clip_id in table["clip_id"].to_pylist()]
    table = table.filter(pa.array(selected, pa.bool_()))
    jpegs = dict(zip(table["clip_id"].to_pylist(), clip_reader.frames(table, clips), strict=True))
    for row in rows:
        (folder / image_name(row)).write_bytes(jpegs[row["clip_id"]][row["frame"]])
    if not rows:
        return SIDE_PX
    return Image.open(io.BytesIO(jpegs[rows[0]["clip_id"]][rows[0]["frame"]])).width


def export(
    annotations: Path,
    form: Form,
    out: Path,
    index: Path | None,
    clips: Path | None,
    frames: Path | None,
) -> None:
    """Write the boxes that count in another tool's format, and their frames if a folder is given.

    Raises
    ------
    UserError
        If no box counts, or the index or clips are missing for the frames.
    """
    rows = kept_boxes(annotations)
    if not rows:
        raise UserError(f"{annotations} has no box with status kept: there is nothing to export")
    if frames and not (index and clips):
        raise UserError("--frames: expected --index and --clips too, to read the frames from")
    side = write_frames(rows, index, clips, frames) if frames and index and clips else SIDE_PX
    if form == "coco":
        coco_format.write(out, rows, side)
    elif form == "dsol":
        dsol.write(out, rows, side)
    else:
        openimages.write(out, rows)


def import_coco(coco: Path, out: Path) -> None:
    """Write the boxes of a COCO file as given boxes."""
    csv.write(out, coco_format.read(coco))


def main() -> None:
    """Run the command `export` or `import`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export", help="write annotations in another format")
    exporting.add_argument("--annotations", type=Path, required=True)
    exporting.add_argument("--form", choices=["coco", "openimages", "dsol"], required=True)
    for name in ("index", "clips", "frames"):
        exporting.add_argument(f"--{name}", type=Path)
    importing = commands.add_parser("import", help="write given boxes of a COCO file")
    importing.add_argument("--coco", type=Path, required=True)
    for command in (exporting, importing):
        command.add_argument("--out", type=Path, required=True)
    options = vars(parser.parse_args())
    run = export if options.pop("command") == "export" else import_coco
    try:
        run(**options)
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")


if __name__ == "__main__":
    main()
