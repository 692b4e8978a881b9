from spm.base import schemas, tables
from spm.learn.checkpoints import fingerprint


def test_the_fingerprint_depends_on_content_and_settings(tmp_path):
    table = tmp_path / "t.parquet"
    tables.write_rows(table, schemas.HISTORY, [{"epoch": 1, "value": 1.0}])
    first = fingerprint([table], "{}")
    assert fingerprint([table], "{}") == first
    assert fingerprint([table], '{"lr": 1}') != first
    tables.write_rows(table, schemas.HISTORY, [{"epoch": 1, "value": 2.0}])
    assert fingerprint([table], "{}") != first
