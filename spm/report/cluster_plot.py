"""A figure of the pseudo-labels: clips on two principal components of their sounds, and a table.

python -m spm.report.cluster_plot --config '{}' --index clips.parquet --labels labels.parquet
    --about centroids.json --spectrograms spectrograms --out cluster_plot/main
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import Field

from spm.base import json_file, stage, tables
from spm.base.config import Section, Seed
from spm.base.statuses import Split
from spm.corpus import clip_reader
from spm.report import plotting
from spm.report.samples import log_mels

MOST_COUNTS = 30  # with more clusters than this, the table shows shades without numbers
MOST_NAMES = 12  # that have a color each; the points of the others are gray
MOST_CLASSES = 30  # rows of the table


class ClusterPlot(Section):
    """The figure of the pseudo-labels."""

    points: int = Field(
        2000,
        ge=2,
        le=1_000_000,
        description="Number of training clips shown as points, chosen at random.",
    )
    seed: Seed = Field(0, description="Random seed of the choice of clips.")


def mel_features(mels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean and standard deviation over time of each mel, standardized over the clips.

    Spectrograms (clips, frames, mels) become features (clips, 2 · mels).
    """
    features = np.concatenate([mels.mean(1), mels.std(1)], 1)
    deviation = np.maximum(features.std(0), 1e-6)
    standard: NDArray[np.float32] = (features - features.mean(0)) / deviation
    return standard


def principal(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[float]]:
    """The first two principal components: points (n, 2), and each component's share of variance.

    The sign of a component is arbitrary; the entry of its direction furthest from 0 is made
    positive, so that equal features give equal figures.
    """
    centered = features - features.mean(0)
    _, sizes, directions = np.linalg.svd(centered, full_matrices=False)
    axes = directions[:2]  # (2, features)
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(1)]
    axes = axes * np.sign(largest)[:, None]
    total = max(float(np.linalg.norm(sizes)), 1e-12)
    shares = [float(size**2) for size in sizes[:2] / total]
    return np.asarray(centered @ axes.T, np.float32), shares


def _cloud(axes: Axes, points: NDArray[np.float32], names: pd.Series, title: str) -> None:
    """Draw the points, with a color and a marker for each of the most frequent names."""
    counts = names.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    if (rest := len(counts) - MOST_NAMES) > 0:
        others = points[~names.isin(counts.index[:MOST_NAMES])]
        style: dict[str, Any] = {"color": "#cccccc", "label": f"{rest} others"}
        axes.scatter(others[:, 0], others[:, 1], s=6, linewidths=0, **style)
    for name, style in plotting.styles(sorted(counts.index[:MOST_NAMES])):
        own = points[names == name]
        axes.scatter(own[:, 0], own[:, 1], s=9, alpha=0.6, linewidths=0, label=name, **style)
    axes.set_title(title, fontsize=9)
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14)}
    axes.legend(**place, ncols=2, fontsize=7, frameon=False, handlelength=1, markerscale=2)


def _counts(axes: Axes, table: pd.DataFrame) -> None:
    """Draw the clips of each class (row) in each cluster (column), shaded by share of the row.

    Of many classes, those are drawn that are spread most, in the order of their clusters.
    """
    title = "clips; darker: a larger share of the class"
    if len(table) > MOST_CLASSES:
        title += f"\nthe {MOST_CLASSES} of {len(table)} classes that are spread most"
        largest = table.div(table.sum(axis=1), axis=0).max(axis=1).sort_values(kind="stable")
        table = table.loc[largest.index[:MOST_CLASSES]]
        table = table.loc[:, table.any()]
        table = table.iloc[table.to_numpy().argmax(1).argsort(kind="stable")]
    counts, rows = table.to_numpy(), [str(name) for name in table.index]
    share = counts / counts.sum(1, keepdims=True)
    axes.imshow(share, cmap="Grays", vmin=0, vmax=1, aspect="auto")
    labels = [f"{name}, n = {n}" for name, n in zip(rows, counts.sum(1), strict=True)]
    step = 1 + len(table.columns) // MOST_COUNTS
    columns = [str(name) for name in table.columns[::step]]
    axes.set_xticks(range(0, len(table.columns), step), columns, fontsize=7)
    axes.set_yticks(range(len(rows)), labels, fontsize=7)
    axes.set(xlabel="pseudo-label", title=title)
    axes.title.set_fontsize(9)
    if len(table.columns) > MOST_COUNTS:
        return
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if share[row, column] > 0.5 else "black"
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6, "color": color}
        axes.text(column, row, f"{count or ''}", **style)


def clouds(
    points: NDArray[np.float32],
    shares: list[float],
    sample: pd.DataFrame,
    clips: pd.DataFrame,
    about: Mapping[str, Any],
) -> Figure:
    """Draw three panels: the sample by pseudo-label, the sample by class, and the table of all.

    Parameters
    ----------
    points : float32 array, shape (n, 2)
        Places of the clips of the sample.
    shares : list of float
        Each component's share of the variance.
    sample, clips : DataFrame
        Columns `class` and `label` of the n clips of the sample, and of all training clips.
    about : mapping
        `clusters` and, if known, `purity`, `nmi`, `solo_clips` and `pretrained`.
    """
    figure = Figure(figsize=(13, 5.4))
    panels = figure.subplots(1, 3, width_ratios=[1, 1, 1.3])
    labels = sample["label"].map("{:02d}".format)
    _cloud(panels[0], points, labels, f"{len(sample)} clips by pseudo-label")
    _cloud(panels[1], points, sample["class"], f"{len(sample)} clips by class")
    for axes in panels[:2]:
        axes.set_xlabel(f"principal component 1: {shares[0]:.0%} of the variance")
        axes.set_ylabel(f"principal component 2: {shares[1]:.0%}")
    _counts(panels[2], pd.crosstab(clips["class"], clips["label"]))
    if about.get("purity") is not None:
        quality = f"purity {about['purity']:.2f}, NMI {about['nmi']:.2f}"
        title = f"{about['clusters']} clusters; {quality}: {about['solo_clips']} solo clips"
        if "pretrained" in about:
            title += f"\nfeatures: {about['pretrained']}"
        figure.suptitle(title, fontsize=10)
    return figure


def run(
    config: ClusterPlot, *, index: Path, labels: Path, about: Path, spectrograms: Path, out: Path
) -> None:
    """Draw the figure as `out` with the suffixes .svg and .png."""
    rows, labelled = clip_reader.select(index, split=Split.TRAIN), tables.read(labels)
    classes = [plotting.join_labels(names) for names in rows["categories"].to_pylist()]
    clips = pd.DataFrame({"class": classes, "label": labelled["pseudo_label"].to_numpy()})
    sample = clips.sample(min(config.points, len(clips)), random_state=config.seed).sort_index()
    mels = log_mels(rows.take(sample.index.to_numpy()), spectrograms)
    points, shares = principal(mel_features(mels))
    facts = json_file.read(about)
    facts["clusters"] = len(facts["sizes"])
    with mpl.rc_context(plotting.RC):
        plotting.save(clouds(points, shares, sample, clips, facts), out)


if __name__ == "__main__":
    stage.main(run)
