"""Each column is described once, and docs/tables.md is printed from the descriptions."""

import pytest

from spm.base import schemas
from spm.base.schemas import Column, Table
from spm.base.statuses import FetchStatus, VideoStatus
from spm.boxes.statuses import BoxStatus, ImageBoxStatus, ImageStatus
from spm.workflow import tables_reference
from tests.support.project import ROOT


def test_the_page_on_tables_is_printed_from_the_schemas():
    page = (ROOT / "docs/tables.md").read_text()
    assert page == tables_reference.text(), "run: make schema"


def test_every_table_of_the_module_is_on_the_page():
    tables = [value for value in vars(schemas).values() if isinstance(value, Table)]
    assert len(tables) > 10
    assert [table.name for table in tables if table not in schemas.TABLES] == []


@pytest.mark.parametrize("table", schemas.TABLES, ids=lambda table: table.name)
def test_every_table_and_column_has_a_description_in_sentences(table):
    descriptions = [table.description, *(column.description for column in table.columns)]
    assert [text for text in descriptions if not (text and text.endswith("."))] == []


def test_every_shared_column_is_a_column_of_a_table():
    columns = [value for value in vars(schemas).values() if isinstance(value, Column)]
    assert len(columns) > 10
    listed = {column for table in schemas.TABLES for column in table.columns}
    assert [column.name for column in columns if column not in listed] == []


def test_a_schema_is_names_and_types_without_metadata():
    schema = schemas.CLUSTERS.schema
    assert [(field.name, str(field.type)) for field in schema] == [
        ("clip_id", "string"),
        ("pseudo_label", "int32"),
        ("similarity", "float"),
    ]
    assert schema.metadata is None
    assert schemas.CLUSTERS.names == schema.names


def test_spectrograms_have_201_times_of_64_mel_bands():
    for dtype, number_bytes in (("float32", 4), ("float16", 2)):
        column = schemas.spectrograms(dtype).schema.field("log_mel").type
        assert column.byte_width == 201 * 64 * number_bytes


@pytest.mark.parametrize(
    ("table", "statuses"),
    [
        (schemas.LEDGER, set(FetchStatus)),
        (schemas.VIDEOS, set(VideoStatus)),
        (schemas.OPENIMAGES, set(ImageStatus) - {ImageStatus.WANTED}),
        (schemas.OPENIMAGES_BOXES, set(ImageBoxStatus)),
        (schemas.ANNOTATIONS, set(BoxStatus) - {BoxStatus.NOT_SCORABLE}),
    ],
)
def test_the_description_of_a_status_lists_every_value(table, statuses):
    (column,) = (column for column in table.columns if column.name == "status")
    assert {status for status in statuses if f"`{status}`" not in column.description} == set()
