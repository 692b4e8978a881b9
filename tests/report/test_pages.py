from spm.base.config import Section
from spm.report.pages import run


def test_a_table_of_markdown_is_a_table_of_a_page(tmp_path):
    (tmp_path / "scores.md").write_text(
        "## solo\n\n| | auc |\n|---|---|\n| **spm** | 0.5 [0.4, 0.6] |\n"
    )
    run(Section(), markdown=[tmp_path / "scores.md"], out=tmp_path / "pages")
    page = (tmp_path / "pages/scores.html").read_text()
    assert "<title>scores</title>" in page
    assert "<td><strong>spm</strong></td>\n<td>0.5 [0.4, 0.6]</td>" in page
