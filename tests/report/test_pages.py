from spm.base.config import Section
from spm.report.pages import run


def test_a_markdown_table_becomes_an_html_table(tmp_path):
    table = "## solo\n\n| | auc |\n|---|---|\n| **spm** | 0.5 [0.4, 0.6] |\n"
    (tmp_path / "scores.md").write_text(table)
    run(Section(), markdown=[tmp_path / "scores.md"], out=tmp_path / "pages")
    page = (tmp_path / "pages/scores.html").read_text()
    assert "<title>scores</title>" in page
    assert "<td><strong>spm</strong></td>\n<td>0.5 [0.4, 0.6]</td>" in page
