"""The shards of a manifest, with a digest of each shard's rows, kept from one call to the next.

Snakemake reads its rules again in every job, and a manifest may have millions of rows.
"""

import hashlib
import json
from pathlib import Path
from secrets import token_hex

from spm.base.digest import code_digest
from spm.base.shards import members
from spm.corpus import manifest


def shard_digests(path: Path, shards: int, cache: Path) -> dict[str, str]:
    """The digest of each shard's rows, by the name of the shard.

    Parameters
    ----------
    path : Path
        The manifest.
    shards : int
        The number of shards that it is cut into.
    cache : Path
        Folder for the result. A file's name has a digest of the manifest and of the code that
        reads it, so that a result is used only for the same manifest and code.

    Raises
    ------
    UserError
        As `manifest.read` does; then nothing is stored.
    """
    file = cache / f"{_manifest_digest(path)}-{shards}.json"
    if not file.is_file():
        # A video's position depends on other videos: it is no part of its row.
        rows = ({**vars(video), "position": None} for video in manifest.read(path))
        _store(file, members(rows, shards))
    digests: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return digests


def _manifest_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16] + code_digest(__name__)
    except OSError:
        return "unreadable"  # `manifest.read` raises the error that the user sees


def _store(file: Path, digests: dict[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{token_hex(4)}.part")
    part.write_text(json.dumps(digests), encoding="utf-8")
    part.replace(file)
