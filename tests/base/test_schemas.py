"""Every column of every table is said, once, and docs/tables.md says the same."""

import pyarrow as pa
import pytest

from spm.base import schemas, tables
from spm.corpus import spectrograms
from tests.support.project import ROOT


def test_the_page_is_made_of_the_schemas():
    page = (ROOT / "docs/tables.md").read_text()
    assert page == "\n".join(schemas.page()) + "\n", (
        "run: python -m spm.base.schemas > docs/tables.md"
    )


def test_every_schema_is_a_table_of_the_page():
    schemas = {name for name, each in vars(tables).items() if isinstance(each, pa.Schema)}
    listed = [table.schema for table in schemas.TABLES]
    assert {name for name in schemas if getattr(tables, name) in listed} == schemas


@pytest.mark.parametrize("table", schemas.TABLES, ids=lambda table: table.name)
def test_every_column_has_a_meaning(table):
    assert all(schemas.meaning(table, field.name) for field in table.schema)


def test_no_meaning_is_left_of_a_column_that_is_gone():
    there = {(table.name, field.name) for table in schemas.TABLES for field in table.schema}
    assert schemas.HERE.keys() <= there
    assert schemas.COLUMNS.keys() <= {column for _, column in there}


def test_a_seconds_log_mel_has_the_size_that_is_said():
    assert (schemas.FRAMES, schemas.MELS) == (spectrograms.FRAMES, spectrograms.N_MELS)
