"""The pages of the report: tables as HTML, and the first page."""

from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from jinja2 import Environment

from spm.base import csv_file
from spm.base.config import Section
from spm.report.pages import run
from spm.workflow.report_plan import ReportPlan
from tests.support.project import ROOT


def test_a_markdown_table_becomes_an_html_table(tmp_path):
    table = "## solo\n\n| | auc |\n|---|---|\n| **spm** | 0.5 [0.4, 0.6] |\n"
    (tmp_path / "scores.md").write_text(table)
    run(Section(), markdown=[tmp_path / "scores.md"], out=tmp_path / "pages")
    page = (tmp_path / "pages/scores.html").read_text()
    assert "<title>scores</title>" in page
    assert "<td><strong>spm</strong></td>\n<td>0.5 [0.4, 0.6]</td>" in page


WARNING = 'admonition-title">Warning<'
FIRST_PAGE = (ROOT / "workflow/report/workflow.rst").read_text(encoding="utf-8")


def write_counts(folder, box_source, *rows):
    path = folder / f"results/boxes/annotations/{box_source}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    csv_file.write_text(path, "\n".join(["category,status,boxes", *rows, ""]))


@pytest.fixture
def first_page(tmp_path, monkeypatch):
    """Render the first page as Snakemake does, for a project with two box sources."""
    monkeypatch.chdir(tmp_path)

    def render():
        plan = ReportPlan(SimpleNamespace(box_sources=["given", "detector"]))
        names = ("corpus", "runs", "maps", "scores", "box_sources", "versions")
        config = {name: {} for name in names}
        config |= {"box_warnings": plan.box_warnings(), "verdicts": plan.verdicts()}
        environment = Environment(trim_blocks=True, lstrip_blocks=True)
        text = environment.from_string(FIRST_PAGE).render(snakemake=SimpleNamespace(config=config))
        settings = {"halt_level": 2}  # also a warning of docutils is an error
        return publish_parts(text, writer="html", settings_overrides=settings)["html_body"]

    return render


def test_the_first_page_warns_of_box_sources_of_which_many_boxes_are_rejected(first_page, tmp_path):
    assert WARNING not in first_page()  # no boxes are counted yet
    write_counts(tmp_path, "given", "cello,kept,8", "person,other-category,2")
    write_counts(tmp_path, "detector", "cello,kept,9", "cello,low-score,999")
    page = first_page()
    assert "2 of 10 given boxes are rejected: 2 other-category." in page
    assert page.count(WARNING) == 1
    write_counts(tmp_path, "given", "cello,kept,18", "person,other-category,2")
    assert WARNING not in first_page()


def test_the_first_page_has_the_verdict_on_each_run(first_page, tmp_path):
    assert "Verdict" not in first_page()  # nothing is scored yet
    file = tmp_path / "results/report/tables/verdict.txt"
    file.parent.mkdir(parents=True)
    file.write_text("solo: `a_b+prior` is better (Δ AUC +0.1 [-0.1, +0.2]).\nsolo: `b` is worse.\n")
    page = first_page()
    assert "<strong>Verdict</strong>" in page
    assert "is better (Δ AUC +0.1 [-0.1, +0.2])." in page
    assert ">a_b+prior<" in page
    assert page.count("<li>") == 2
