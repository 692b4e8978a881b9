"""The pseudo-labels, to look at: clips on two principal components of their sounds, and which class each cluster has.

python -m spm.report.cluster_plot --config '{}' --index clips.parquet --labels labels.parquet --about centroids.json
    --spectrograms spectrograms --out scatter/main
"""

import json
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

from spm.base import stage, tables
from spm.base.config import Section
from spm.corpus import clip_reader
from spm.report import plotting
from spm.report.samples import log_mels

WRITTEN = 30  # clusters whose counts are written into the table; more are shades alone


class ClusterPlot(Section):
    """How much is shown."""

    points: int = Field(2000, ge=2)  # training clips at random
    seed: int = 0  # of their choice


def statistics(mels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean and deviation over time of each mel, standardized over clips: (clips, frames, mels) → (clips, 2 · mels)."""
    found = np.concatenate([mels.mean(1), mels.std(1)], 1)
    standard: NDArray[np.float32] = (found - found.mean(0)) / np.maximum(found.std(0), 1e-6)
    return standard


def principal(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[float]]:
    """The two directions in which features differ most: places (n, 2), and the share of the variance that each has.

    The sign of a direction is free; here the component furthest from 0 is positive, so that equal features look equal.
    """
    centered = features - features.mean(0)
    _, sizes, directions = np.linalg.svd(centered, full_matrices=False)
    two = directions[:2]
    two = two * np.sign(two[np.arange(len(two)), np.abs(two).argmax(1)])[:, None]
    shares = [float(size**2) for size in sizes[:2] / max(float(np.linalg.norm(sizes)), 1e-12)]
    return np.asarray(centered @ two.T, np.float32), shares


def _cloud(axes: Axes, places: NDArray[np.float32], names: pd.Series, title: str) -> None:
    groups = sorted(names.unique())
    for name, style in plotting.styles(groups):
        own = places[names == name]
        axes.scatter(own[:, 0], own[:, 1], s=9, alpha=0.6, linewidths=0, label=name, **style)
    axes.set_title(title, fontsize=9)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncols=2,
        fontsize=7,
        frameon=False,
        handlelength=1,
    )


def _counts(axes: Axes, table: pd.DataFrame) -> None:
    """Clips of each class (row) in each cluster (column), shaded by the share of the row."""
    counts, rows = table.to_numpy(), [str(name) for name in table.index]
    share = counts / counts.sum(1, keepdims=True)
    axes.imshow(share, cmap="Grays", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(table.columns)), [str(name) for name in table.columns], fontsize=7)
    axes.set_yticks(
        range(len(rows)),
        [f"{name}, n = {n}" for name, n in zip(rows, counts.sum(1), strict=True)],
        fontsize=7,
    )
    axes.set(xlabel="pseudo-label", title="clips; darker: a larger share of the class")
    axes.title.set_fontsize(9)
    if len(table.columns) <= WRITTEN:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if share[row, column] > 0.5 else "black"
            axes.text(
                column, row, f"{count or ''}", ha="center", va="center", fontsize=6, color=color
            )


def clouds(
    places: NDArray[np.float32], shares: list[float], sample: pd.DataFrame, every: pd.DataFrame,
    about: Mapping[str, Any],
) -> Figure:  # fmt: skip
    """Three panels: the sample by pseudo-label and by class, and all clips, class by pseudo-label."""
    figure = Figure(figsize=(13, 5.4))
    panels = figure.subplots(1, 3, width_ratios=[1, 1, 1.3])
    _cloud(
        panels[0],
        places,
        sample["label"].map("{:02d}".format),
        f"{len(sample)} clips by pseudo-label",
    )
    _cloud(panels[1], places, sample["class"], f"{len(sample)} clips by class")
    for axes in panels[:2]:
        axes.set_xlabel(f"principal component 1: {shares[0]:.0%} of the variance")
        axes.set_ylabel(f"principal component 2: {shares[1]:.0%}")
    _counts(panels[2], pd.crosstab(every["class"], every["label"]))
    if about.get("purity") is not None:
        said = f"purity {about['purity']:.2f}, NMI {about['nmi']:.2f}: {about['solo_clips']} solo clips"
        figure.suptitle(f"{about['clusters']} clusters; {said}", fontsize=10)
    return figure


def run(
    config: ClusterPlot, *, index: Path, labels: Path, about: Path, spectrograms: Path, out: Path
) -> None:
    """Draw the clouds, `out` with .svg and .png."""
    rows, labelled = clip_reader.select(index, split="train"), tables.read(labels)
    classes = [plotting.words(" + ".join(names)) for names in rows["categories"].to_pylist()]
    every = pd.DataFrame({"class": classes, "label": labelled["pseudo_label"].to_numpy()})
    sample = every.sample(min(config.points, len(every)), random_state=config.seed).sort_index()
    places, shares = principal(
        statistics(log_mels(rows.take(sample.index.to_numpy()), spectrograms))
    )
    said = json.loads(about.read_text(encoding="utf-8"))
    known = {**said, "clusters": len(said["sizes"])}
    with mpl.rc_context(plotting.RC):
        plotting.save(clouds(places, shares, sample, every, known), out)


if __name__ == "__main__":
    stage.main(run)
