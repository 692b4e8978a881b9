"""The videos of a manifest, and the digest of each shard's rows, kept from one call to the next."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from spm.base.file_digest import known_digests
from spm.base.json_cache import cached
from spm.base.shards import members, name_of, shard_of
from spm.base.statuses import Kind, Split
from spm.corpus import manifest
from spm.corpus.manifest import Video
from spm.corpus.windows import WINDOW_COLUMNS

NAMES = [field.name for field in fields(Video)]


def videos(path: Path, cache: Path) -> list[Video]:
    """All videos of a manifest, as `manifest.read` returns them.

    Parameters
    ----------
    path : Path
        The manifest.
    cache : Path
        Folder in which the rows are kept; they are used only for the same manifest and code.

    Raises
    ------
    UserError
        As `manifest.read` does; then nothing is stored.
    """
    rows = cached(path, "videos", __name__, cache, lambda: list(map(_row, manifest.read(path))))
    return list(map(_video, rows))


def _row(video: Video) -> list[Any]:
    return [getattr(video, name) for name in NAMES]


def _video(row: Sequence[Any]) -> Video:
    values = dict(zip(NAMES, row, strict=True))
    values["kind"], values["categories"] = Kind(values["kind"]), tuple(values["categories"])
    values["split"] = Split(values["split"]) if values["split"] else None
    return Video(**values)


def rows_digest(path: Path, cache: Path) -> str:
    """A digest of all rows in their order; a file that says the same in another form has the same.

    Parameters and errors are those of `videos`.
    """

    def compute() -> str:
        rows = json.dumps(list(map(_row, videos(path, cache))))
        return hashlib.sha256(rows.encode()).hexdigest()[:16]

    digest: str = cached(path, "rows", __name__, cache, compute)
    return digest


def facts(video: Video) -> dict[str, object]:
    """What the digest of a shard counts of a video.

    Its position depends on other videos: it is no part of its row. Nor are columns that the
    manifest leaves out.
    """
    row = {**vars(video), "position": None}
    return {key: row[key] for key in row if key not in WINDOW_COLUMNS or row[key] is not None}


def shard_digests(path: Path, shards: int, cache: Path) -> dict[str, str]:
    """The digest of each shard's rows, by the name of the shard.

    Parameters
    ----------
    path : Path
        The manifest.
    shards : int
        The number of shards that it is cut into.
    cache : Path
        Folder in which the digests are kept, as for `videos`.

    Raises
    ------
    UserError
        As `manifest.read` does; then nothing is stored.
    """

    def compute() -> dict[str, str]:
        return members(((video.shard_key, facts(video)) for video in videos(path, cache)), shards)

    digests: dict[str, str] = cached(path, f"{shards}-shards", __name__, cache, compute)
    return digests


def local_digest(path: Path, shards: int, shard: str, cache: Path) -> str:
    """Digest of the content of a shard's local videos; empty if there are none.

    Parameters are those of `shard_digests`, and the name of the shard.
    """

    def compute() -> dict[str, list[str]]:
        urls: dict[str, list[str]] = {}
        for video in videos(path, cache):
            if not video.flaw and not manifest.is_remote(manifest.address(video, path)):
                name = name_of(shard_of(video.shard_key, shards))
                urls.setdefault(name, []).append(video.url)
        return urls

    urls = cached(path, f"{shards}-local", __name__, cache, compute).get(shard, [])
    files = {url: manifest.resolve_url(url, path) for url in sorted(set(urls))}
    digests = known_digests(files.values(), cache / f"local-{shards}-{shard}.json")
    lines = [f"{url} {digests[file]}" for url, file in files.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] if lines else ""
