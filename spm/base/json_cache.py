"""What was read from a large file, kept as JSON from one process to the next.

Snakemake reads its rules again in every job, and a list of videos may have millions of rows.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from spm.base.digest import code_digest
from spm.base.file_digest import file_digest
from spm.base.files import atomic_write


def cached(path: Path, name: str, module: str, cache: Path, compute: Callable[[], Any]) -> Any:
    """What `compute` makes of a file: from the cache, if file and code are the same.

    Parameters
    ----------
    path : Path
        The file. If it can't be read, `compute` raises the error that the user sees.
    name : str
        Distinguishes results of the same file.
    module : str
        The module that reads the file: its code is part of the key.
    cache : Path
        Folder of the results.
    compute : callable
        Returns a value for JSON, in which tuples become lists. What it raises is passed on; then
        nothing is stored.
    """
    file = cache / f"{_digest(path)}{code_digest(module)}-{name}.json"
    with suppress(OSError, ValueError):  # without the file, or if it is damaged
        return _load(file)
    value = compute()
    with suppress(OSError):  # where the folder is read-only, the file is read again next time
        _store(file, value)
    return value


def _load(file: Path) -> Any:
    """The value of a cached file, whose first line is the digest of the others."""
    digest, _, text = file.read_text(encoding="utf-8").partition("\n")
    if digest != hashlib.sha256(text.encode()).hexdigest():
        raise ValueError("not complete")
    return json.loads(text)


def _store(file: Path, value: Any) -> None:
    text = json.dumps(value)
    with atomic_write(file) as part:
        part.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}", encoding="utf-8")


def _digest(path: Path) -> str:
    try:
        return file_digest(path)[:16]
    except OSError:
        return "unreadable"
