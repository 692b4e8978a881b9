"""What every table's rows and columns are: of docs/tables.md, of the data set's card and of its Croissant metadata.

python -m spm.base.schemas > docs/tables.md
"""

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from spm.base import tables


class Table(NamedTuple):
    """A kind of file that the workflow leaves."""

    name: str
    files: str  # under results/; a star a part of the name
    row: str  # what one is
    schema: pa.Schema


FRAMES, MELS = 201, 64  # of a second's log-mel, as spm.corpus.spectrograms makes it
SPECTROGRAMS = tables.spectrograms(FRAMES * MELS, "float16")
TABLES = (
    Table("fetch", "corpus/fetch/*.parquet", "a listed video, and what came of asking for it", tables.LEDGER),
    Table("videos", "corpus/videos/*.parquet", "a listed video, and what was found in its file", tables.VIDEOS),
    Table("clips", "corpus/clips/*.parquet", "a second of a video: its pictures and its sound", tables.CLIPS),
    Table("spectrograms", "corpus/spectrograms/*.parquet", "a second's log-mel, in the rows' order of `clips`",
          SPECTROGRAMS),
    Table("index", "corpus/index/clips.parquet", "a second: where it lies, what is heard, its split", tables.INDEX),
    Table("openimages", "boxes/openimages/images.parquet", "a picture of Open Images", tables.OPENIMAGES),
    Table("openimages_boxes", "boxes/openimages/boxes.parquet", "a box of Open Images", tables.OPENIMAGES_BOXES),
    Table("detect", "boxes/detect/*.parquet", "a detection, whatever its score", tables.DETECTIONS),
    Table("annotations", "boxes/annotations/*.parquet", "a box, whether it counts, and why not", tables.ANNOTATIONS),
    Table("clusters", "audio/clusters/*/labels.parquet", "a training second's cluster of sounds", tables.CLUSTERS),
    Table("tiles", "fusion/mosaics/*/tiles.parquet", "a tile of a mosaic of four solos", tables.TILES),
    Table("mosaic_clips", "fusion/mosaics/*/clips/*.parquet", "a mosaic: its picture, the mixed sound", tables.CLIPS),
    Table("mosaic_spectrograms", "fusion/mosaics/*/spectrograms/*.parquet", "a mosaic's log-mel", SPECTROGRAMS),
    Table("mosaic_index", "fusion/mosaics/*/index.parquet", "a mosaic: what is heard, its split", tables.INDEX),
    Table("mosaic_boxes", "fusion/mosaics/*/boxes/*.parquet", "a box of a mosaic's tiles", tables.ANNOTATIONS),
    Table("history", "**/history.parquet", "a figure of an epoch of a network, or of a round of k-means",
          tables.HISTORY),
    Table("maps", "fusion/maps/*/*.parquet", "a heat map of a frame, of a run on a test set", tables.MAPS),
    Table("scores", "score/scores/*/*/*/*.parquet", "a frame's score, by run, test set, boxes and protocol",
          tables.SCORES),
)  # fmt: skip
COLUMNS = {
    "audible": "whether it is loud enough to be learnt from (index.min_rms_db)",
    "audio_s": "s, decoded length of the sound",
    "author": "whom to name for the picture",
    "box": "the box as it was given, `category x y w h`: reviews name it so",
    "bytes": "size of the file",
    "categories": "what is heard, in the manifest's order",
    "category": "what the box shows",
    "channels": "of the sound",
    "clip_id": "name of the second: its video's, and the start in ms",
    "clips": "seconds that came of it",
    "epoch": "from 0",
    "extractor": "what fetched it: local, or yt-dlp's name for the site",
    "fps": "1/s, mean rate of the pictures",
    "frame": "number within the second, from 0",
    "frame_time_s": "s, of each picture, from the start of the video",
    "frames": "its pictures, JPEG, squeezed to squares",
    "gain_db": "dB, of its sound, where it is heard",
    "height": "px, as stored, before rotation",
    "image_id": "Open Images' name of the picture",
    "iou": "intersection over union, the mean over the frame's truths",
    "kind": "solo or duet",
    "license": "of the picture",
    "log_mel": f"dB, {FRAMES} times × {MELS} mels, row by row",
    "map": "heat in [0, 1], row by row, from the top left",
    "mosaic_id": "a clip_id of the mosaics",
    "name": "which figure: loss, accuracy",
    "nsa": "share of the no-sounding area that stays cold; null where it is not defined",
    "path": "of the file; empty unless the status is ok",
    "pcm": "its sound: 16 kHz mono, int16 little endian, 16,000 samples",
    "pixel_ap": "average precision over pixels; null unless the protocol has it",
    "pseudo_label": "the cluster's number",
    "rate_hz": "Hz, of the sound as it came",
    "reason": "why the status is not ok, in the site's or the decoder's words",
    "reviewer": "who decided; empty: the rules",
    "rms_db": "dB re full scale, level of the sound",
    "rotation_deg": "degrees counter-clockwise, as players apply it",
    "row": "of the second, in its shard's clips and spectrograms",
    "score": "the detector's, in [0, 1]; 1 for a box that a person drew",
    "sha256": "of the file, hexadecimal",
    "shard": "number of the file that holds the second: 0007.parquet for 7",
    "similarity": "cosine with the cluster's centre (Eq. 6)",
    "sounding": "whether the tile is heard",
    "split": "train, val or test",
    "start_s": "s, from the start of the video",
    "subset": "Open Images': train, validation or test",
    "tile": "0 to 3, row by row",
    "time_s": "s, from the start of the video",
    "value": "of the figure",
    "video_id": "the manifest's name of the video; of a mosaic, those of its four, / between",
    "video_s": "s, decoded length of the pictures",
    "width": "px, as stored, before rotation",
    "x": "left edge, as a fraction of the frame's width",
    "y": "upper edge, as a fraction of the frame's height",
    "w": "width, as a fraction of the frame's",
    "h": "height, as a fraction of the frame's",
}
# … and where a column means another thing than in other tables.
HERE = {
    ("fetch", "status"): "ok, gone, blocked, retry (may come back) or bad (no media there)",
    ("videos", "status"): "ok, partial, no-audio, no-video, short, unreadable, empty or missing",
    ("openimages", "status"): "ok, gone, bad, retry, policy or surplus",
    ("openimages", "width"): "px",
    ("openimages", "height"): "px",
    (
        "openimages_boxes",
        "status",
    ): "kept, or why not: malformed, no-picture, or a flag, as group-of",
    (
        "annotations",
        "status",
    ): "kept, or why not: low-score, other-category, silent, surplus, rejected, unmatched, …",
    ("history", "split"): "train or val",
    (
        "maps",
        "category",
    ): "whose map it is, of a run that tells categories apart; null: the one map of a frame",
    ("maps", "height"): "rows of the map",
    ("maps", "width"): "columns of the map",
    ("scores", "categories"): "what the frame's boxes show",
}
TYPES = {
    "string": "text", "double": "float64", "float": "float32", "halffloat": "float16", "bool": "true or false",
}  # fmt: skip


def like(table: Table) -> str:
    """The first table with the same columns."""
    return next(each.name for each in TABLES if each.schema is table.schema)


def meaning(table: Table, column: str) -> str:
    """What a column of a table holds.

    Raises
    ------
    KeyError
        When nobody has said so, in COLUMNS or HERE.
    """
    return HERE.get((like(table), column)) or COLUMNS[column]


def type_of(kind: pa.DataType) -> str:
    """A column's type, in a word."""
    if isinstance(kind, pa.ListType):
        return f"list of {type_of(kind.value_type)}"
    if isinstance(kind, pa.FixedSizeListType):
        return f"{kind.list_size} × {type_of(kind.value_type)}"
    return TYPES.get(str(kind), str(kind))


def page() -> Iterator[str]:
    """docs/tables.md."""
    yield "# Tables\n\nWhat the workflow leaves in `results/`, column by column, made of the schemas that write it:"
    yield "`python -m spm.base.schemas > docs/tables.md`. [data.md](data.md) shows how to read them. Tables are sorted"
    yield "by their key and hold no time stamps; a star in a path is a shard, a run, a test set, boxes or a protocol."
    for table in TABLES:
        yield f"\n## {table.name}\n\n`results/{table.files}`: a row is {table.row}."
        if like(table) != table.name:
            yield f"Its columns are those of [{like(table)}](#{like(table)})."
            continue
        yield ""
        yield "| column | type | what it holds |\n|---|---|---|"
        for field in table.schema:
            yield f"| `{field.name}` | {type_of(field.type)} | {meaning(table, field.name)} |"


if __name__ == "__main__":
    print("\n".join(page()))
