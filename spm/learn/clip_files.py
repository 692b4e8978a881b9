"""Columns of clips for random access, from Arrow files that are mapped into memory.

The Parquet tables of the stages are compressed, so that a clip can't be read alone. Each column
that a training reads is therefore written once to another folder, uncompressed, as one Arrow file
per table. All trainings and all processes share these files. Memory does not grow with them: the
operating system reads the parts that are used.

The name of a file contains a digest of its Parquet table. A changed table gets a new file, and the
old one is deleted. The whole folder may be deleted at any time; it is then written again.
"""

import mmap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from secrets import token_hex
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from spm.base import tables
from spm.base.constants import FRAMES, N_MELS, PCM_SCALE, SAMPLE_RATE_HZ
from spm.base.progress import progress
from spm.corpus import clip_reader
from spm.learn import checkpoints, distributed

Indices = Sequence[int] | np.ndarray | Tensor
Column = Literal["frames", "pcm", "log_mel"]
SHAPES = {"pcm": (SAMPLE_RATE_HZ,), "log_mel": (FRAMES, N_MELS)}
RELEASE_BYTES = 2**24  # read between two releases of the mapped pages
LEFTOVER_S = 3600  # age of an unfinished file that no process writes any more


class Sounds(Protocol):
    """Sounds of clips: a column of a table, or what a network makes of it."""

    def __len__(self) -> int:
        """Number of clips."""
        ...

    def sounds(self, indices: Indices) -> Tensor:
        """Sounds of some clips: (n, …)."""
        ...


class ClipColumn(Sequence[Any]):
    """One column of the clips in the rows of an index, in their order; see `open_column`."""

    def __init__(self, rows: pa.Table, folder: Path, column: Column, mapped: Path | None) -> None:
        rows = rows.select(["shard", "row", "clip_id"])
        self._source = (rows, folder, column, mapped)
        self._column: Column = column
        self._memories: list[mmap.mmap] = []
        self._bytes_read = 0
        if mapped is None or not rows.num_rows:
            self._places = np.arange(rows.num_rows)
            self._values = clip_reader.take_column(rows, folder, column) if len(rows) else []
        else:
            self._places, self._values = self._map(_mapped_files(rows, folder, column, mapped))

    def _map(self, files: dict[int, Path]) -> tuple[np.ndarray, pa.ChunkedArray]:
        """Map the files of the shards: the place of each clip, and the values of all clips."""
        parts, starts, start = [], np.zeros(max(files) + 1, int), 0
        rows, folder, _, _ = self._source
        for shard, path in files.items():
            part = self._open(path)
            parts.append(part)
            starts[shard], start = start, start + part.num_rows
        table = pa.concat_tables(parts)
        places = starts[rows["shard"].to_numpy()] + rows["row"].to_numpy()
        clip_ids = table["clip_id"].take(np.minimum(places, start - 1))
        clip_reader.require_clips(clip_ids, rows, folder)
        self._release()
        return places, table[self._column]

    def _open(self, path: Path) -> pa.Table:
        with path.open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._memories.append(memory)
        return pa.ipc.open_file(pa.py_buffer(memory)).read_all()

    def _release(self) -> None:
        """Take the mapped pages out of the process; the operating system may keep them cached."""
        for memory in self._memories:
            memory.madvise(mmap.MADV_DONTNEED)
        self._bytes_read = 0

    def _read(self, index: int) -> Any:
        """Arrow's value of a clip, which is not copied."""
        if self._bytes_read > RELEASE_BYTES:
            self._release()
        return self._values[int(self._places[index])]

    def __reduce__(self) -> tuple[Any, ...]:
        return ClipColumn, self._source

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        """A clip's frames (list of JPEG), sound (16000,) int16, or log-mel (201, 64)."""
        value = self._read(index)
        if self._column == "frames":
            frames = value.as_py()
            self._bytes_read += sum(map(len, frames))
            return frames
        if self._column == "pcm":
            array = np.frombuffer(value.as_buffer(), "<i2")
        else:
            number_bytes = value.type.byte_width // (FRAMES * N_MELS)
            array = np.frombuffer(value.as_buffer(), f"<f{number_bytes}").reshape(FRAMES, N_MELS)
        self._bytes_read += array.nbytes
        return array

    def frame(self, index: int, number: int) -> bytes:
        """The JPEG of one of a clip's frames."""
        return self._jpeg(self._read(index).values[number])

    def drawn_frame(self, index: int, draw: float) -> bytes:
        """One of a clip's frames; a draw in [0, 1) chooses it."""
        frames = self._read(index).values
        return self._jpeg(frames[int(draw * len(frames))])

    def _jpeg(self, value: pa.BinaryScalar) -> bytes:
        jpeg: bytes = value.as_py()
        self._bytes_read += len(jpeg)
        return jpeg

    def frame_counts(self) -> np.ndarray:
        """Number of frames of each clip, (clips,)."""
        if not len(self):
            return np.zeros(0, int)
        counts: np.ndarray = pc.list_value_length(self._values).to_numpy()[self._places]
        return counts

    def sounds(self, indices: Indices) -> Tensor:
        """Log-mels of some clips, (n, 201, 64) in dB, or their sound, (n, 16000) int16."""
        arrays = [self[index] for index in indices]
        if not arrays:
            return torch.empty(0, *SHAPES[self._column])
        return torch.from_numpy(np.stack(arrays))


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
