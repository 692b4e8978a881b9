"""Whether all files of a project are as they were written: media, tables, weights, JSON files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spm.base import json_file, tables
from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.base.statuses import FetchStatus
from spm.corpus.fetched_files import content_fault

WEIGHTS_DIGEST = "sha256"  # key of the JSON file beside a file of weights


class Checked(NamedTuple):
    """A file, and what is wrong with it."""

    path: Path
    fault: str  # one line; empty: nothing


def check_project(results: Path, *, quick: bool = False) -> Iterator[Checked]:
    """Check each file of a project; the store is the one that the ledgers name.

    Parameters
    ----------
    results : Path
        Folder of the results, in the folder in which the workflow runs.
    quick : bool
        Of media and weights, compare only what needs no reading of the whole file.
    """
    kept = results.absolute().parent / "state" / "finished"
    for folder in (results, kept):
        for path in sorted(folder.rglob("*")):
            if check := CHECKS.get(path.suffix):
                yield Checked(path, check(path, quick))
    for ledger in sorted((results / "corpus" / "fetch").glob("*.parquet")):
        yield from _check_media(ledger, results.absolute().parent, quick)


def _check_media(ledger: Path, folder: Path, quick: bool) -> Iterator[Checked]:
    try:
        rows = tables.read(ledger).to_pylist()
    except UserError:
        return  # the table itself is a fault
    for row in rows:
        if row["status"] == FetchStatus.OK:
            yield Checked(folder / row["path"], content_fault(row, folder, quick=quick))


def _check_table(path: Path, quick: bool) -> str:
    """A table is read with the checksums of its pages; `quick`: only its last bytes."""
    try:
        for _ in tables.batches(path, [] if quick else None):
            pass
    except UserError as error:
        return str(error)
    return ""


def _check_weights(path: Path, quick: bool) -> str:
    try:
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{path} has no complete JSON file beside it ({error}): delete it and run again"
    if quick or about.get(WEIGHTS_DIGEST) in (None, file_digest(path)):
        return ""
    return f"{path}: its SHA-256 differs from that in its JSON file: delete both and run again"


def _check_json(path: Path, quick: bool) -> str:
    try:
        json_file.read(path, signed=False)
    except UserError as error:
        return str(error)
    return ""


CHECKS = {".parquet": _check_table, ".safetensors": _check_weights, ".json": _check_json}
