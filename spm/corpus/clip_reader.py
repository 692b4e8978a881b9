"""The clips that a stage wants, chosen from the index and read from the shards that hold them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spm.base import tables
from spm.base.config import UserError
from spm.base.shards import table_of


def select(index: Path, *, split: str, audible: bool = True, kind: str | None = None) -> pa.Table:
    """Rows of the index: one split, without clips too quiet to learn from, solos or duets alone."""
    table = tables.read(index)
    mask = pc.equal(table["split"], split)
    mask = pc.and_(mask, table["audible"]) if audible else mask
    mask = pc.and_(mask, pc.equal(table["kind"], kind)) if kind else mask
    return table.filter(mask)


def require_rows(rows: pa.Table, what: str) -> pa.Table:
    """The rows, or an error that says which clips are missing."""
    if not rows.num_rows:
        raise UserError(
            f"the index has no {what} clips: see coverage.csv beside it for what was listed and found"
        )
    return rows


def files(rows: pa.Table, folder: Path) -> list[Path]:
    """The tables in a stage's folder that hold the rows' clips."""
    return [table_of(folder, shard) for shard in np.unique(rows["shard"].to_numpy())]


def take_column(rows: pa.Table, folder: Path, column: str) -> pa.ChunkedArray:
    """One column of the rows' clips, in the rows' order, read shard by shard."""
    shards, places = rows["shard"].to_numpy(), rows["row"].to_numpy()
    order = np.lexsort((places, shards))
    parts = [
        tables.read(table_of(folder, shard), ["clip_id", column]).take(
            places[order][shards[order] == shard]
        )
        for shard in np.unique(shards)
    ]
    found = pa.concat_tables(parts).take(np.argsort(order))
    if not found["clip_id"].equals(rows["clip_id"]):
        raise UserError(f"the index and {folder} do not belong together: run the workflow again")
    return found[column]


def frames(rows: pa.Table, clips: Path) -> list[list[bytes]]:
    """The JPEG frames of each clip."""
    jpegs: list[list[bytes]] = take_column(rows, clips, "frames").to_pylist()
    return jpegs


def log_mels(rows: pa.Table, spectrograms: Path) -> np.ndarray:
    """The log-mels of the clips, of the tables' type, each a row of values: (clips, frames · mels) in dB."""
    chunks = take_column(rows, spectrograms, "log_mel").chunks
    flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks])
    return flat.reshape(rows.num_rows, -1)


def frame_times(rows: pa.Table, clips: Path) -> list[list[float]]:
    """The time of each frame of each clip, in seconds from the start of its video."""
    times: list[list[float]] = take_column(rows, clips, "frame_time_s").to_pylist()
    return times
