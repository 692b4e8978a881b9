"""Clips for later stages: chosen from the index, and read from the tables of their shards."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spm.base import tables
from spm.base.errors import UserError
from spm.base.shards import table_of


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
    if not taken["clip_id"].equals(rows["clip_id"]):
        raise UserError(
            f"{folder}: its clips are not those of the index: expected tables of the same run;"
            " run the workflow again"
        )
    return taken[column]


def frames(rows: pa.Table, clips: Path) -> list[list[bytes]]:
    """The JPEG frames of each clip."""
    jpegs: list[list[bytes]] = take_column(rows, clips, "frames").to_pylist()
    return jpegs


def log_mels(rows: pa.Table, spectrograms: Path) -> np.ndarray:
    """The log-mel spectrograms of the clips in dB, (clips, frames · mels), in the tables' type."""
    chunks = take_column(rows, spectrograms, "log_mel").chunks
    flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks])
    return flat.reshape(rows.num_rows, -1)


def pcm(rows: pa.Table, clips: Path) -> np.ndarray:
    """The sound of each clip, (clips, 16000) int16."""
    sounds = take_column(rows, clips, "pcm").to_pylist()
    return np.stack([np.frombuffer(sound, "<i2") for sound in sounds])


def frame_times(rows: pa.Table, clips: Path) -> list[list[float]]:
    """The times of each clip's frames, in s from the start of the video."""
    times: list[list[float]] = take_column(rows, clips, "frame_time_s").to_pylist()
    return times
