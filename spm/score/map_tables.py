"""Read tables (Parquet) with one map per row: the workflow's, and those of `spm localize`."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spm.base import tables
from spm.base.errors import UserError
from spm.base.sizes import MOST_PIXELS, MOST_ROWS
from spm.score.map_streams import CHUNK_BYTES, MapArray, MapWriter
from spm.score.masks import Maps

SHAPE = ("height", "width")
BUFFER_BYTES = 1 << 20  # of a column that are in memory as they are stored
TableRow = dict[str, Any]


class Sortable(Protocol):
    """A key of a frame; its text names the frame in errors."""

    def __lt__(self, other: Any, /) -> bool:
        """Order of the frames."""


Key = TypeVar("Key", bound=Sortable)


@dataclass(frozen=True)
class MapTable(Generic[Key]):
    """The maps of a table: one per frame, one per frame and category, or both."""

    frames: Mapping[Key, TableRow]  # sorted; the other columns of each frame
    frame_maps: MapArray | None  # (n, h, w)
    class_maps: MapArray | None  # (n, classes, h, w)
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
    schema = _schema(path)
    _check_columns(path, schema.names, [*key_columns, *SHAPE, "map"])
    _check_rows(path)
    table = tables.read(path, [name for name in schema.names if name != "map"])
    _check_values(path, table, [*key_columns, *SHAPE])
    _check_types(path, schema)
    rows = table.to_pylist()
    _check_counts(path, rows)
    frames: dict[Key, TableRow] = {}
    channels: dict[str | None, set[Key]] = defaultdict(set)
    for row in rows:
        frame, channel = key(row), channels[row.get("category")]
        if frame in channel:
            raise UserError(f"{path}: {frame}: two maps; expected one")
        channel.add(frame)
        frames.setdefault(frame, row)
    _check_channels(path, channels, frames)
    return _read_maps(path, schema, rows, dict(sorted(frames.items())), key)


def _schema(path: Path) -> pa.Schema:
    with tables.readable(path):
        return pq.read_schema(path)


def _read_maps(
    path: Path,
    schema: pa.Schema,
    rows: Sequence[TableRow],
    frames: dict[Key, TableRow],
    key: Callable[[TableRow], Key],
) -> MapTable[Key]:
    """The maps in the order of `frames`, from batches of the column `map`."""
    shape = (rows[0]["height"], rows[0]["width"]) if rows else (1, 1)
    places = {frame: number for number, frame in enumerate(frames)}
    names = {row.get("category") for row in rows}
    classes = tuple(sorted(name for name in names if name is not None))
    dtype = np.dtype(np.float16 if schema.field("map").type.value_type == pa.float16() else "f4")
    of_frames = of_classes = None
    if None in names or not rows:
        of_frames = MapWriter(path, (len(frames), *shape), dtype)
    if classes:
        of_classes = MapWriter(path, (len(frames), len(classes), *shape), dtype)
    for row, values in zip(rows, _cells(path, shape), strict=True):
        frame, category = key(row), row.get("category")
        if fault := _fault(row, values, shape):
            raise UserError(f"{path}: {frame}: {fault}")
        writer = of_frames if category is None else of_classes
        place = (places[frame],) if category is None else (places[frame], classes.index(category))
        assert writer is not None
        writer.write(place, values)
    frame_maps, class_maps = (
        None if writer is None else writer.maps(list(map(str, frames)))
        for writer in (of_frames, of_classes)
    )
    return MapTable(frames, frame_maps, class_maps, classes)


def _cells(path: Path, shape: tuple[int, int]) -> Iterator[Maps]:
    """The values of each row's map."""
    count = max(1, CHUNK_BYTES // max(1, 4 * shape[0] * shape[1]))
    for batch in tables.batches(path, ["map"], min(count, 4096), buffer_bytes=BUFFER_BYTES):
        if batch.column("map").null_count:
            raise UserError(f"{path}: a row without map; expected a value in every row")
        for values in batch.column("map"):
            with np.errstate(over="ignore"):  # too large for float32: infinity, which _fault finds
                cells = values.values.to_numpy(zero_copy_only=False)
                yield cells.astype(np.float32, copy=False)


def _check_rows(path: Path) -> None:
    """The table has a length that is useful; equal rows take no space in a file."""
    with tables.readable(path):
        count = pq.read_metadata(path).num_rows
    if count > MOST_ROWS:
        raise UserError(f"{path}: {count:,} rows; expected at most {MOST_ROWS:,}")


def _check_counts(path: Path, rows: Sequence[TableRow]) -> None:
    """By its header, the file has as many values as pixels, which are not too many per map."""
    metadata, start = pq.read_metadata(path), 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        sizes = [row["height"] * row["width"] for row in rows[start : start + group.num_rows]]
        start += group.num_rows
        columns = (group.column(place) for place in range(group.num_columns))
        values = sum(c.num_values for c in columns if c.path_in_schema.split(".")[0] == "map")
        largest = max(sizes, default=0)
        if largest > MOST_PIXELS or values > sum(sizes) + len(sizes):
            raise UserError(
                f"{path}: {values:,} values in {len(sizes):,} maps of up to {largest:,} px;"
                f" expected one value per pixel, and at most {MOST_PIXELS:,} px per map"
            )


def _check_columns(path: Path, found: Sequence[str], names: Sequence[str]) -> None:
    """Every column is there."""
    if missing := [name for name in names if name not in found]:
        raise UserError(f"{path}: no column {' or '.join(missing)}: it has {', '.join(found)}")


def _check_values(path: Path, table: pa.Table, names: Sequence[str]) -> None:
    """Every row has a value in every column."""
    if empty := [name for name in names if table[name].null_count]:
        raise UserError(f"{path}: a row without {empty[0]}; expected a value in every row")


def _check_types(path: Path, schema: pa.Schema) -> None:
    """Sizes are integers, maps are lists of numbers."""
    for name in SHAPE:
        if not pa.types.is_integer(schema.field(name).type):
            raise UserError(f"{path}: {name} of type {schema.field(name).type}; expected integers")
    values = getattr(schema.field("map").type, "value_type", pa.null())
    if not pa.types.is_floating(values) and not pa.types.is_integer(values):
        raise UserError(
            f"{path}: map of type {schema.field('map').type}; expected lists of numbers, row by row"
        )


def _fault(row: TableRow, values: Maps, shape: tuple[int, int]) -> str:
    """What is wrong with a map; empty if nothing is."""
    size = (row["height"], row["width"])
    if min(size) < 1:
        return f"a map of {size}; expected at least one pixel"
    if size != shape or len(values) != size[0] * size[1]:
        return f"{len(values)} values for {size}; expected a map of {shape}, as the first"
    return "" if np.isfinite(values).all() else "NaN or infinity; expected finite numbers"


def _check_channels(
    path: Path, channels: dict[str | None, set[Key]], frames: Collection[Key]
) -> None:
    """Every frame needs a map in every channel."""
    for category, channel in sorted(channels.items(), key=lambda item: item[0] or ""):
        if missing := sorted(set(frames) - channel):
            subject = category or "the whole frame"
            raise UserError(f"{path}: {missing[0]}: no map of {subject}; expected one of each")
