"""CSV files that people read and another stage reads too; beside each, a JSON file with its digest.

Half a CSV file is a CSV file. The digest tells it from the file that the stage has written.
"""

import csv
import hashlib
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from spm.base import json_file
from spm.base.errors import UserError
from spm.base.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

SHA256 = "sha256"


def write(path: Path, table: "pd.DataFrame") -> None:
    """Write a table, and the digest beside it: a file of the same name with the suffix .json."""
    write_text(path, table.to_csv(index=False))


def write_text(path: Path, text: str) -> None:
    """Write the text of a table, and its digest."""
    content = text.encode()
    json_file.write(path.with_suffix(".json"), {SHA256: hashlib.sha256(content).hexdigest()})
    with atomic_write(path) as part:
        part.write_bytes(content)


def read_text(path: Path, columns: Sequence[str]) -> str:
    """The text of a file that `write` wrote.

    Parameters
    ----------
    path : Path
        The CSV.
    columns : sequence of str
        Columns that it must have.

    Raises
    ------
    UserError
        If one of the two files is missing or damaged, or they do not belong together.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): run again") from error
    about = json_file.read(path.with_suffix(".json"))
    if about.get(SHA256) != hashlib.sha256(content).hexdigest():
        raise UserError(
            f"{path} is not complete, or was changed: its SHA-256 differs from the one in"
            f" {path.with_suffix('.json').name}: delete both files and run again"
        )
    text = content.decode()
    missing = set(columns) - set(next(csv.reader(StringIO(text)), []))
    if missing:
        raise UserError(f"{path} has no column {sorted(missing)[0]}: delete it and run again")
    return text


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of such a file, with all cells as text; see `read_text`."""
    return list(csv.DictReader(StringIO(read_text(path, columns))))


def has_digest(path: Path) -> bool:
    """Whether both files are there: results of earlier versions of spm have no digest."""
    return path.is_file() and path.with_suffix(".json").is_file()
