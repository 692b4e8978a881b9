"""The report as one page."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from spm.base import csv_file
from spm.base.config import Section
from spm.report.overview import ENTRIES, LONG_ROWS, OPEN, data_of, run
from tests.support.project import ROOT

VERDICT = "solo, given boxes, adaptive: `spm` is better than the object prior."
FILM = '<figure><video src="data:,"></video><figcaption>{}</figcaption></figure>'


def write_scores(path: Path) -> None:
    about = {"testset": "solo", "box_source": "given", "protocol": "adaptive"}
    rows = []
    for name, trained, auc in (("spm", True, 0.43), ("zero-shot", False, 0.21)):
        interval = {"auc low": auc - 0.1, "auc high": auc + 0.1}
        counts = {"frames": 1708, "videos": 22}
        rows.append({"run": name, **about, "trained": trained, **counts, "auc": auc, **interval})
    csv_file.write(path, pd.DataFrame(rows))


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """One file for each part of the page, and the heat maps."""
    names = [entry.file.replace("*", "some") for entry in ENTRIES] + ["figures/heatmaps.png"]
    paths = [tmp_path / "results" / name for name in names]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
        elif path.suffix == ".html":
            path.write_text(f"<h1>Films</h1>{FILM.format('first')}\n{FILM.format('second')}")
        elif path.suffix == ".md":
            path.write_text(f"| | auc |\n|---|---|\n| number {number} | 0.5 |\n")
        else:
            path.write_text(
                "category,status,boxes\ncello,kept,8\ncello,low-score,3\nflute,kept,5\n"
            )
    return paths


def make(folder: Path, files: list[Path], verdict: str = VERDICT) -> str:
    (folder / "verdict.txt").write_text(verdict)
    (folder / "costs.md").write_text("| | s |\n|---|---|\n| train | 127 |\n")
    if not (folder / "scores.csv").exists():
        write_scores(folder / "scores.csv")
    about = {"verdict": folder / "verdict.txt", "costs": folder / "costs.md"}
    out = folder / "overview.html"
    run(Section(), scores=folder / "scores.csv", files=files, out=out, **about)
    return out.read_text()


def test_the_page_opens_on_the_answer_and_shows_every_file(tmp_path, files):
    page = make(tmp_path, files)
    sections = re.findall(r'<h2 id="\d">(.*?)</h2>', page)
    names = list(dict.fromkeys(entry.section for entry in ENTRIES))
    assert sections == ["The answer", *names, "Costs"]
    answer = page[page.index("The answer</h2>") : page.index("Corpus</h2>")]
    order = [
        answer.index(text) for text in ("better than", "0.430 [0.330, 0.530]", "<img", FILM[:30])
    ]
    assert order == sorted(order)
    assert "<strong>spm</strong>" in answer
    assert "1,708 frames of 22 videos" in answer
    assert answer.count("<video") == 1
    pictures = [path for path in files if path.suffix == ".png"]
    assert page.count('src="data:image/') == len(pictures)
    assert page.count("<video") == 2  # the first film is in the answer only
    assert "train" in page[page.index("Costs</h2>") :]


def test_every_part_has_its_title_and_a_visible_caption(tmp_path, files):
    page = make(tmp_path, files)
    for entry in ENTRIES:
        assert f"<h3>{entry.title.format('some')}</h3>" in page
    assert "Look for categories that lost their test videos" in " ".join(page.split())
    captions = {entry.caption for entry in ENTRIES if entry.caption}
    assert all((ROOT / "workflow/report" / name).is_file() for name in captions)
    assert "{{" not in page


def test_boxes_have_a_column_per_status_and_a_long_table_is_folded(tmp_path, files):
    (counts,) = (path for path in files if path.match("annotations/*.csv"))
    page = " ".join(make(tmp_path, [counts]).split())
    assert "<td>cello</td> <td>8</td> <td>3</td>" in page
    assert "<details>" not in page
    rows = [f"category{number},kept,1" for number in range(LONG_ROWS + 1)]
    csv_file.write_text(counts, "\n".join(["category,status,boxes", *rows, ""]))
    assert f"<summary>{LONG_ROWS + 1} rows</summary>" in make(tmp_path, [counts])


def test_long_tables_and_the_pictures_and_films_of_many_runs_are_folded(tmp_path):
    runs = [f"run{number}" for number in range(OPEN + 3)]
    sheets = [tmp_path / f"best_worst/{run}.png" for run in runs]
    films, scores = tmp_path / "overlay_videos/o.html", tmp_path / "tables/scores.md"
    for path in (*sheets, films, scores):
        path.parent.mkdir(exist_ok=True)
    for path in sheets:
        Image.new("RGB", (8, 8)).save(path)
    films.write_text("".join(map(FILM.format, runs)))
    rows = "".join(f"| {number} | 0.5 |\n" for number in range(LONG_ROWS + 1))
    scores.write_text(
        f"## Verdict\n\n- `x` is better.\n\n## Scores\n\n| | auc |\n|---|---|\n{rows}"
    )
    page = make(tmp_path, [*sheets, films, scores])
    assert re.findall("<summary>(.*?)</summary>", page) == ["41 rows", "3 more", "2 more"]
    assert "is better." not in page  # the answer has the verdicts
    assert "<h4>Scores</h4>" in page
    titles = page.index("Best and worst of run3"), page.index("Best and worst of run4")
    assert titles[0] < page.index("3 more") < titles[1]
    assert " ".join(page.split()).count("what the worst frames have in common") == 1
    assert page.count("<video") == len(runs)


def test_the_verdict_on_the_best_run_comes_first(tmp_path):
    verdicts = [VERDICT.replace("spm", run) for run in ("zero-shot", "other", "spm")]
    page = make(tmp_path, [], "\n".join(verdicts))
    order = [page.index(f"<code>{run}</code> is") for run in ("spm", "zero-shot", "other")]
    assert order == sorted(order)


def test_a_photo_is_stored_as_webp_and_a_drawing_as_the_smaller_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    assert data_of(tmp_path / "photo.png").startswith("data:image/webp;base64,")
    Image.new("1", (4, 4)).save(tmp_path / "drawing.png")
    assert data_of(tmp_path / "drawing.png").startswith("data:image/")


def test_without_boxes_the_page_says_that_there_are_no_scores(tmp_path, files):
    columns = ["run", "testset", "box_source", "protocol", "trained"]
    csv_file.write(tmp_path / "scores.csv", pd.DataFrame(columns=columns))
    assert "No scores: there are no boxes" in make(tmp_path, files, verdict="")


def test_many_verdicts_are_folded_behind_the_table(tmp_path, files):
    page = make(tmp_path, files, verdict="".join(f"Verdict {n}.\n" for n in range(20)))
    answer = page[: page.index("Corpus</h2>")]
    order = ["Verdict 3.", "zero-shot", "<details><summary>16 more sentences", "Verdict 4."]
    places = [answer.index(text) for text in order]
    assert places == sorted(places)


def test_the_page_needs_no_other_file_and_fits_a_phone(tmp_path, files):
    page = make(tmp_path, files)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert 'name="viewport"' in page
