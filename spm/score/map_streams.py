"""Maps that are read from their file when they are indexed: memory does not grow with their number.

Small sets of maps are arrays. Sets that take more than STREAM_BYTES are `StreamedMaps`, which give
the maps of some frames as an array and check them. A file that can't be read at any place (a
compressed .npz, Parquet) is unpacked once into a temporary file, which has no name and vanishes
with the process; it lies in the folder that TMPDIR names.
"""

import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spm.base.errors import UserError
from spm.base.sizes import check_packed

STREAM_BYTES = 1 << 28  # maps of more bytes, in single precision, are streamed
CHUNK_BYTES = 1 << 25  # of maps that are in memory at once, in single precision
COPY_BYTES = 1 << 20
NPY_HEADS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

Numbers = Sequence[int] | NDArray[np.intp]
Floats32 = NDArray[np.float32]
Load = Callable[[NDArray[np.intp]], NDArray[Any]]  # of rising numbers of rows


class MapArray(Protocol):
    """Maps (n, h, w) or (n, classes, h, w): an array in memory, or in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all maps."""

    def __getitem__(self, numbers: Any, /) -> Any:
        """The maps of some frames, as an array."""


class StreamedMaps:
    """Maps in a file.

    Parameters
    ----------
    path : Path
        The file or folder, for messages.
    shape : tuple
        (n, h, w) or (n, classes, h, w).
    load : callable
        Reads the values of rows (k, …) by their rising numbers.
    keys : sequence of str
        Names of the rows, for messages.
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...], load: Load, keys: Sequence[str] = ()
    ) -> None:
        self.path, self.shape, self._load, self.keys = path, shape, load, keys

    @property
    def ndim(self) -> int:
        """Number of dimensions, as of an array."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, numbers: Numbers) -> Floats32:
        rows, places = np.unique(np.asarray(numbers, np.intp), return_inverse=True)
        with np.errstate(over="ignore"):  # too large for float32: infinity, found below
            maps = np.asarray(self._load(rows)).astype(np.float32, copy=False)
        finite = np.isfinite(maps).all(tuple(range(1, maps.ndim)))
        if not finite.all():
            key = self.keys[rows[int(finite.argmin())]]
            raise UserError(f"{self.path}: {key}: NaN or infinity; expected finite numbers")
        return maps if np.array_equal(places, np.arange(len(rows))) else maps[places]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[np.arange(self.shape[0])].astype(dtype or np.float32)

    def of_channels(self, channels: NDArray[np.int64]) -> "StreamedMaps":
        """The same frames with some of the maps along the second axis."""
        shape = (self.shape[0], len(channels), *self.shape[2:])
        return StreamedMaps(self.path, shape, lambda rows: self._load(rows)[:, channels])


class SelectedMaps:
    """Some of the maps of a file, in an order of their own."""

    def __init__(self, maps: MapArray, numbers: Sequence[int]) -> None:
        self._maps, self._numbers = maps, np.asarray(numbers, np.intp)
        self.shape = (len(numbers), *maps.shape[1:])

    def __getitem__(self, numbers: Numbers) -> Floats32:
        return np.asarray(self._maps[self._numbers[np.asarray(numbers, np.intp)]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[np.arange(self.shape[0])].astype(dtype or np.float32)


def select(maps: MapArray | None, numbers: Sequence[int]) -> MapArray | None:
    """Some of the maps: a copy of an array, a view of a file; None of None."""
    if maps is None or isinstance(maps, np.ndarray):
        return None if maps is None else np.asarray(maps[list(numbers)])
    return SelectedMaps(maps, numbers)


def from_items(
    path: Path, keys: Sequence[str], shape: tuple[int, ...], load: Callable[[int], NDArray[Any]]
) -> StreamedMaps:
    """Maps that lie one by one: `load` reads the one of a number, of this shape."""

    def load_rows(rows: NDArray[np.intp]) -> NDArray[Any]:
        maps = np.empty((len(rows), *shape), np.float32)
        for place, row in zip(maps, rows.tolist(), strict=True):
            values = load(row)
            if values.shape != shape:
                raise UserError(
                    f"{path}: {keys[row]}: shape {values.shape}; expected that of the first map,"
                    f" {shape}"
                )
            place[:] = values
        return maps

    return StreamedMaps(path, (len(keys), *shape), load_rows)


def is_large(shape: Sequence[int]) -> bool:
    """Whether maps of this shape are streamed."""
    return 4 * int(np.prod(shape, dtype=object)) > STREAM_BYTES


def chunks(*stores: MapArray | None) -> Iterator[slice]:
    """Ranges of frames whose maps of all stores fit into CHUNK_BYTES, at least one frame each."""
    shapes = [store.shape for store in stores if store is not None]
    frame_bytes = sum(4 * int(np.prod(shape[1:])) for shape in shapes)
    step = max(1, CHUNK_BYTES // max(frame_bytes, 1))
    for start in range(0, shapes[0][0] if shapes else 0, step):
        yield slice(start, min(start + step, shapes[0][0]))


class TemporaryRows:
    """A temporary file without a name."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the maps)

    def __del__(self) -> None:
        self.file.close()

    @contextmanager
    def open(self, _mode: str) -> Iterator[IO[bytes]]:
        """The file, as `Path.open` gives it."""
        yield self.file


def _raw_rows(
    place: Path | TemporaryRows, start: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Load:
    """Rows of an array whose values follow `start` in a file, in C order."""
    row_bytes = dtype.itemsize * int(np.prod(shape[1:]))
    with place.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
    if size < start + shape[0] * row_bytes:
        raise ValueError(f"{size} bytes; expected {start + shape[0] * row_bytes}")

    def load(rows: NDArray[np.intp]) -> NDArray[Any]:
        values = np.empty((len(rows), *shape[1:]), dtype)
        bounds = np.flatnonzero(np.diff(rows, prepend=-2) != 1)  # of runs of consecutive rows
        with place.open("rb") as file:
            for first, end in zip(bounds, [*bounds[1:], len(rows)], strict=True):
                run = values[first:end].data.cast("B")
                if os.preadv(file.fileno(), [run], start + int(rows[first]) * row_bytes) < len(run):
                    raise UserError(f"{place}: it became shorter while it was read")
        return values

    return load


def _npy_head(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """Shape and type of a .npy file whose rows can be read one by one; the file is then at them."""
    read_head = NPY_HEADS.get(np.lib.format.read_magic(file))
    if read_head is None:
        return None
    shape, is_fortran, dtype = read_head(file)
    usable = len(shape) in (3, 4) and not is_fortran and dtype.kind in "fiub"
    return (shape, dtype) if usable and is_large(shape) and 0 not in shape else None


def from_npy(path: Path) -> StreamedMaps | None:
    """The maps of a .npy file; None if they are few, or must be read at once."""
    with path.open("rb") as file:
        head = _npy_head(file)
        return head and StreamedMaps(path, head[0], _raw_rows(path, file.tell(), *head))


def from_npz(path: Path, archive: zipfile.ZipFile, name: str) -> StreamedMaps | None:
    """The maps of a member of a .npz file; None if they are few, or must be read at once."""
    info = archive.getinfo(name)
    check_packed(info.file_size, info.compress_size)
    with archive.open(info) as member:
        head = _npy_head(member)
        if head is None:
            return None
        offset = member.tell()
        if info.compress_type != zipfile.ZIP_STORED:
            return StreamedMaps(path, head[0], _raw_rows(_unpack(member), 0, *head))
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
    start = info.header_offset + 30 + name_bytes + extra_bytes + offset
    return StreamedMaps(path, head[0], _raw_rows(path, start, *head))


def _unpack(member: IO[bytes]) -> TemporaryRows:
    """The rest of a member, in a temporary file."""
    rows = TemporaryRows()
    shutil.copyfileobj(member, rows.file, COPY_BYTES)
    rows.file.flush()
    return rows


class MapWriter:
    """Maps that arrive one by one, in any order: kept in memory, or in a temporary file if many."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self._array = None if is_large(shape) else np.empty(shape, np.float32)
        self._rows = TemporaryRows() if self._array is None else None
        self._map_bytes = dtype.itemsize * shape[-1] * shape[-2]

    def write(self, place: tuple[int, ...], values: NDArray[Any]) -> None:
        """Store one map, flat, at its place along the first axes."""
        if self._array is not None:
            self._array[place] = values.reshape(self.shape[-2:])
        elif self._rows is not None:
            number = int(np.ravel_multi_index(place, self.shape[:-2]))
            self._rows.file.seek(number * self._map_bytes)
            self._rows.file.write(values.astype(self.dtype, copy=False).data)

    def maps(self, keys: Sequence[str]) -> MapArray:
        """All maps, whose keys name them in errors; every place must have been written."""
        if self._rows is None:
            return np.asarray(self._array)
        self._rows.file.flush()
        rows = _raw_rows(self._rows, 0, self.shape, self.dtype)
        return StreamedMaps(self.path, self.shape, rows, keys)
