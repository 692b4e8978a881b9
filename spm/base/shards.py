"""Shard of a video: computed from the manifest alone, so that all jobs are known at once."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from zlib import crc32


def shard_of(key: str, shards: int) -> int:
    """Shard of a video, in [0, shards); the key is its id, or for windows that of their video."""
    return crc32(key.encode()) % shards


def name_of(shard: int) -> str:
    """Name of a shard in paths: four digits, so that names sort like numbers."""
    return f"{shard:04d}"


def table_of(folder: Path, shard: int) -> Path:
    """Path of the table of a shard in the folder of a stage."""
    return folder / f"{name_of(shard)}.parquet"


def membership(rows: Iterable[Mapping[str, object]]) -> str:
    """Digest of manifest rows; it depends on the content of the rows, not on their order."""
    lines = sorted(json.dumps(dict(row), sort_keys=True) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def members(rows: Iterable[tuple[str, Mapping[str, object]]], shards: int) -> dict[str, str]:
    """Names of the shards that have videos, each with the digest of its manifest rows.

    `rows` are manifest rows, each after the key of its shard.
    """
    rows_by_shard: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    for key, row in rows:
        rows_by_shard[name_of(shard_of(key, shards))].append(row)
    return {name: membership(shard_rows) for name, shard_rows in rows_by_shard.items()}
