"""What each stage cost, as a page of the report.

python -m spm.score.costs --config '{}' --logs logs --index clips.parquet --markdown-table costs.md --page costs.html
"""

from pathlib import Path

import pyarrow.parquet as pq

from spm.base import costs, stage, tables
from spm.base.config import Section
from spm.score import html


def run(config: Section, *, logs: Path, index: Path, markdown_table: Path, page: Path) -> None:
    """Write the table twice; times differ from run to run, and so do its bytes."""
    text = "\n".join(costs.table(costs.read(logs), pq.read_metadata(index).num_rows)) + "\n"
    for out, content in ((markdown_table, text), (page, html.page("costs", html.of_markdown(text)))):
        with tables.whole(out) as part:
            part.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
