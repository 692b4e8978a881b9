"""Frames and sounds of clips, for the pages."""

import io
import wave
from bisect import bisect_right
from collections import OrderedDict
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spm.base.constants import SAMPLE_BYTES, SAMPLE_RATE_HZ
from spm.base.shards import table_of
from spm.boxes.formats.frames import BoxRow

CACHED_GROUPS = 6  # row groups of clips kept in memory; a group holds about one video


class ClipMedia:
    """Frames and sounds of clips, read from the shards' tables; the last few videos are cached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = Lock()
        self.cache: OrderedDict[tuple[int, int, str], pa.ChunkedArray] = OrderedDict()
        self.group_starts: dict[int, list[int]] = {}  # shard → first row of each row group

    def frame(self, box: BoxRow) -> bytes:
        """The JPEG of the box's frame."""
        jpeg: bytes = self._value(box, "frames")[box["frame"]].as_py()
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

    def _value(self, box: BoxRow, column: str) -> Any:
        """The value of a column for the box's clip; its row group stays in the cache."""
        shard = box["shard"]
        with self.lock:
            file = pq.ParquetFile(table_of(self.folder, shard))
            starts = self.group_starts.setdefault(shard, _group_starts(file))
            group = bisect_right(starts, box["row"]) - 1
            key = (shard, group, column)
            if key not in self.cache:
                self.cache[key] = file.read_row_group(group, [column])[column]
            self.cache.move_to_end(key)
            while len(self.cache) > CACHED_GROUPS:
                self.cache.popitem(last=False)
            return self.cache[key][box["row"] - starts[group]]


def _group_starts(file: pq.ParquetFile) -> list[int]:
    lengths = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    return list(accumulate(lengths, initial=0))[:-1]
