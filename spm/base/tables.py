"""Reading and writing of tables (Parquet); their schemas are in spm.base.schemas.

A table is complete or absent. It is sorted by its key and has no timestamps, so that equal content
gives equal bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spm.base.errors import UserError
from spm.base.files import atomic_write as atomic_write
from spm.base.schemas import Table

# With checksums, a flipped bit on the disk raises an error instead of giving another number.
PARQUET_OPTIONS = {"compression": "zstd", "write_page_checksum": True}
BATCH_ROWS = 256


def batches(
    path: Path,
    columns: Sequence[str] | None = None,
    rows: int = BATCH_ROWS,
    buffer_bytes: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Read a table in batches, so that memory does not grow with the length of the table.

    A row group is in memory as it is stored, unless `buffer_bytes` says how much of it may be.
    """
    with readable(path):
        file = pq.ParquetFile(path, page_checksum_verification=True, buffer_size=buffer_bytes)
        yield from file.iter_batches(rows, columns=columns)


def read(paths: Path | Sequence[Path], columns: Sequence[str] | None = None) -> pa.Table:
    """Read one table, or the tables of several shards, one after the other."""
    shards = [paths] if isinstance(paths, Path) else paths
    return pa.concat_tables([_read_file(path, columns) for path in shards])


def _read_file(path: Path, columns: Sequence[str] | None) -> pa.Table:
    with readable(path):
        return pq.ParquetFile(path, page_checksum_verification=True).read(columns=columns)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn Arrow's errors of a damaged file into an error that names the file.

    For a damaged page, Arrow raises an `OSError` without `errno`; one with `errno` comes from the
    operating system and passes.
    """
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            raise UserError(
                f"{path} is not there: expected a table that the workflow has written: run it again"
            ) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise
        message = str(error).splitlines()[0]
        raise UserError(
            f"{path} is not a complete Parquet file ({message}): delete it and run again"
        ) from error


@contextmanager
def writer(path: Path, table: Table) -> Iterator[Callable[..., None]]:
    """Write a table batch by batch: `write(column=values, …)` appends rows.

    Only text columns get a dictionary: their values repeat. A dictionary of images or numbers would
    cost time and save no space.
    """
    schema = table.schema
    text_columns = [field.name for field in schema if pa.types.is_string(field.type)]
    with (
        atomic_write(path) as part,
        pq.ParquetWriter(part, schema, use_dictionary=text_columns, **PARQUET_OPTIONS) as file,
    ):
        yield lambda **columns: file.write_table(pa.table(columns, schema))


def write_rows(path: Path, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Write a small table from its rows."""
    with atomic_write(path) as part:
        pq.write_table(pa.Table.from_pylist(list(rows), table.schema), part, **PARQUET_OPTIONS)
