"""Read tables (Parquet) with one map per row: the workflow's, and those of `spm localize`."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from spm.base import tables
from spm.base.errors import UserError
from spm.score.masks import Maps

SHAPE = ("height", "width")
TableRow = dict[str, Any]


class Sortable(Protocol):
    """A key of a frame; its text names the frame in errors."""

    def __lt__(self, other: Any, /) -> bool:
        """Order of the frames."""


Key = TypeVar("Key", bound=Sortable)
Channels = dict[str | None, dict[Key, Maps]]  # by category, None for the map of the whole frame


@dataclass(frozen=True)
class MapTable(Generic[Key]):
    """The maps of a table: one per frame, one per frame and category, or both."""

    frames: Mapping[Key, TableRow]  # sorted; the other columns of each frame
    frame_maps: Maps | None  # (n, h, w)
    class_maps: Maps | None  # (n, classes, h, w)
    classes: tuple[str, ...]  # sorted


def read(path: Path, key: Callable[[TableRow], Key], key_columns: Sequence[str]) -> MapTable[Key]:
    """Maps of every frame, sorted by key; rows with a category are maps of this category.

    Parameters
    ----------
    path : Path
        A table with `map`, `height` and `width`, and perhaps `category`.
    key : callable
        The key of the frame of a row.
    key_columns : sequence of str
        The columns that `key` reads.

    Raises
    ------
    UserError
        If a column is missing or of another type, a map is repeated or missing, has another size
        than the first, has too few or too many values for its size, or holds a value that is not
        finite.
    """
    table = tables.read(path)
    _check_columns(path, table, [*key_columns, *SHAPE, "map"])
    _check_types(path, table)
    rows = table.drop_columns(["map"]).to_pylist()
    shape = (rows[0]["height"], rows[0]["width"]) if rows else (1, 1)
    channels: Channels[Key] = defaultdict(dict)
    frames: dict[Key, TableRow] = {}
    for row, values in zip(rows, table["map"], strict=True):
        frame = key(row)
        with np.errstate(over="ignore"):  # too large for float32: infinity, which _fault finds
            cells = values.values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        channel = channels[row.get("category")]
        fault = "two maps; expected one" if frame in channel else _fault(row, cells, shape)
        if fault:
            raise UserError(f"{path}: {frame}: {fault}")
        channel[frame] = cells
        frames.setdefault(frame, row)
    _check_channels(path, channels, frames)
    return _stacked(channels, dict(sorted(frames.items())), shape)


def _check_columns(path: Path, table: pa.Table, names: Sequence[str]) -> None:
    """Every column is there, and has a value in every row."""
    if missing := [name for name in names if name not in table.column_names]:
        raise UserError(
            f"{path}: no column {' or '.join(missing)}: it has {', '.join(table.column_names)}"
        )
    if empty := [name for name in names if table[name].null_count]:
        raise UserError(f"{path}: a row without {empty[0]}; expected a value in every row")


def _check_types(path: Path, table: pa.Table) -> None:
    """Sizes are integers, maps are lists of numbers."""
    for name in SHAPE:
        if not pa.types.is_integer(table[name].type):
            raise UserError(f"{path}: {name} of type {table[name].type}; expected integers")
    values = getattr(table["map"].type, "value_type", pa.null())
    if not pa.types.is_floating(values) and not pa.types.is_integer(values):
        raise UserError(
            f"{path}: map of type {table['map'].type}; expected lists of numbers, row by row"
        )


def _fault(row: TableRow, values: Maps, shape: tuple[int, int]) -> str:
    """What is wrong with a map; empty if nothing is."""
    size = (row["height"], row["width"])
    if min(size) < 1:
        return f"a map of {size}; expected at least one pixel"
    if size != shape or len(values) != size[0] * size[1]:
        return f"{len(values)} values for {size}; expected a map of {shape}, as the first"
    return "" if np.isfinite(values).all() else "NaN or infinity; expected finite numbers"


def _check_channels(path: Path, channels: Channels[Key], frames: Collection[Key]) -> None:
    """Every frame needs a map in every channel."""
    for category, channel in sorted(channels.items(), key=lambda item: item[0] or ""):
        if missing := sorted(set(frames) - channel.keys()):
            subject = category or "the whole frame"
            raise UserError(f"{path}: {missing[0]}: no map of {subject}; expected one of each")


def _stacked(
    channels: Channels[Key], frames: dict[Key, TableRow], shape: tuple[int, int]
) -> MapTable[Key]:
    """The maps stacked in the order of `frames`."""
    stacks: dict[str | None, Maps] = {}
    for category, channel in channels.items():
        stacks[category] = np.array([channel[frame] for frame in frames], np.float32).reshape(
            -1, *shape
        )
    classes = tuple(sorted(category for category in stacks if category is not None))
    class_maps = np.stack([stacks[name] for name in classes], axis=1) if classes else None
    frame_maps = stacks.get(None) if stacks else np.zeros((0, 1, 1), np.float32)
    return MapTable(frames, frame_maps, class_maps, classes)
