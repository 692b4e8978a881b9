"""What each stage cost, as a page of the report.

python -m spm.report.costs --config '{}' --logs logs --index clips.parquet --markdown-table costs.md --page costs.html
"""

from pathlib import Path

import pyarrow.parquet as pq

from spm.base import stage, tables
from spm.base.config import Section
from spm.report import html, stage_costs


def run(config: Section, *, logs: Path, index: Path, markdown_table: Path, page: Path) -> None:
    """Write the table twice; times differ from run to run, and so do its bytes."""
    text = (
        "\n".join(stage_costs.table(stage_costs.read(logs), pq.read_metadata(index).num_rows))
        + "\n"
    )
    for out, content in (
        (markdown_table, text),
        (page, html.page("costs", html.of_markdown(text))),
    ):
        with tables.atomic_write(out) as part:
            part.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
