"""Convert boxes from and to the formats of other tools.

python -m spm.boxes.formats.convert export --annotations detector.parquet --form coco
    --out boxes.json [--index clips.parquet --clips clips --frames folder --empty 3]
python -m spm.boxes.formats.convert import --coco boxes.json --out boxes.csv
    [--frames-list frames.csv | --index clips.parquet]

`export` writes the boxes that count (status `kept`); with --frames it also writes their frames as
JPEG. FiftyOne, CVAT and Label Studio read or write COCO. --empty adds frames of test videos to draw
boxes on; it needs no annotations. `import` writes a file for `corpus.given_boxes`. Frames are named
VIDEO_0001250ms.jpg (time in ms), and listed in frames.csv beside --out. Keep this list: with it,
`import` finds the frames even if a tool changed their names. It is used if it lies beside the COCO
file.
"""

import argparse
import io
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa

from spm.base import tables
from spm.base.errors import UserError
from spm.base.pictures import open_picture
from spm.boxes.formats import checks, csv, dsol, image_names, openimages
from spm.boxes.formats import coco as coco_format
from spm.boxes.formats.frames import SIDE_PX, BoxRow, spread
from spm.boxes.formats.image_names import KnownFrames, image_name
from spm.boxes.statuses import BoxStatus
from spm.corpus import clip_reader

Form = Literal["coco", "openimages", "dsol"]


def kept_boxes(annotations: Path) -> list[BoxRow]:
    """The boxes that count, by video and time."""
    order = ("video_id", "time_s", "category", "x", "y")
    with checks.named(str(annotations)):  # another table lacks these columns
        rows = tables.read(annotations).to_pylist()
        kept = [row for row in rows if row["status"] == BoxStatus.KEPT]
        return sorted(kept, key=lambda row: tuple(row[name] for name in order))


def empty_frames(index: Path, clips: Path, boxed: Iterable[BoxRow], per_video: int) -> list[BoxRow]:
    """Frames of test videos to draw boxes on, spread over the time of each video.

    Parameters
    ----------
    index, clips : Path
        Tables of the stages `index` and `clips`; clips without sound are left out.
    boxed : iterable of BoxRow
        Boxes whose frames are left out.
    per_video : int
        Number of frames of each video, or fewer if it has no more.

    Returns
    -------
    list
        Rows of video_id, clip_id, frame and time_s.
    """
    taken = {(row["clip_id"], row["frame"]) for row in boxed}
    table = clip_reader.select(index, split="test")
    videos: dict[str, list[BoxRow]] = {}
    frame_times_s = clip_reader.frame_times(table, clips) if table.num_rows else []
    for clip, times_s in zip(table.to_pylist(), frame_times_s, strict=True):
        for frame, time_s in enumerate(times_s):
            if (clip["clip_id"], frame) not in taken:
                row = {name: clip[name] for name in ("video_id", "clip_id")}
                videos.setdefault(clip["video_id"], []).append(
                    {**row, "frame": frame, "time_s": time_s}
                )
    chosen: list[BoxRow] = []
    for _, frames in sorted(videos.items()):
        frames.sort(key=lambda row: row["time_s"])
        chosen += spread(frames, per_video)
    return chosen


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
    return open_picture(io.BytesIO(jpegs[rows[0]["clip_id"]][rows[0]["frame"]])).width


def export(
    annotations: Path | None,
    form: Form,
    out: Path,
    index: Path | None = None,
    clips: Path | None = None,
    frames: Path | None = None,
    empty: int = 0,
) -> str:
    """Write the boxes that count in another tool's format, and frames if a folder is given.

    Returns
    -------
    str
        The number of boxes and frames.

    Raises
    ------
    UserError
        If there is nothing to export, or a file for the frames is missing.
    """
    for path in (annotations, index, clips):
        if path and not path.exists():
            raise UserError(f"there is no {path}: expected a result of the workflow; run it first")
    if (frames or empty) and not (frames and index and clips):
        raise UserError("--frames, --empty: expected --frames, --index and --clips together")
    if empty < 0:
        raise UserError(f"--empty is {empty}: expected 0 or more")
    if empty and form != "coco":
        raise UserError(f"--empty: --form {form} has no images without boxes; expected coco")
    if out.name == image_names.LIST_NAME:
        raise UserError(f"--out is {out.name}, the list of the frames: expected another name")
    rows = kept_boxes(annotations) if annotations else []
    blank = empty_frames(index, clips, rows, empty) if empty and index and clips else []
    if not rows and not blank:
        raise UserError(
            f"{annotations or 'export'}: there is nothing to export; expected --annotations with a"
            " box of status kept, or --empty with test videos in the index"
        )
    side = SIDE_PX
    if frames and index and clips:
        side = write_frames([*rows, *blank], index, clips, frames)
    if form == "coco" or frames:
        image_names.write_list(out.parent / image_names.LIST_NAME, [*rows, *blank])
    if form == "coco":
        coco_format.write(out, rows, side, blank, _categories(index) if index else ())
    elif form == "dsol":
        dsol.write(out, rows, side)
    else:
        openimages.write(out, rows)
    return f"{out}: {len(rows)} boxes, and {len(blank)} frames without a box"


def _categories(index: Path) -> set[str]:
    """All categories of the videos in the index, so that a person can choose among them."""
    listed = tables.read(index, ["categories"])["categories"].to_pylist()
    return {category for categories in listed for category in categories}


def import_coco(
    coco: Path, out: Path, frames_list: Path | None = None, index: Path | None = None
) -> str:
    """Write the boxes of a COCO file as given boxes.

    Parameters
    ----------
    coco, out : Path
        The COCO file, and the CSV file to write.
    frames_list : Path, optional
        List of the exported frames. Default: frames.csv beside the COCO file, if there is one.
    index : Path, optional
        clips.parquet, in place of a list. Without either, the names must be as exported.

    Returns
    -------
    str
        The number of boxes, frames and videos, and the boxes of each category.

    Raises
    ------
    UserError
        If a file can't be read, or a box can't be assigned to a frame.
    """
    rows = coco_format.read(coco, _known_frames(coco, frames_list, index))
    csv.write(out, rows)
    frames = {(row["video_id"], row["time_s"]) for row in rows}
    counts = Counter(row["category"] for row in rows)
    return (
        f"{out}: {len(rows)} boxes on {len(frames)} frames of {len(dict(frames))} videos ("
        + ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        + ")"
    )


def _known_frames(coco: Path, frames_list: Path | None, index: Path | None) -> KnownFrames | None:
    found = coco.parent / image_names.LIST_NAME
    if frames_list:
        return image_names.read_list(frames_list)
    if index:
        return image_names.read_index(index)
    return image_names.read_list(found) if found.is_file() else None


def main() -> None:
    """Run the command `export` or `import`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export", help="write boxes and frames for another tool")
    exporting.add_argument("--form", choices=["coco", "openimages", "dsol"], required=True)
    for name in ("annotations", "index", "clips", "frames"):
        exporting.add_argument(f"--{name}", type=Path)
    exporting.add_argument("--empty", type=int, default=0, help="frames of each test video")
    importing = commands.add_parser("import", help="write given boxes of a COCO file")
    importing.add_argument("--coco", type=Path, required=True)
    known = importing.add_mutually_exclusive_group()
    known.add_argument("--frames-list", type=Path, help="frames.csv of the export")
    known.add_argument("--index", type=Path, help="clips.parquet, in place of the list")
    for command in (exporting, importing):
        command.add_argument("--out", type=Path, required=True)
    options = vars(parser.parse_args())
    run = export if options.pop("command") == "export" else import_coco
    try:
        print(run(**options))
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")


if __name__ == "__main__":
    main()
