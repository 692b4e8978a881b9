"""Whether the files of videos are still those that were fetched."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spm.base.file_digest import file_digest
from spm.base.statuses import FetchStatus


def content_fault(row: Mapping[str, Any], folder: Path = Path(), *, quick: bool = False) -> str:
    """How the file of a video differs from the one that was fetched; empty if it does not.

    Parameters
    ----------
    row : mapping
        The row of the video in the ledger; only a fetched video has a file.
    folder : Path
        The folder in which the workflow runs.
    quick : bool
        Compare the size only.
    """
    if row["status"] != FetchStatus.OK:
        return ""
    path = folder / row["path"]
    if not path.is_file():
        fault = "is missing"
    elif path.stat().st_size != row["bytes"]:
        fault = f"has {path.stat().st_size} bytes, and not {row['bytes']} as when it was fetched"
    elif not quick and file_digest(path) != row["sha256"]:
        fault = "is not the file that was fetched (its SHA-256 differs from the ledger's)"
    else:
        return ""
    if row["extractor"] == "local":
        return f"{path} {fault}: restore it, or run the workflow again"
    return f"{path} {fault}: delete it, and fetch it again with `make retry`"
