"""Frames and sounds of clips, for the pages.

A clip is found by its id, never by its place in a table: the workflow may run while a page is open,
and write the clips in another order.
"""

import io
import wave
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from spm.base.constants import SAMPLE_BYTES, SAMPLE_RATE_HZ
from spm.base.errors import UserError
from spm.base.shards import table_of
from spm.boxes.formats.frames import BoxRow
from spm.boxes.review.file_state import Signature, signature_of

CACHED_GROUPS = 9  # columns of row groups kept in memory; a group holds about one video
SAME_TIME_S = 1e-3
REMEDY = "the clips have changed since this page was opened: run the workflow, then spm review"


class ClipTable(NamedTuple):
    """The row groups of the clips in one version of a table."""

    signature: Signature | None
    groups: dict[str, int]  # by clip_id


class ClipMedia:
    """Frames and sounds of clips, read from the shards' tables; the last few videos are cached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = Lock()
        self.cache: OrderedDict[tuple[Path, int, str], dict[str, pa.Scalar]] = OrderedDict()
        self.tables: dict[Path, ClipTable] = {}

    def frame(self, box: BoxRow) -> bytes:
        """The JPEG of the box's frame.

        Raises
        ------
        UserError
            If the clip has no such frame, or one of another time.
        """
        times_s = self._value(box, "frame_time_s").as_py()
        number = box["frame"]
        if number >= len(times_s) or abs(times_s[number] - box["time_s"]) > SAME_TIME_S:
            raise UserError(f"{box['clip_id']}: no frame at {box['time_s']:.3f} s: {REMEDY}")
        jpeg: bytes = self._value(box, "frames")[number].as_py()
        return jpeg

    def sound(self, box: BoxRow) -> bytes:
        """The sound of the box's clip, as a WAV file."""
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(SAMPLE_BYTES)
            file.setframerate(SAMPLE_RATE_HZ)
            file.writeframes(self._value(box, "pcm").as_py())
        return out.getvalue()

    def _value(self, box: BoxRow, column: str) -> pa.Scalar:
        """The value of a column for the box's clip; its row group stays in the cache."""
        path, clip_id = table_of(self.folder, box["shard"]), box["clip_id"]
        with self.lock:
            group = self._groups(path).get(clip_id)
            values = {} if group is None else self._column(path, group, column)
            if clip_id not in values:
                raise UserError(f"{path} has no clip {clip_id}: {REMEDY}")
            return values[clip_id]

    def _groups(self, path: Path) -> dict[str, int]:
        """Row groups of a table's clips; they are read again only if the table has changed."""
        signature = signature_of(path)
        known = self.tables.get(path)
        if known is None or known.signature != signature:
            for key in [key for key in self.cache if key[0] == path]:
                del self.cache[key]
            known = self.tables[path] = ClipTable(signature, _read_groups(path))
        return known.groups

    def _column(self, path: Path, group: int, column: str) -> dict[str, pa.Scalar]:
        """The values of a row group's column, by clip_id."""
        key = (path, group, column)
        if key not in self.cache:
            table = pq.ParquetFile(path).read_row_group(group, ["clip_id", column])
            ids = table["clip_id"].to_pylist()
            self.cache[key] = dict(zip(ids, table[column], strict=True))
        self.cache.move_to_end(key)
        while len(self.cache) > CACHED_GROUPS:
            self.cache.popitem(last=False)
        return self.cache[key]


def _read_groups(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    file, groups = pq.ParquetFile(path), dict[str, int]()
    for group in range(file.num_row_groups):
        ids = file.read_row_group(group, ["clip_id"])["clip_id"].to_pylist()
        groups |= dict.fromkeys(ids, group)
    return groups
