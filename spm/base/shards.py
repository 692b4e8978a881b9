"""Which shard a video belongs to: known from its id alone, so the workflow knows its jobs before any has run."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from zlib import crc32


def shard_of(video_id: str, shards: int) -> int:
    """The shard of a video, in [0, shards)."""
    return crc32(video_id.encode()) % shards


def name_of(shard: int) -> str:
    """How a shard is written in file names: four digits, so that listings sort."""
    return f"{shard:04d}"


def table_of(folder: Path, shard: int) -> Path:
    """Where a stage's table of one shard lies in the stage's folder."""
    return folder / f"{name_of(shard)}.parquet"


def membership(rows: Iterable[Mapping[str, object]]) -> str:
    """Digest of a shard's manifest rows: the same in any order, another when any row changes."""
    lines = sorted(json.dumps(dict(row), sort_keys=True) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def members(rows: Iterable[Mapping[str, object]], shards: int) -> dict[str, str]:
    """The name of every shard that has videos, with the digest of its rows."""
    found: dict[str, list[Mapping[str, object]]] = {}
    for row in rows:
        found.setdefault(name_of(shard_of(str(row["video_id"]), shards)), []).append(row)
    return {name: membership(several) for name, several in found.items()}
