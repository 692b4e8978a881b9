import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spm.base import schemas, tables
from spm.base.errors import UserError

ROW = {"epoch": [1], "split": ["train"], "name": ["loss"]}


def write_and_fail(out):
    with tables.writer(out, schemas.HISTORY) as write:
        write(**ROW, value=[0.5])
        raise RuntimeError


def write_while_another_writes(out):
    with tables.writer(out, schemas.HISTORY) as write_first:
        write_first(**ROW, value=[0.1])
        with tables.writer(out, schemas.HISTORY) as write_second:
            write_second(**ROW, value=[0.2])


def test_a_write_that_fails_leaves_no_table_and_no_temporary_file(tmp_path):
    out = tmp_path / "deep" / "t.parquet"
    with pytest.raises(RuntimeError):
        write_and_fail(out)
    assert list(out.parent.iterdir()) == []


def test_of_two_writers_of_one_table_the_later_wins_and_the_earlier_fails(tmp_path):
    out = tmp_path / "t.parquet"
    with pytest.raises(FileNotFoundError):
        write_while_another_writes(out)
    assert tables.read(out)["value"].to_pylist() == [0.2]
    assert list(tmp_path.iterdir()) == [out]


def test_a_temporary_file_of_a_killed_writer_is_deleted_by_the_next_writer(tmp_path):
    (tmp_path / "t.parquet.0123abcd.part").write_bytes(b"half of it")
    tables.write_rows(tmp_path / "t.parquet", schemas.HISTORY, [])
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_failed_rewrite_keeps_the_old_table(tmp_path):
    out = tmp_path / "t.parquet"
    row = {"epoch": 1, "split": "train", "name": "loss", "value": 0.5}
    tables.write_rows(out, schemas.HISTORY, [row])
    with pytest.raises(pa.ArrowInvalid):
        tables.write_rows(out, schemas.HISTORY, [{"epoch": "no number"}])
    assert tables.read(out)["value"].to_pylist() == [0.5]


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.text(max_size=4), st.floats(allow_nan=False)), max_size=20
    )
)
def test_rows_are_read_as_they_were_written_and_equal_rows_have_equal_bytes(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("tables")
    dicts = [
        {"epoch": epoch, "split": split, "name": "x", "value": value}
        for epoch, split, value in rows
    ]
    for name in "ab":
        tables.write_rows(folder / name, schemas.HISTORY, dicts)
    assert tables.read(folder / "a").to_pylist() == dicts
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


def test_columns_that_do_not_fit_the_schema_are_an_error(tmp_path):
    with (
        tables.writer(tmp_path / "t", schemas.HISTORY) as write,
        pytest.raises((KeyError, pa.ArrowInvalid)),
    ):
        write(epoch=[1])


def test_an_error_on_a_damaged_page_names_the_file_and_the_remedy(tmp_path):
    out = tmp_path / "t.parquet"
    rows = [{"epoch": n, "split": str(n * n), "name": "loss", "value": n / 7} for n in range(1000)]
    tables.write_rows(out, schemas.HISTORY, rows)
    content = bytearray(out.read_bytes())
    content[100:1100] = bytes(1000)
    out.write_bytes(content)
    message = r"t\.parquet is not a complete Parquet file.*delete it and run again"
    with pytest.raises(UserError, match=message):
        tables.read(out)
    with pytest.raises(UserError, match=message):
        list(tables.batches(out))


def test_an_error_on_an_incomplete_file_names_the_file_and_the_remedy(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 half of it")
    message = r"t\.parquet is not a complete Parquet file.*delete it and run again"
    with pytest.raises(UserError, match=message):
        tables.read(tmp_path / "t.parquet")
