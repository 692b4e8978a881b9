"""Differences of the scores of two runs, and of a run and the baselines, with paired intervals."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pandas as pd

from spm.base import tables
from spm.base.statuses import PretrainedBaseline
from spm.corpus import ids
from spm.report import markdown, summaries
from spm.report.summaries import COUNTS, KEY, summary_key
from spm.score import aggregation, uncertainty
from spm.score.protocols import Protocol

PAIR = ["run", "against"]
COLUMNS = [*KEY, *PAIR, "metric", "difference", "low", "high", *COUNTS]
MANY_RUNS = 8  # with more, only pairs of a run and its variants are in the Markdown table


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
            found += [about | row for row in between(first, second)]
    return pd.DataFrame(found, columns=COLUMNS)


def between(first: Path, second: Path) -> Iterator[dict[str, Any]]:
    """Differences between the runs of two summaries under one protocol, a row per metric."""
    summary = summaries.read(first)
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


def from_baselines(paths: Iterable[Path]) -> pd.DataFrame:
    """Differences between each run and each baseline except the oracle, with paired intervals."""
    found = []
    for path in paths:
        summary, key = summaries.read(path), summary_key(path)
        counts = {name: summary[name] for name in COUNTS}
        for baseline, metrics in summary["differences"].items():
            about = {**key._asdict(), "against": baseline, **counts}
            found += [{**about, **_metric(name, values)} for name, values in metrics.items()]
    return pd.DataFrame(found, columns=COLUMNS)


def _metric(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """One difference of a summary as cells of a row."""
    return {
        "metric": name,
        "difference": values["value"],
        "low": values["low"],
        "high": values["high"],
    }


def pairs_markdown(table: pd.DataFrame, digits: int) -> str:
    """A Markdown table with a row per pair of runs; significant differences are bold.

    Of many runs, only those pairs are shown of which one name continues the other, such as `spm`
    and `spm-silence`.
    """
    if table.empty:
        return ""
    metrics = list(dict.fromkeys(table["metric"]))
    about = "With paired 95 % bootstrap intervals over videos; bold: the interval excludes 0."
    if len({*table["run"], *table["against"]}) > MANY_RUNS:
        pairs = zip(table["run"], table["against"], strict=True)
        table = table[[_is_variant(*sorted(pair)) for pair in pairs]]
        about += " Only pairs of a run and its variants, NAME-…, are shown; pairs.csv has all."
    lines = ["## Differences between runs\n", f"{about}\n", *markdown.head(metrics)]
    for key, group in table.groupby([*KEY, *PAIR], sort=False):
        testset, box_source, protocol, run, against = key
        cells = {row["metric"]: _cell(row, digits) for row in group.to_dict("records")}
        name = f"{run} − {against}: {testset}, {box_source} boxes, {protocol}"
        lines.append(_line(name, metrics, cells))
    return "\n".join(lines) + "\n"


def _is_variant(first: str, second: str) -> bool:
    """Whether the second name continues the first, after a hyphen."""
    return second.startswith(f"{first}-")


def baselines_markdown(table: pd.DataFrame, digits: int) -> str:
    """A Markdown table of differences of the AUC: a row per run, a column per baseline."""
    shown = table[(table["metric"] == "auc") & table["difference"].notna()]
    if shown.empty:
        return ""
    networks = [name.value for name in PretrainedBaseline]
    baselines = sorted(dict.fromkeys(shown["against"]), key=lambda name: name not in networks)
    lines = [
        "## Differences from the baselines\n",
        "AUC of the run minus AUC of the baseline, with paired 95 % bootstrap intervals over"
        " videos; bold: the interval excludes 0.\n",
        *markdown.head(baselines),
    ]
    for key, group in shown.groupby([*KEY, "run"], sort=False):
        testset, box_source, protocol, run = key
        cells = {row["against"]: _cell(row, digits) for row in group.to_dict("records")}
        lines.append(_line(f"{run}: {testset}, {box_source} boxes, {protocol}", baselines, cells))
    return "\n".join(lines) + "\n"


def _line(name: str, columns: Sequence[str], cells: Mapping[str, str]) -> str:
    """A line of a Markdown table; a column without a cell is empty."""
    return f"| {' | '.join([name, *(cells.get(column, '') for column in columns)])} |"


def _cell(row: Mapping[Any, Any], digits: int) -> str:
    """A difference with its interval; bold if the interval excludes 0."""
    low, high = row["low"], row["high"]
    text = markdown.signed(row["difference"], low, high, digits)
    has_interval = not (pd.isna(low) or pd.isna(high))
    return f"**{text}**" if has_interval and (low > 0 or high < 0) else text
