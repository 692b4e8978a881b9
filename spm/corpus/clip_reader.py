"""Clips for later stages: chosen from the index, and read from the tables of their shards."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spm.base import tables
from spm.base.constants import FRAMES, N_MELS
from spm.base.errors import UserError
from spm.base.shards import table_of
from spm.base.statuses import Kind, Split
from spm.base.words import count, shown


def select(index: Path, *, split: str, audible: bool = True, kind: str | None = None) -> pa.Table:
    """Rows of the index.

    Parameters
    ----------
    index : Path
        The table of the stage `index`, or of `mosaics`.
    split : str
        train, val or test.
    audible : bool
        Leave out clips that are too quiet to learn from.
    kind : str, optional
        Only solos, or only duets.
    """
    table = tables.read(index)
    mask = pc.equal(table["split"], split)
    if audible:
        mask = pc.and_(mask, table["audible"])
    if kind:
        mask = pc.and_(mask, pc.equal(table["kind"], kind))
    return table.filter(mask)


def testset_rows(index: Path, name: str) -> pa.Table:
    """The rows of the index whose clips are a test set, silent ones included, sorted by shard."""
    split, kind = Split.TEST, name
    if name == "validation":
        split, kind = Split.VAL, Kind.SOLO
    rows = select(index, split=split, kind=kind, audible=False)
    return rows.take(np.argsort(rows["shard"].to_numpy(), kind="stable"))


def require_rows(rows: pa.Table, name: str) -> pa.Table:
    """The rows, if there are any.

    Raises
    ------
    UserError
        When there are none; `name` says which clips they should be.
    """
    if not rows.num_rows:
        raise UserError(
            f"the index has no {name} clips: expected at least one. coverage.csv beside it counts"
            " the listed and the available videos"
        )
    return rows


def solos(rows: pa.Table, purpose: str) -> np.ndarray:
    """Which clips are solos with a known category, as a mask.

    Solos without a category are named on the standard error: they are not used for `purpose`.
    """
    solo = pc.equal(rows["kind"], Kind.SOLO)
    known = pc.greater(pc.list_value_length(rows["categories"]), 0)
    unknown = pc.unique(rows["video_id"].filter(pc.and_not(solo, known))).to_pylist()
    if unknown:
        number = count(len(unknown), "solo")
        print(f"{purpose}: without {number} of unknown category: {shown(unknown)}", file=sys.stderr)
    mask: np.ndarray = pc.and_(solo, known).to_numpy()
    return mask


def files(rows: pa.Table, folder: Path) -> list[Path]:
    """The tables in a stage's folder that contain the rows' clips."""
    return [table_of(folder, shard) for shard in np.unique(rows["shard"].to_numpy())]


def take_column(rows: pa.Table, folder: Path, column: str) -> pa.ChunkedArray:
    """One column of a stage's tables for the rows' clips, in the order of the rows.

    Raises
    ------
    UserError
        When the tables hold other clips at these places than the index says.
    """
    shards, places = rows["shard"].to_numpy(), rows["row"].to_numpy()
    order = np.lexsort((places, shards))  # each table is read once, in its own order
    parts = []
    for shard in np.unique(shards):
        table = tables.read(table_of(folder, shard), ["clip_id", column])
        parts.append(table.take(places[order][shards[order] == shard]))
    taken = pa.concat_tables(parts).take(np.argsort(order))
    require_clips(taken["clip_id"], rows, folder)
    return taken[column]


def require_clips(clip_ids: pa.ChunkedArray, rows: pa.Table, folder: Path) -> None:
    """An error if clips that were read from a stage's folder are not those of the rows."""
    if not clip_ids.equals(rows["clip_id"]):
        raise UserError(
            f"{folder}: its clips are not those of the index: expected tables of the same run;"
            " run the workflow again"
        )


def frames(rows: pa.Table, clips: Path) -> list[list[bytes]]:
    """The JPEG frames of each clip."""
    jpegs: list[list[bytes]] = take_column(rows, clips, "frames").to_pylist()
    return jpegs


def log_mels(rows: pa.Table, spectrograms: Path) -> np.ndarray:
    """The log-mel spectrograms of the clips in dB, (clips, frames · mels), in the tables' type."""
    chunks = take_column(rows, spectrograms, "log_mel").chunks
    values: np.ndarray = np.concatenate([log_mel_values(chunk) for chunk in chunks])
    return values


def log_mel_values(column: pa.FixedSizeBinaryArray) -> np.ndarray:
    """A column of log-mel spectrograms as numbers, (clips, frames · mels), without a copy."""
    return numbers(column, f"<f{column.type.byte_width // (FRAMES * N_MELS)}")


def numbers(column: pa.FixedSizeBinaryArray, dtype: str) -> np.ndarray:
    """A column of binary values of one length as numbers, (rows, n), without a copy."""
    count = column.type.byte_width // np.dtype(dtype).itemsize
    if not len(column):
        return np.empty((0, count), dtype)
    values = np.frombuffer(column.buffers()[1], dtype).reshape(-1, count)
    return values[column.offset : column.offset + len(column)]


def frame_times(rows: pa.Table, clips: Path) -> list[list[float]]:
    """The times of each clip's frames, in s from the start of the video."""
    times: list[list[float]] = take_column(rows, clips, "frame_time_s").to_pylist()
    return times
