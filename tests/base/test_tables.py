import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spm.base import tables
from spm.base.config import UserError

values = {
    "string": st.text(max_size=5),
    "int32": st.integers(-9, 9),
    "double": st.floats(0, 1),
    "float": st.just(0.5),
}


def test_a_table_that_fails_midway_leaves_neither_itself_nor_its_part(tmp_path):
    out = tmp_path / "deep" / "t.parquet"
    with pytest.raises(RuntimeError), tables.writer(out, tables.HISTORY) as write:
        write(epoch=[1], split=["train"], name=["loss"], value=[0.5])
        raise RuntimeError
    assert list(out.parent.iterdir()) == []


def test_of_two_that_write_one_table_the_later_wins_and_the_earlier_fails(tmp_path):
    out, row = tmp_path / "t.parquet", {"epoch": [1], "split": ["train"], "name": ["loss"]}
    with pytest.raises(FileNotFoundError), tables.writer(out, tables.HISTORY) as orphan:
        orphan(**row, value=[0.1])
        with tables.writer(out, tables.HISTORY) as write:
            write(**row, value=[0.2])
    assert tables.read(out)["value"].to_pylist() == [0.2]
    assert list(tmp_path.iterdir()) == [out]


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path):
    (tmp_path / "t.parquet.0123abcd.part").write_bytes(b"half of it")
    tables.write_rows(tmp_path / "t.parquet", tables.HISTORY, [])
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_failed_rewrite_keeps_the_old_table(tmp_path):
    out = tmp_path / "t.parquet"
    tables.write_rows(
        out, tables.HISTORY, [{"epoch": 1, "split": "train", "name": "loss", "value": 0.5}]
    )
    with pytest.raises(pa.ArrowInvalid):
        tables.write_rows(out, tables.HISTORY, [{"epoch": "no number"}])
    assert tables.read(out)["value"].to_pylist() == [0.5]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.text(max_size=4), st.floats(allow_nan=False)), max_size=20
    )
)
def test_rows_come_back_as_they_went_and_equal_rows_have_equal_bytes(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("tables")
    dicts = [
        {"epoch": epoch, "split": split, "name": "x", "value": value}
        for epoch, split, value in rows
    ]
    for name in "ab":
        tables.write_rows(folder / name, tables.HISTORY, dicts)
    assert tables.read(folder / "a").to_pylist() == dicts
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


def test_a_table_of_another_schema_is_refused(tmp_path):
    with (
        pytest.raises((KeyError, pa.ArrowInvalid)),
        tables.writer(tmp_path / "t", tables.HISTORY) as write,
    ):
        write(epoch=[1])


def test_a_broken_page_is_named_like_a_broken_file(tmp_path):
    out = tmp_path / "t.parquet"
    rows = [{"epoch": n, "split": str(n * n), "name": "loss", "value": n / 7} for n in range(1000)]
    tables.write_rows(out, tables.HISTORY, rows)
    content = bytearray(out.read_bytes())
    content[100:1100] = bytes(1000)
    out.write_bytes(content)
    with pytest.raises(
        UserError, match=r"t\.parquet is not a whole Parquet file.*delete it and run again"
    ):
        tables.read(out)
    with pytest.raises(UserError, match=r"t\.parquet is not a whole"):
        list(tables.batches(out))


def test_a_broken_file_is_named_with_its_remedy(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 half of it")
    with pytest.raises(
        UserError, match=r"t\.parquet is not a whole Parquet file.*delete it and run again"
    ):
        tables.read(tmp_path / "t.parquet")
