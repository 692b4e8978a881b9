"""The score table: all runs and baselines under all protocols, and the differences between runs.

python -m spm.report.tables --config '{}'
    --summaries results/score/scores/spm/solo/given/spm-paper.json …
    --box-counts results/boxes/annotations/given.csv …
    --csv scores.csv --pairs-table pairs.csv --markdown-table scores.md

The scores per frame lie beside each summary, in a file of the same name with the suffix `.parquet`.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section
from spm.boxes import status_counts
from spm.corpus import ids
from spm.score import aggregation, uncertainty
from spm.score.protocols import Protocol

KEY = ["testset", "box_source", "protocol"]
COUNTS = ["frames", "videos"]
PAIR = ["run", "against"]


class Tables(Section):
    """How the score tables are written."""

    digits: int = Field(
        3,
        ge=1,
        le=9,
        description="Digits after the decimal point in the Markdown tables; the CSV files have all"
        " digits.",
    )


class SummaryKey(NamedTuple):
    """The parts of a summary's path: …/<run>/<testset>/<box_source>/<protocol>.json."""

    run: str
    testset: str
    box_source: str
    protocol: str


def summary_key(path: Path) -> SummaryKey:
    """Read the path of a summary."""
    run, testset, box_source = path.parts[-4:-1]
    return SummaryKey(run, testset, box_source, path.stem)


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
        key, summary = summary_key(path), json.loads(path.read_text(encoding="utf-8"))
        yield _row(key, key.run, True, summary, summary["run"])
        height, width = summary["map_shape"]
        for name, scores in summary["baselines"].items():
            system = f"oracle {height}×{width}" if name == "oracle" else name
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


def _cell(row: Mapping[Any, Any], score: str, digits: int) -> str:
    """A score with its interval; a dash where the run does not have this score."""
    if pd.isna(row[score]):  # the no-sounding area needs a map per category
        return "–"
    bounds = [row.get(f"{score} {side}") for side in ("low", "high")]
    if pd.isna(bounds).any():
        return f"{row[score]:.{digits}f}"
    return f"{row[score]:.{digits}f} [{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"


def _markdown_rows(group: pd.DataFrame, digits: int) -> str:
    """The rows of one group as a Markdown table; trained runs are bold."""
    other = {*KEY, *COUNTS, "run", "trained"}
    columns = [name for name in group.columns if not name.endswith((" low", " high"))]
    scores = [name for name in columns if name not in other]
    lines = _markdown_head(scores)
    for row in group.to_dict("records"):
        name = f"**{row['run']}**" if row["trained"] else row["run"]
        cells = [name, *(_cell(row, score, digits) for score in scores)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _markdown_head(columns: Sequence[str]) -> list[str]:
    """The first two lines of a Markdown table whose first column has no title."""
    return ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]


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


def pairs(paths: Iterable[Path]) -> pd.DataFrame:
    """Differences between each two runs, with paired 95 % bootstrap intervals.

    Two runs are compared on the frames for which both have scores.
    """
    groups: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for path in paths:
        groups[summary_key(path)[1:]].append(path)
    found = []
    for key, group in groups.items():
        about = dict(zip(KEY, key, strict=True))
        for first, second in combinations(sorted(group), 2):
            found += [about | row for row in _differences(first, second)]
    columns = [*KEY, *PAIR, "metric", "difference", "low", "high", *COUNTS]
    return pd.DataFrame(found, columns=columns)


def _differences(first: Path, second: Path) -> Iterator[dict[str, Any]]:
    """Differences between two runs under one protocol, a row per metric."""
    summary = json.loads(first.read_text(encoding="utf-8"))
    protocol, bootstrap = Protocol(**summary["protocol"]), summary["bootstrap"]
    left, right = (_frame_scores(path) for path in (first, second))
    both = left.merge(right, on=["clip_id", "video_id", "frame"], suffixes=("", " other"))
    if both.empty:
        return
    videos = [ids.split_ids(video) for video in both["video_id"]]
    ours, theirs = (
        aggregation.columns(aggregation.from_ious(both[name].to_numpy()), protocol)
        for name in ("iou", "iou other")
    )
    about = {"run": summary_key(first).run, "against": summary_key(second).run}
    counts = {"frames": len(both), "videos": len(set(chain.from_iterable(videos)))}
    for metric in ours:
        gain, bounds = uncertainty.difference(ours[metric], theirs[metric], videos, **bootstrap)
        low, high = bounds or (None, None)
        yield {**about, "metric": metric, "difference": gain, "low": low, "high": high, **counts}


def _frame_scores(summary: Path) -> pd.DataFrame:
    """The scores per frame that lie beside a summary."""
    table: pd.DataFrame = tables.read(summary.with_suffix(".parquet")).to_pandas()
    return table


def pairs_markdown(table: pd.DataFrame, digits: int) -> str:
    """A Markdown table with a row per pair of runs; significant differences are bold."""
    if table.empty:
        return ""
    metrics = list(dict.fromkeys(table["metric"]))
    lines = [
        "## Differences between runs\n",
        "With paired 95 % bootstrap intervals over videos; bold: the interval excludes 0.\n",
        *_markdown_head(metrics),
    ]
    for key, group in table.groupby([*KEY, *PAIR], sort=False):
        testset, box_source, protocol, run, against = key
        cells = {row["metric"]: _difference_cell(row, digits) for row in group.to_dict("records")}
        name = f"{run} − {against}: {testset}, {box_source} boxes, {protocol}"
        lines.append(f"| {' | '.join([name, *(cells.get(metric, '') for metric in metrics)])} |")
    return "\n".join(lines) + "\n"


def _difference_cell(row: Mapping[Any, Any], digits: int) -> str:
    """A difference with its interval."""
    difference = f"{row['difference']:+z.{digits}f}"  # z: a difference that rounds to 0 is +0
    if pd.isna(row["low"]):
        return difference
    text = f"{difference} [{row['low']:+z.{digits}f}, {row['high']:+z.{digits}f}]"
    return f"**{text}**" if row["low"] > 0 or row["high"] < 0 else text


def run(
    config: Tables,
    *,
    summaries: list[Path],
    box_counts: list[Path],
    csv: Path,
    pairs_table: Path,
    markdown_table: Path,
) -> None:
    """Gather the summaries into a table and compare the runs; write both as CSV and Markdown."""
    table, compared = ordered(list(rows(summaries))), pairs(summaries)
    for path, content in ((csv, table), (pairs_table, compared)):
        with tables.atomic_write(path) as part:
            content.to_csv(part, index=False)
    scored = markdown(table, config.digits)
    texts = [box_lines(box_counts), scored, pairs_markdown(compared, config.digits)]
    with tables.atomic_write(markdown_table) as part:
        part.write_text("\n".join(text for text in texts if text), encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
