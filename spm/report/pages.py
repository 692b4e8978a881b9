"""The Markdown tables of the results as HTML pages, which the report can show.

python -m spm.report.pages --config '{}' --markdown results/report/tables/scores.md … --out pages
"""

from pathlib import Path

from spm.base import stage, tables
from spm.base.config import Section
from spm.report import html


def run(config: Section, *, markdown: list[Path], out: Path) -> None:
    """Write `<name>.html` into the folder `out` for each `<name>.md`."""
    for path in markdown:
        body = html.from_markdown(path.read_text(encoding="utf-8"))
        with tables.atomic_write(out / f"{path.stem}.html") as part:
            part.write_text(html.page(path.stem, body), encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
