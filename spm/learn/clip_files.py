"""Columns of clips for random access, from Arrow files that are mapped into memory.

The Parquet tables of the stages are compressed, so that a clip can't be read alone. Each column
that a training reads is therefore written once to another folder, uncompressed, as one Arrow file
per table. All trainings and all processes share these files. Only the places of the values are
mapped into memory. A value is read from its file when it is asked for, so that memory does not
grow.

The name of a file contains a digest of its Parquet table. A changed table gets a new file, and the
old one is deleted. The whole folder may be deleted at any time; it is then written again.
"""

import os
import time
from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from secrets import token_hex
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from spm.base import tables
from spm.base.constants import FRAMES, N_MELS, PCM_SCALE, SAMPLE_RATE_HZ
from spm.base.progress import progress
from spm.corpus import clip_reader
from spm.learn import checkpoints, distributed, slots

Indices = Sequence[int] | np.ndarray | Tensor
Column = Literal["frames", "pcm", "log_mel"]
SHAPES = {"pcm": (SAMPLE_RATE_HZ,), "log_mel": (FRAMES, N_MELS)}
LEFTOVER_S = 3600  # age of an unfinished file that no process writes any more


class Sounds(Protocol):
    """Sounds of clips: a column of a table, or what a network makes of it."""

    def __len__(self) -> int:
        """Number of clips."""
        ...

    def sounds(self, indices: Indices) -> Tensor:
        """Sounds of some clips: (n, …)."""
        ...


class _Chunk:
    """Values of clips that lie one after the other: in a file, or in memory.

    The map of a file is read only to find them: mapped pages would count as memory of the process.
    """

    def __init__(self, array: pa.Array, file: pa.MemoryMappedFile | None) -> None:
        """Take the place of each value from Arrow's buffers."""
        self._file, self._lists, self._start = file, None, 0
        if pa.types.is_list(array.type):
            self._lists = _bounds(array)
            array = array.values
        self._bounds = _bounds(array)
        self._data = array.buffers()[-1]
        self.width = int(np.diff(self._bounds[:2]).sum())  # bytes of the first value
        if file is not None and self._data is not None:
            file.seek(0)
            self._descriptor = file.fileno()
            self._start = self._data.address - file.read_buffer(1).address

    def values(self, row: int) -> range:
        """Numbers of the values of a clip: one, or those of its list."""
        if self._lists is None:
            return range(row, row + 1)
        return range(self._lists[row], self._lists[row + 1])

    def counts(self) -> np.ndarray:
        """Number of values in the list of each clip."""
        return np.diff(self._lists)  # type: ignore[arg-type]

    def read(self, number: int) -> bytes:
        """A value."""
        start, end = self._bounds[number : number + 2].tolist()
        if self._file is None:
            return bytes(self._data[start:end])
        return os.pread(self._descriptor, end - start, self._start + start)


def _bounds(array: pa.Array) -> np.ndarray:
    """Where each value of an array begins, in bytes or in values of its list, and the last ends."""
    first, end = array.offset, array.offset + len(array) + 1
    if pa.types.is_fixed_size_binary(array.type):
        width: int = array.type.byte_width
        return width * np.arange(first, end)
    bounds: np.ndarray = np.frombuffer(array.buffers()[1], np.int32)
    return bounds[first:end]


class ClipColumn(Sequence[Any]):
    """One column of the clips in the rows of an index, in their order; see `open_column`."""

    def __init__(self, rows: pa.Table, folder: Path, column: Column, mapped: Path | None) -> None:
        rows = rows.select(["shard", "row", "clip_id"])
        self._source = (rows, folder, column, mapped)
        self._column: Column = column
        self._chunks: list[_Chunk] = []
        self._ends: list[int] = []  # place after the last clip of each chunk
        self._places = np.arange(rows.num_rows)
        if rows.num_rows and mapped is not None:
            self._map(_mapped_files(rows, folder, column, mapped))
        elif rows.num_rows:
            self._add(clip_reader.take_column(rows, folder, column), None)

    def _add(self, column: pa.ChunkedArray, file: pa.MemoryMappedFile | None) -> None:
        for array in filter(len, column.chunks):
            self._chunks.append(_Chunk(array, file))
            self._ends.append((self._ends[-1] if self._ends else 0) + len(array))

    def _map(self, files: dict[int, Path]) -> None:
        """Find the values of all clips in the files of the shards."""
        ids, starts, start = [], np.zeros(max(files) + 1, int), 0
        rows, folder, _, _ = self._source
        for shard, path in files.items():
            file = pa.memory_map(str(path))
            table = pa.ipc.open_file(file).read_all()
            self._add(table[self._column], file)
            ids += table["clip_id"].chunks
            starts[shard], start = start, start + table.num_rows
        self._places = starts[rows["shard"].to_numpy()] + rows["row"].to_numpy()
        clip_ids = pa.chunked_array(ids).take(np.minimum(self._places, start - 1))
        clip_reader.require_clips(clip_ids, rows, folder)

    def _find(self, index: int) -> tuple[_Chunk, range]:
        """The chunk of a clip, and the numbers of its values there."""
        place = int(self._places[index])
        number = bisect(self._ends, place)
        chunk = self._chunks[number]
        return chunk, chunk.values(place - (self._ends[number - 1] if number else 0))

    def __reduce__(self) -> tuple[Any, ...]:
        return ClipColumn, self._source

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        """A clip's frames (list of JPEG), sound (16000,) int16, or log-mel (201, 64)."""
        if self._column != "frames":
            return self.sounds([index])[0].numpy()
        chunk, numbers = self._find(index)
        return [chunk.read(number) for number in numbers]

    def frame(self, index: int, number: int) -> bytes:
        """The JPEG of one of a clip's frames."""
        chunk, numbers = self._find(index)
        return chunk.read(numbers[number])

    def drawn_frame(self, index: int, draw: float) -> bytes:
        """One of a clip's frames; a draw in [0, 1) chooses it."""
        chunk, numbers = self._find(index)
        return chunk.read(numbers[int(draw * len(numbers))])

    def frame_counts(self) -> np.ndarray:
        """Number of frames of each clip, (clips,)."""
        counts = [np.zeros(0, int), *(chunk.counts() for chunk in self._chunks)]
        return np.concatenate(counts)[self._places]

    def sounds(self, indices: Indices) -> Tensor:
        """Log-mels of some clips, (n, 201, 64) in dB, or their sound, (n, 16000) int16."""
        values = slots.empty((len(indices), *SHAPES[self._column]), self._dtype())
        for out, index in zip(values.numpy(), indices, strict=True):
            chunk, numbers = self._find(index)
            out.reshape(-1)[:] = np.frombuffer(chunk.read(numbers[0]), out.dtype)
        return values

    def _dtype(self) -> torch.dtype:
        """Type of a sound's numbers."""
        if self._column == "pcm":
            return torch.int16
        is_half = self._chunks and self._chunks[0].width == 2 * FRAMES * N_MELS
        return torch.float16 if is_half else torch.float32


@dataclass(frozen=True)
class PreparedSounds:
    """Sounds as a network takes them, computed from the clips' samples when they are read.

    `prepare` takes mono sound at 16 kHz in [-1, 1], (n, 16000), and gives (n, …).
    """

    pcm: Sounds
    prepare: Callable[[Tensor], Tensor]

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.pcm)

    def sounds(self, indices: Indices) -> Tensor:
        """Prepared sounds of some clips: (n, …), float16."""
        return self.prepare(self.pcm.sounds(indices) * PCM_SCALE).half()


def open_column(rows: pa.Table, folder: Path, column: Column, mapped: Path | None) -> ClipColumn:
    """One column of the clips in `rows`, in their order.

    Parameters
    ----------
    rows : Table
        Rows of an index.
    folder : Path
        Folder of the tables of a stage: clips (frames, pcm) or spectrograms (log_mel).
    column : str
        frames, pcm or log_mel.
    mapped : Path, optional
        Folder of the mapped files, which are written if they are missing. None: the column is read
        into memory, for few clips.

    Returns
    -------
    ClipColumn
        `column[n]` is a clip's list of JPEG frames, or its array of samples or log-mels;
        `column.sounds(indices)` is a tensor of several. A copy for another process contains only
        paths.

    Raises
    ------
    UserError
        If the tables hold other clips at these places than the index says, or are damaged.
    """
    return ClipColumn(rows, folder, column, mapped)


def _mapped_files(rows: pa.Table, folder: Path, column: Column, mapped: Path) -> dict[int, Path]:
    """The mapped file of each shard; missing ones are written."""
    shards = np.unique(rows["shard"].to_numpy()).tolist()
    sources = dict(zip(shards, clip_reader.files(rows, folder), strict=True))
    place = mapped / "-".join(folder.parts[-2:])
    files = {}
    for shard, source in sources.items():
        digest = checkpoints.fingerprint([source], column)
        files[shard] = place / f"{source.stem}.{column}.{digest}.arrow"
    missing = [shard for shard in shards if not files[shard].exists()]
    SystemRandom().shuffle(missing)  # processes that start together write different files
    quiet = not missing or not distributed.is_main_process()
    for shard in progress(missing, f"mapped {column}", quiet=quiet):
        if not files[shard].exists():
            _write(tables.batches(sources[shard], ["clip_id", column]), files[shard])
            _delete_old(files[shard], f"{sources[shard].stem}.{column}.")
    return files


def _write(batches: Iterable[pa.RecordBatch], out: Path) -> None:
    """Write an Arrow file under a temporary name, and rename it; the last of several writers wins.

    `tables.atomic_write` would delete the unfinished file of another process.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.name}.{token_hex(4)}.part")
    batches = iter(batches)
    first = next(batches)
    try:
        with pa.OSFile(str(part), "wb") as file, pa.ipc.new_file(file, first.schema) as writer:
            writer.write_batch(first)
            for batch in batches:
                writer.write_batch(batch)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _delete_old(current: Path, prefix: str) -> None:
    """Delete the files of the table's earlier contents, and unfinished files of killed processes.

    A process that has mapped a deleted file can still read it.
    """
    for path in current.parent.iterdir():
        is_old = path.suffix == ".arrow" and path != current
        is_leftover = path.suffix == ".part" and _age_s(path) > LEFTOVER_S
        if path.name.startswith(prefix) and (is_old or is_leftover):
            path.unlink(missing_ok=True)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
