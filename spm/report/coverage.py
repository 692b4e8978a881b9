"""The coverage figure: audible clips of each category and split, and the status of each video."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spm.base import csv_file, tables
from spm.base.statuses import Split, VideoStatus
from spm.corpus import manifest as manifests
from spm.corpus.index import COUNTS
from spm.report import plotting
from spm.report.plotting import COLORS, HATCHES

SPLIT_COLORS = dict(zip(Split, COLORS, strict=False))
STATUS_COLORS = ["#444444", *COLORS[1:]]
MOST_BARS = 60
DECODED = (VideoStatus.OK, VideoStatus.PARTIAL)  # statuses of videos with clips


def _group(kind: str, categories: Sequence[str]) -> str:
    """The name of a bar: the kind and the categories of its videos."""
    return f"{kind}: {plotting.join_labels(categories)}"


def read_coverage(path: Path) -> pd.DataFrame:
    """The coverage table of the stage `index`; an error if the file has changed."""
    text = csv_file.read_text(path, ["kind", "categories", "split", *COUNTS])
    return pd.read_csv(StringIO(text), keep_default_na=False)


def count_statuses(manifest: Path, videos: Sequence[Path]) -> pd.DataFrame:
    """Count videos by group (rows) and status (columns, `ok` first).

    Videos that are missing are counted by the reason, which is their status of the stage fetch.
    """
    groups = {}
    for video in manifests.read(manifest):
        groups[video.video_id] = _group(video.kind, video.categories)
    table = tables.read(videos, ["video_id", "status", "reason"]).to_pandas()
    missing = table["status"] == VideoStatus.MISSING
    status = table["status"].where(~missing, table["reason"].str.split(":").str[0])
    counts = pd.crosstab(table["video_id"].map(groups), status)
    return counts[sorted(counts.columns, key=lambda name: (name not in DECODED, name))]


def _stack(
    axes: Axes, table: pd.DataFrame, rows: pd.Index, colors: Sequence[str], unit: str
) -> None:
    """Draw a bar for some rows with a part per column; the parts also differ in hatching.

    The legend has the sums of all rows.
    """
    counts = table.loc[rows]
    left = np.zeros(len(counts))
    for number, name in enumerate(counts.columns):
        total = f"{name}: {table[name].sum():.0f}{unit}"
        bars = axes.barh(counts.index, counts[name], left=left, label=total)
        color, hatch = colors[number % len(colors)], HATCHES[number % len(HATCHES)]
        for bar in bars:
            bar.set(facecolor=color, hatch=hatch, edgecolor="white")
        left += counts[name].to_numpy()
    axes.set_ylim(len(counts) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.tick_params(axis="y", length=0)
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1)}
    axes.legend(**place, ncols=2, frameon=False, fontsize=8)


def coverage_bars(coverage: pd.DataFrame, statuses: pd.DataFrame | None = None) -> Figure:
    """Draw the audible clips of each category and split and, if given, the statuses of the videos.

    Parameters
    ----------
    coverage : DataFrame
        Audible clips by kind, categories and split.
    statuses : DataFrame, optional
        Videos by group and status, as `count_statuses` counts them.

    Notes
    -----
    Fig. 6 of the paper counts videos instead of clips.
    """
    keys = ["kind", "categories"]
    counts = coverage.pivot_table(index=keys, columns="split", values="audible", aggfunc="sum")
    if counts.empty:
        return plotting.empty("no videos listed")
    counts = counts.sort_index(ascending=[False, True]).fillna(0)
    counts.index = pd.Index([_group(kind, names.split(" ")) for kind, names in counts.index])
    rows = _shown_rows(counts, statuses)
    width, panel_count = (7, 1) if statuses is None else (10, 2)
    figure = Figure(figsize=(width, 1.4 + 0.2 * len(rows)))
    panels = figure.subplots(1, panel_count, squeeze=False, sharey=True)[0]
    splits = [split for split in SPLIT_COLORS if split in counts]
    _stack(panels[0], counts[splits], rows, [SPLIT_COLORS[split] for split in splits], " clips")
    panels[0].set_xlabel("audible clips of 1 s")
    if statuses is not None:
        _stack(panels[1], statuses.reindex(counts.index).fillna(0), rows, STATUS_COLORS, "")
        panels[1].set_xlabel(f"videos listed, {statuses.to_numpy().sum()} in all")
    if len(rows) < len(counts):
        about = f"{len(rows)} of {len(counts)} groups: those with the fewest clips and videos"
        figure.suptitle(about, fontsize=9)
    return figure


def _shown_rows(counts: pd.DataFrame, statuses: pd.DataFrame | None) -> pd.Index:
    """All rows or, of many, those with the fewest clips of any split, then videos; in order."""
    table = pd.DataFrame({"clips": counts.min(axis=1)})
    if statuses is not None:
        decoded = [name for name in statuses if name in DECODED]
        table["videos"] = statuses[decoded].sum(axis=1).reindex(counts.index).fillna(0)
    fewest = table.sort_values(list(map(str, table)), kind="stable").index[:MOST_BARS]
    return counts.index[counts.index.isin(fewest)]
