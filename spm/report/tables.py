"""The score table: all runs and baselines under all protocols, with differences and verdicts.

python -m spm.report.tables --config '{}'
    --summaries results/score/scores/spm/solo/given/spm-paper.json …
    --box-counts results/boxes/annotations/given.csv …
    --csv scores.csv --pairs-table pairs.csv --negatives-table negatives.csv
    --verdict-file verdict.txt --markdown-table scores.md

The scores per frame lie beside each summary, in a file of the same name with the suffix `.parquet`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from spm.base import csv_file, stage, tables
from spm.base.config import Section
from spm.boxes import status_counts
from spm.report import differences, negatives, verdict
from spm.report.markdown import cell, head
from spm.report.summaries import COUNTS, KEY, ORACLE, SummaryKey, read, summary_key


class Tables(Section):
    """How the score tables are written."""

    digits: int = Field(
        3,
        ge=1,
        le=9,
        description="Digits after the decimal point in the Markdown tables; the CSV files have all"
        " digits.",
    )


def _row(
    key: SummaryKey, system: str, trained: bool, counts: dict[str, Any], scores: dict[str, Any]
) -> dict[str, Any]:
    """One row of the table, with the ends of the interval beside each score."""
    row = {**key._asdict(), "run": system, "trained": trained}
    row |= {name: counts[name] for name in COUNTS}
    for name, interval in scores["interval_95"].items():
        low, high = interval or (None, None)  # a single video gives no interval
        row |= {name: scores[name], f"{name} low": low, f"{name} high": high}
    return row


def rows(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Yield a row per run and per baseline of each summary; repeated baselines are left out.

    Baselines do not depend on the run, except for the oracle, which depends on the size of the map.
    """
    written = set()
    for path in paths:
        key, summary = summary_key(path), read(path)
        yield _row(key, key.run, True, summary, summary["run"])
        height, width = summary["map_shape"]
        for name, scores in summary["baselines"].items():
            system = f"oracle {height}×{width}" if name == ORACLE else name
            baseline = (*key[1:], system)
            if baseline not in written:
                written.add(baseline)
                yield _row(key, system, False, summary, scores)


def markdown(table: pd.DataFrame, digits: int) -> str:
    """One Markdown table per test set, box source and protocol, in the order of the rows."""
    if table.empty:
        return "No scores: corpus.boxes is empty.\n"
    parts = []
    for (testset, box_source, protocol), group in table.groupby(KEY, sort=False):
        frames, videos = group[COUNTS].iloc[0]
        parts.append(f"## {testset}, {box_source} boxes, protocol {protocol}\n")
        if not frames:
            parts.append("No scores: no frame of this test set has a kept box.\n")
            continue
        if videos > 1:
            counts = f"{frames} frames of {videos} videos; 95 % bootstrap over videos in brackets."
        else:
            counts = f"{frames} frames of {videos} video, too few for an interval."
        parts.append(f"{counts}\n")
        parts.append(_markdown_rows(group.dropna(axis=1, how="all"), digits))
    return "\n".join(parts)


def box_lines(paths: Iterable[Path]) -> str:
    """Markdown lines with the kept and rejected boxes of each source, and warnings.

    Parameters
    ----------
    paths : iterable of Path
        Tables of counts of the stage `annotations`; their names are those of the box sources.
    """
    lines = []
    for path in paths:
        counts = status_counts.read(path)
        lines.append(f"Boxes of the source {path.stem}: {status_counts.line(counts)}.\n")
        if sentence := status_counts.warning(path.stem, counts):
            lines.append(f"**Warning:** {sentence}\n")
    return "\n".join(lines)


def _markdown_rows(group: pd.DataFrame, digits: int) -> str:
    """The rows of one group as a Markdown table; trained runs are bold."""
    other = {*KEY, *COUNTS, "run", "trained"}
    columns = [name for name in group.columns if not name.endswith((" low", " high"))]
    scores = [name for name in columns if name not in other]
    lines = head(scores)
    for row in group.to_dict("records"):
        name = f"**{row['run']}**" if row["trained"] else row["run"]
        cells = [name, *(cell(row, score, digits) for score in scores)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def ordered(found: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Sort rows: groups of KEY stay in order; in each, runs before baselines, best AUC first."""
    if not found:
        return pd.DataFrame(columns=[*SummaryKey._fields, "trained", *COUNTS])
    table = pd.DataFrame(found)
    keys = [tuple(key) for key in table[KEY].to_numpy()]
    places = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    table["place"] = [places[key] for key in keys]
    by, ascending = ["place", "trained", "auc", "run"], [True, False, False, True]
    return table.sort_values(by, ascending=ascending, ignore_index=True).drop(columns="place")


def run(
    config: Tables,
    *,
    summaries: list[Path],
    box_counts: list[Path],
    csv: Path,
    pairs_table: Path,
    negatives_table: Path,
    verdict_file: Path,
    markdown_table: Path,
) -> None:
    """Gather the summaries into a table, and compare the runs with each other and the baselines."""
    table = ordered(list(rows(summaries)))
    between = differences.pairs(summaries)
    from_baselines = differences.from_baselines(summaries)
    other_sounds = negatives.table(summaries)
    differences_table = _stacked(between, from_baselines)
    csv_file.write(csv, table)
    for path, content in {pairs_table: differences_table, negatives_table: other_sounds}.items():
        with tables.atomic_write(path) as part:
            content.to_csv(part, index=False)
    sentences = verdict.sentences(summaries, config.digits) + negatives.sentences(summaries)
    texts = [
        box_lines(box_counts),
        verdict.markdown(sentences),
        markdown(table, config.digits),
        negatives.tables_markdown(other_sounds, config.digits),
        differences.baselines_markdown(from_baselines, config.digits),
        differences.pairs_markdown(between, config.digits),
    ]
    written = {
        verdict_file: "".join(f"{sentence}\n" for sentence in sentences),
        markdown_table: "\n".join(text for text in texts if text),
    }
    for path, text in written.items():
        with tables.atomic_write(path) as part:
            part.write_text(text, encoding="utf-8")


def _stacked(*parts: pd.DataFrame) -> pd.DataFrame:
    """Tables with the same columns, one below the other."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]


if __name__ == "__main__":
    stage.main(run)
