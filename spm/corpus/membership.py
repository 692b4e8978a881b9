"""Which shards a list of videos has, with a digest of each one's rows: worked out once a list, however often asked.

Snakemake reads its rules anew in every job, and a list may have millions of rows.
"""

import hashlib
import json
from pathlib import Path
from secrets import token_hex

from spm.base.digest import code_digest
from spm.base.shards import members
from spm.corpus import manifest


def of_list(path: Path, shards: int, kept: Path) -> dict[str, str]:
    """The digest of every shard's rows, by the shard's name.

    Parameters
    ----------
    path : Path
        The manifest.
    shards : int
        How many shards it is cut into.
    kept : Path
        A folder for the answers, which are kept there under a digest of the list and of the code that reads it.

    Raises
    ------
    UserError
        As `manifest.read` does; then nothing is kept.
    """
    file = kept / f"{_digest(path)}-{shards}.json"
    if not file.is_file():
        rows = ({**vars(video), "position": None} for video in manifest.read(path))
        _keep(file, members(rows, shards))
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16] + code_digest(__name__)
    except OSError:
        return "unreadable"  # which `manifest.read` will say in its words


def _keep(file: Path, found: dict[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{token_hex(4)}.part")
    part.write_text(json.dumps(found), encoding="utf-8")
    part.replace(file)
