"""The tables between the stages: one schema each, written whole or not at all.

A table is sorted by its key and holds no time stamps, so that equal content gives equal bytes.
"""

import glob
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spm.base.config import UserError

PACKED = {
    "compression": "zstd",
    "write_page_checksum": True,
}  # a flipped bit is an error, never another number
STRINGS = pa.list_(pa.string())
BOX = [
    (side, pa.float64()) for side in "xywh"
]  # top left corner and size, as fractions of the frame

LEDGER = pa.schema(
    [
        ("video_id", pa.string()),
        ("status", pa.string()),  # ok, gone, blocked, retry, bad
        ("reason", pa.string()),
        ("path", pa.string()),  # of the media file; empty unless ok
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        ("extractor", pa.string()),  # what fetched it: local, or yt-dlp's extractor
    ]
)
VIDEOS = pa.schema(
    [
        ("video_id", pa.string()),
        (
            "status",
            pa.string(),
        ),  # ok, partial, no-audio, no-video, short, unreadable, empty, missing
        ("reason", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("fps", pa.float64()),  # mean rate
        ("rotation_deg", pa.int32()),
        ("rate_hz", pa.int32()),
        ("channels", pa.int32()),
        ("video_s", pa.float64()),  # decoded length of the pictures
        ("audio_s", pa.float64()),  # decoded length of the sound
        ("clips", pa.int32()),
    ]
)
CLIPS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("start_s", pa.float64()),
        ("frame_time_s", pa.list_(pa.float64())),  # from the start of the video
        ("frames", pa.list_(pa.binary())),  # JPEG
        ("pcm", pa.binary()),  # 16 kHz mono, int16 little endian
        ("rms_db", pa.float32()),  # level re full scale
    ]
)
INDEX = pa.schema(
    [
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("shard", pa.int32()),
        ("row", pa.int32()),  # of the shard's clips and spectrograms
        ("kind", pa.string()),  # solo, duet
        ("categories", STRINGS),
        ("split", pa.string()),  # train, val, test
        ("start_s", pa.float64()),
        ("rms_db", pa.float32()),
        ("audible", pa.bool_()),  # loud enough to be learnt from
    ]
)
DETECTIONS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("frame", pa.int32()),
        ("time_s", pa.float64()),
        ("category", pa.string()),
        ("score", pa.float32()),
        *BOX,
    ]
)
OPENIMAGES = pa.schema(
    [
        ("image_id", pa.string()),
        ("subset", pa.string()),  # train, validation, test
        ("status", pa.string()),  # ok, gone, bad, retry, policy, surplus
        ("reason", pa.string()),
        ("path", pa.string()),  # of the picture; empty unless ok
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("license", pa.string()),  # of the picture, and whom to name
        ("author", pa.string()),
    ]
)
OPENIMAGES_BOXES = pa.schema(
    [
        ("image_id", pa.string()),
        ("subset", pa.string()),
        ("category", pa.string()),
        *BOX,
        ("status", pa.string()),  # kept, or why not: malformed, a flag as group-of, no-picture
    ]
)
ANNOTATIONS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("frame", pa.int32()),
        ("time_s", pa.float64()),
        ("category", pa.string()),
        ("score", pa.float32()),  # 1 for a box that a person drew
        *BOX,
        (
            "status",
            pa.string(),
        ),  # kept, or why not: low-score, other-category, silent, surplus, rejected, unmatched, …
        ("box", pa.string()),  # as it was given, `category x y w h`: reviews name it so
        ("reviewer", pa.string()),  # who decided; empty: the rules
    ]
)
CLUSTERS = pa.schema(
    [("clip_id", pa.string()), ("pseudo_label", pa.int32()), ("similarity", pa.float32())]  # Eq. 6
)
TILES = pa.schema(
    [
        ("mosaic_id", pa.string()),  # a clip_id of the mosaics
        ("tile", pa.int32()),  # 0 to 3, row by row
        ("clip_id", pa.string()),  # where it comes from
        ("video_id", pa.string()),
        ("frame", pa.int32()),  # of that clip
        ("category", pa.string()),
        ("sounding", pa.bool_()),
        ("gain_db", pa.float64()),  # of its sound, where it is heard
        *BOX,  # of the tile
    ]
)
HISTORY = pa.schema(
    [("epoch", pa.int32()), ("split", pa.string()), ("name", pa.string()), ("value", pa.float64())]
)
MAPS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("frame", pa.int32()),
        ("time_s", pa.float64()),
        (
            "category",
            pa.string(),
        ),  # of a map that tells classes apart; null: the one map of a frame
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("map", pa.list_(pa.float32())),  # row by row; a sigmoid this sharp underflows in float16
    ]
)
SCORES = pa.schema(
    [
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("frame", pa.int32()),
        ("categories", STRINGS),
        ("iou", pa.float64()),  # the mean over the frame's truths
        ("nsa", pa.float64()),  # no-sounding area; null where it is not defined
        ("pixel_ap", pa.float64()),  # null unless the protocol has it
    ]
)


def spectrograms(values: int, dtype: str) -> pa.Schema:
    """Schema of the spectrograms: `values` = frames × mels numbers a clip, time × mel."""
    number = {"float32": pa.float32(), "float16": pa.float16()}[dtype]
    return pa.schema([("clip_id", pa.string()), ("log_mel", pa.list_(number, values))])


def batches(
    path: Path, columns: Sequence[str] | None = None, rows: int = 256
) -> Iterator[pa.RecordBatch]:
    """Read a table a few hundred rows at a time, whatever its length."""
    with _whole(path):
        yield from pq.ParquetFile(path, page_checksum_verification=True).iter_batches(
            rows, columns=columns
        )


def read(paths: Path | Sequence[Path], columns: Sequence[str] | None = None) -> pa.Table:
    """Read one table, or the tables of several shards, one after the other."""
    several = [paths] if isinstance(paths, Path) else paths
    return pa.concat_tables([_read(path, columns) for path in several])


def _read(path: Path, columns: Sequence[str] | None) -> pa.Table:
    with _whole(path):
        return pq.ParquetFile(path, page_checksum_verification=True).read(columns=columns)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Say which file is broken; Arrow has errors of its own for a broken frame, and an `OSError` for a broken page."""
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = str(error).splitlines()[0]
        raise UserError(
            f"{path} is not a whole Parquet file ({said}): delete it and run again"
        ) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary name to write to; the file takes its own only when all of it is there.

    Who begins last wins: what others left of this file goes first, and if one of them is still writing (a job whose
    Snakemake was killed), it fails in the end, instead of putting its half of the file here.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        left.unlink(missing_ok=True)
    part = path.with_name(f"{path.name}.{token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def writer(path: Path, schema: pa.Schema) -> Iterator[Callable[..., None]]:
    """Write a table a few columns at a time: `write(name=values, …)` appends rows.

    Only names repeat: a dictionary of pictures or of numbers would cost time and save nothing.
    """
    names = [field.name for field in schema if pa.types.is_string(field.type)]
    with (
        atomic_write(path) as part,
        pq.ParquetWriter(part, schema, use_dictionary=names, **PACKED) as file,
    ):
        yield lambda **columns: file.write_table(pa.table(columns, schema))


def write_rows(path: Path, schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> None:
    """Write a small table from its rows."""
    with atomic_write(path) as part:
        pq.write_table(pa.Table.from_pylist(list(rows), schema), part, **PACKED)
