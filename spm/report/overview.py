"""The report as one page: first the answer, then what led to it. It needs no other file.

python -m spm.report.overview --config '{}' --verdict verdict.txt --scores scores.csv
    --files results/report/figures/heatmaps.png results/report/tables/scores.md … --costs costs.md
    --out overview.html

The files are what other stages made: pictures, tables and pages. Their captions are those of
Snakemake's report.
"""

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from docutils.core import publish_parts
from PIL import Image

from spm.base import csv_file, project_files, stage, tables
from spm.base.config import Section
from spm.report import html, markdown
from spm.report.summaries import KEY

TITLE = "Which pixels of these videos make the sound?"
STYLE = """
body { max-width: 1100px; margin: 0 auto; padding: 0 16px 4em }
nav { margin: 1em 0; line-height: 2 }
nav a { margin-right: 1em; white-space: nowrap }
h1 { font-size: 1.7em; line-height: 1.2 }
h2 { margin-top: 2em; border-bottom: 2px solid #ddd }
.verdict { border-left: 6px solid #0072b2; background: #eef5fa; padding: .6em 1em; margin: .6em 0;
  font-size: 1.1em }
.verdict p { margin: 0 }
.wide { overflow-x: auto }
.wide td, .wide th { white-space: nowrap }
.wide img { min-width: 640px }
img { max-width: 100%; height: auto; display: block }
figure { display: block; margin: 1em 0 2em; max-width: 100% }
figcaption { max-width: 46em }
video { max-width: 100% }
h3 { margin-bottom: .3em }
summary { cursor: pointer; margin: 1em 0 }
"""
DIGITS = 3
LONG_ROWS = 40  # a longer table is folded
OPEN = 4  # of the pictures or films of one entry; the others are folded
WEBP_QUALITY = 90
MANY_VERDICTS = 4  # further ones are folded, behind the table of scores
SHOWN = ("auc", "ciou@0.3", "iou@0.5")  # figures of the first table, as far as it has them
FIGURE = re.compile(r"<figure>.*?</figure>", re.DOTALL)
TABLE = re.compile(r"<table.*?</table>", re.DOTALL)
RUN = re.compile(r"`(.+?)`")  # in a verdict
HEADING = re.compile(r"^##", re.MULTILINE)
VERDICT_SECTION = re.compile(r"^## Verdict\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


class Entry(NamedTuple):
    """An entry of the page: which file it shows, and how."""

    section: str
    file: str  # end of its path; * stands for any name, which the title may use as {}
    title: str
    caption: str  # file of captions/


ENTRIES = (
    Entry("Corpus", "figures/coverage.png", "Videos and clips", "figures/coverage.rst"),
    Entry("Corpus", "samples/samples.png", "Training clips", "figures/samples.rst"),
    Entry("Boxes", "annotations/*.csv", "Boxes of the source {}", "annotations.rst"),
    Entry("Boxes", "quality/quality.csv", "Detected boxes against given ones", "quality.rst"),
    Entry("Boxes", "detector/precision.csv", "Precision of the detector", "precision.rst"),
    Entry("Boxes", "openimages/*.csv", "Open Images: {}", "openimages.rst"),
    Entry("Clusters", "cluster_plot/*.png", "Sounds of {}", "figures/cluster_plot.rst"),
    Entry("Training", "figures/training.png", "Curves", "figures/training.rst"),
    Entry("Scores", "figures/scores.png", "Runs and baselines", "figures/scores.rst"),
    Entry("Scores", "figures/classes.png", "Classes", "figures/classes.rst"),
    Entry("Scores", "tables/scores.md", "All scores", "scores.rst"),
    Entry("Heat maps", "best_worst/*.png", "Best and worst of {}", "figures/best_worst.rst"),
    Entry("Heat maps", "overlay_videos/*.html", "Films", "figures/overlay_videos.rst"),
    Entry("The paper", "paper/*.md", "{}", "paper.rst"),
    Entry("The paper", "paper/*.png", "{}", ""),
)


def caption(folder: Path, name: str) -> str:
    """A caption as HTML; empty without one."""
    if not name:
        return ""
    text = (folder / name).read_text(encoding="utf-8")
    return str(publish_parts(text, writer="html")["fragment"])


def show(path: Path) -> str:
    """A picture, table or page as HTML."""
    if path.suffix == ".png":
        return f'<div class="wide"><img alt="{escape(path.stem)}" src="{data_of(path)}"></div>'
    if path.suffix == ".csv":
        return csv_table(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        others = FIGURE.findall(text)[1:]  # the answer shows the first film
        return "\n".join(others[:OPEN]) + fold(f"{len(others) - OPEN} more", others[OPEN:])
    text = HEADING.sub("####", VERDICT_SECTION.sub("", text))  # the answer has the verdicts
    return TABLE.sub(lambda table: wide(table[0]), html.from_markdown(text))


def data_of(picture: Path) -> str:
    """The address of a PNG as data; as WebP where that is smaller, as of photos it is."""
    png, webp = picture.read_bytes(), io.BytesIO()
    with Image.open(picture) as image:
        image.convert("RGB").save(webp, "WEBP", quality=WEBP_QUALITY)
    kind, content = min(("webp", webp.getvalue()), ("png", png), key=lambda pair: len(pair[1]))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def fold(title: str, parts: Sequence[str]) -> str:
    """Parts that a click on a title shows; empty without parts."""
    content = "\n".join(parts)
    return f"<details><summary>{escape(title)}</summary>{content}</details>\n" if parts else ""


def wide(table: str) -> str:
    """A table of HTML that scrolls by itself; a long one is folded."""
    content, rows = f'<div class="wide">{table}</div>', table.count("<tr") - 1
    return content if rows <= LONG_ROWS else fold(f"{rows} rows", [content])


def csv_table(path: Path) -> str:
    """A table as HTML; numbers of boxes have a column per status."""
    has_digest = csv_file.has_digest(path)  # of the tables that other stages read, too
    text = csv_file.read_text(path, []) if has_digest else path.read_text(encoding="utf-8")
    table = pd.read_csv(StringIO(text), keep_default_na=False)
    if {"category", "status", "boxes"} <= set(table):
        keys = [name for name in table if name not in ("status", "boxes")]
        table = table.pivot_table("boxes", keys, "status", "sum", fill_value=0).reset_index()
        table.columns.name = None
    return wide(table.to_html(index=False, border=0))


def figure(title: str, content: str, text: str) -> str:
    """A picture or table with its title above and its caption below."""
    return f"<h3>{escape(title)}</h3>\n<figure>{content}<figcaption>{text}</figcaption></figure>\n"


def entries(files: Sequence[Path], captions: Path) -> Iterator[tuple[str, str]]:
    """The section and the HTML of each entry that has files, in the order of ENTRIES."""
    for entry in ENTRIES:
        text, figures = caption(captions, entry.caption), list[str]()
        for path in (file for file in files if file.match(entry.file)):
            title = entry.title.format(path.stem.replace("_", " "))
            figures.append(figure(title, show(path), "" if figures else text))
        if figures:
            others = figures[OPEN:]
            yield entry.section, "".join(figures[:OPEN]) + fold(f"{len(others)} more", others)


def main_table(scores: pd.DataFrame) -> str:
    """Runs and baselines under the first protocol, with their intervals, as HTML."""
    if scores.empty:
        return "<p>No scores: there are no boxes to compare with.</p>\n"
    key, rows = next(iter(scores.groupby(KEY, sort=False)))
    testset, box_source, protocol = key
    shown = [name for name in SHOWN if name in rows]
    lines = markdown.head([name.upper().replace("IOU", "IoU") for name in shown])
    for row in rows.to_dict("records"):
        name = f"**{row['run']}**" if row["trained"] else row["run"]
        cells = [markdown.cell(row, figure_name, DIGITS) for figure_name in shown]
        lines.append(f"| {' | '.join([name, *cells])} |")
    first = rows.iloc[0]
    about = (
        f"{first['frames']:,} frames of {first['videos']} videos of the test set {testset}, boxes"
        f" of the source {box_source}, protocol {protocol}; 95 % intervals over videos. Bold: the"
        " trained runs."
    )
    table = html.from_markdown("\n".join(lines))
    return f'<div class="wide">{table}</div>\n<p>{escape(about)}</p>\n'


def best_first(verdicts: Sequence[str], scores: pd.DataFrame) -> list[str]:
    """The verdicts in the order of the scores, whose first rows are the best runs."""
    places = {run: place for place, run in enumerate(dict.fromkeys(scores["run"]))}

    def place(verdict: str) -> int:
        run = RUN.search(verdict)
        return places.get(run[1], len(places)) if run else len(places)

    return sorted(verdicts, key=place)


def answer(
    verdicts: Sequence[str], scores: pd.DataFrame, files: Sequence[Path], captions: Path
) -> Iterator[str]:
    """The first section: the verdicts, the table that counts, heat maps, and a film."""
    found = best_first(verdicts, scores)
    boxes = [f'<div class="verdict">{html.from_markdown(verdict)}</div>\n' for verdict in found]
    yield "".join(boxes[:MANY_VERDICTS])
    yield main_table(scores)
    more = boxes[MANY_VERDICTS:]
    yield fold(f"{len(more)} more sentences on the runs", more)
    for path in files:
        if path.match("figures/heatmaps.png"):
            text = caption(captions, "figures/heatmaps.rst")
            yield figure("Heat maps of test frames", show(path), text)
    for path in files:
        if path.match("overlay_videos/*.html"):
            films = FIGURE.findall(path.read_text(encoding="utf-8"))
            yield "\n".join(films[:1])


def page(sections: Mapping[str, str]) -> str:
    """The whole page: a line of links, then the sections."""
    links = " ".join(
        f'<a href="#{number}">{escape(name)}</a>' for number, name in enumerate(sections)
    )
    body = [f"<style>{STYLE}</style>\n<nav>{links}</nav>\n"]
    for number, (name, content) in enumerate(sections.items()):
        body.append(f'<h2 id="{number}">{escape(name)}</h2>\n{content}')
    return html.page(TITLE, "".join(body))


def run(
    config: Section,
    *,
    verdict: Path,
    scores: Path,
    files: list[Path],
    costs: Path,
    out: Path,
) -> None:
    """Write the page."""
    captions = project_files.FOLDER / "workflow/report"
    verdicts = verdict.read_text(encoding="utf-8").splitlines()
    scored = pd.read_csv(StringIO(csv_file.read_text(scores, KEY)))
    sections = {"The answer": "".join(answer(verdicts, scored, files, captions))}
    found = list(entries(files, captions))
    for name, group in groupby(found, key=lambda entry: entry[0]):
        sections[name] = "".join(content for _, content in group)
    sections["Costs"] = figure("Time and memory", show(costs), caption(captions, "costs.rst"))
    with tables.atomic_write(out) as part:
        part.write_text(page(sections), encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
