"""docs/tables.md: every table of results/ with its columns, printed from spm.base.schemas.

python -m spm.workflow.generate
"""

from collections.abc import Iterator

import pyarrow as pa

from spm.base.digest import ROOT
from spm.base.schemas import TABLES, Table, first_with_columns

FILE = ROOT / "docs" / "tables.md"
HEAD = """# Tables

The tables that the workflow writes into `results/`. `make schema` prints this page from the
schemas in `spm/base/schemas.py`; [data.md](data.md) shows how to read the tables. Tables are sorted
by their key and have no timestamps. A star in a path stands for a shard, a run, a test set, a
source of boxes or a protocol.
"""
TYPE_NAMES = {
    "string": "text",
    "double": "float64",
    "float": "float32",
    "bool": "true or false",
}


def type_name(data_type: pa.DataType) -> str:
    """A column's type in words.

    >>> type_name(pa.list_(pa.float32()))
    'list of float32'
    """
    if isinstance(data_type, pa.ListType):
        return f"list of {type_name(data_type.value_type)}"
    if isinstance(data_type, pa.FixedSizeBinaryType):
        return f"binary, {data_type.byte_width:,} bytes"
    return TYPE_NAMES.get(str(data_type), str(data_type))


def _section(table: Table) -> Iterator[str]:
    yield f"\n## {table.name}\n"
    yield f"`results/{table.files}`. One row: {table.description[0].lower()}{table.description[1:]}"
    original = first_with_columns(table)
    if original is not table:
        yield f"The columns are those of [{original.name}](#{original.name})."
        return
    yield "\n| column | type | content |\n|---|---|---|"
    for column in table.columns:
        yield f"| `{column.name}` | {type_name(column.type)} | {column.description} |"


def text() -> str:
    """The page."""
    lines = [HEAD.rstrip()]
    for table in TABLES:
        lines += _section(table)
    return "\n".join(lines) + "\n"
