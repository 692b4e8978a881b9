import json

import pyarrow as pa
import pyarrow.parquet as pq

from spm.base.config import Section
from spm.report.costs import run


def test_the_costs_are_a_table_and_a_page(tmp_path):
    (tmp_path / "logs/corpus").mkdir(parents=True)
    (tmp_path / "logs/corpus/index.jsonl").write_text(
        json.dumps({"s": 2.0, "cpu_time": 1.5, "max_rss": 30.0}) + "\n"
    )
    pq.write_table(pa.table({"clip_id": ["a", "b", "c"]}), tmp_path / "index.parquet")
    out = {"markdown_table": tmp_path / "costs.md", "page": tmp_path / "costs.html"}
    run(Section(), logs=tmp_path / "logs", index=tmp_path / "index.parquet", **out)
    assert (
        out["markdown_table"].read_text().splitlines()[-1]
        == "| corpus/index | 1 | 2.0 | 2.0 | 1.5 | 30 | 1.5 |"
    )
    assert "<td" in out["page"].read_text()
