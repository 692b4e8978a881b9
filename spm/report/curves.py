"""The figure of the training curves: k-means, audio networks and localization networks."""

from collections.abc import Iterable, Mapping
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from spm.base.statuses import Split
from spm.report import plotting

DASHES: dict[Split, Literal["-", "--"]] = {Split.TRAIN: "-", Split.VAL: "--"}
MOST_TOGETHER = 8  # runs in one panel; more of them have a panel each
COLUMNS = 5
BEST = "smallest loss on validation clips"
# Stage, name in its history, unit of each panel of the audio networks.
AUDIO_PANELS = (
    ("clusters", "similarity", ""),
    ("pretrain", "loss", " (nats)"),
    ("pretrain", "accuracy", ""),
)

Histories = Mapping[str, pd.DataFrame]


def _curve(axes: Axes, histories: Histories, name: str, unit: str = "") -> None:
    """Draw the values of one name in all histories by epoch."""
    for run, style in plotting.styles(list(histories)):
        table = histories[run]
        for split, dash in DASHES.items():
            part = table[(table["name"] == name) & (table["split"] == split)]
            axes.plot(part["epoch"] + 1, part["value"], dash, markersize=3.5, **style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if not any(len(table) and table["epoch"].max() for table in histories.values()):
        axes.set_xlim(0.5, 1.5)  # one epoch: one tick
    axes.set(xlabel="epoch", ylabel=name + unit)


def _audio_curves(part: SubFigure, audio: Mapping[str, Histories]) -> None:
    """Draw how each promoted audio network was trained: k-means of sounds, then cross-entropy."""
    panels = part.subplots(1, 3)
    for axes, (stage, name, unit) in zip(panels, AUDIO_PANELS, strict=True):
        _curve(axes, audio[stage], name, unit)
        axes.set_title(stage, fontsize=9)
    panels[0].set(xlabel="iteration of k-means", ylabel="mean cosine")
    if len(audio["pretrain"]) > 1:
        names = list(audio["pretrain"])
        part.legend(_lines(names), names, loc="outside lower center", ncols=3, frameon=False)


def _lines(names: Iterable[str]) -> list[Line2D]:
    """The lines of a legend, one per name."""
    return [Line2D([], [], markersize=3.5, **style) for _, style in plotting.styles(list(names))]


def _legend(part: SubFigure, histories: Histories) -> None:
    """Write the legend below the curves; the dashes are explained only where there are some."""
    lines, names = _lines(histories), list(histories)
    if any((table["split"] == Split.VAL).any() for table in histories.values()):
        lines += [Line2D([], [], color="#444444", linestyle=dash) for dash in DASHES.values()]
        lines.append(Line2D([], [], color="#444444", linestyle="", marker="o"))
        names += ["on training clips", "on validation clips", BEST]
    part.legend(lines, names, loc="outside lower center", ncols=3, frameon=False, handlelength=2.5)


def curves(histories: Histories, audio: Mapping[str, Histories] | None = None) -> Figure:
    """Draw loss and accuracy of each run by epoch, and above them the curves of audio networks.

    Parameters
    ----------
    histories : mapping
        The history of each run. A run without training has none, and is left out.
    audio : mapping, optional
        For the stages `clusters` and `pretrain`, the history of each audio network.
    """
    histories = {run: table for run, table in histories.items() if len(table)}
    if not histories:
        return plotting.empty("no training")
    separate = len(histories) > MOST_TOGETHER
    lines = -(-len(histories) // COLUMNS)
    height = 0.4 + 1.4 * lines if separate else 2.8 + 0.15 * len(histories)
    heights = [2.2, height] if audio else [height]
    figure = Figure(figsize=(9 if separate else 7, sum(heights)))
    parts = figure.subfigures(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    if audio:
        _audio_curves(parts[0], audio)
    if separate:
        _panels(parts[-1], histories, lines)
        return figure
    for axes, name in zip(parts[-1].subplots(1, 2), ("loss", "accuracy"), strict=True):
        _curve(axes, histories, name)
    for run, style in plotting.styles(list(histories)):
        _mark_best(parts[-1].axes[0], histories[run], style["color"])
    _legend(parts[-1], histories)
    return figure


def _panels(part: SubFigure, histories: Histories, lines: int) -> None:
    """Draw the losses of each run in a panel of its own."""
    panels = part.subplots(lines, COLUMNS, squeeze=False, sharex=True)
    for axes in panels.flat[len(histories) :]:
        axes.set_axis_off()
    for axes, (run, table) in zip(panels.flat, histories.items(), strict=False):
        for split, dash in DASHES.items():
            own = table[(table["name"] == "loss") & (table["split"] == split)]
            axes.plot(own["epoch"] + 1, own["value"], dash, color=plotting.COLORS[0])
        _mark_best(axes, table, plotting.COLORS[0])
        axes.set_title(run, fontsize=8)
        axes.tick_params(labelsize=7)
    part.supylabel("loss", fontsize=9)
    shown = [Line2D([], [], color=plotting.COLORS[0], linestyle=dash) for dash in DASHES.values()]
    shown.append(Line2D([], [], color=plotting.COLORS[0], linestyle="", marker="o"))
    names = ["on training clips", "on validation clips", BEST]
    part.legend(shown, names, loc="outside lower center", ncols=3, frameon=False)


def _mark_best(axes: Axes, table: pd.DataFrame, color: str) -> None:
    """Mark the epoch with the smallest loss on validation clips; without them, none."""
    losses = table[(table["name"] == "loss") & (table["split"] == Split.VAL)]
    if len(losses) > 1:
        best = losses.iloc[[int(losses["value"].argmin())]]
        axes.plot(best["epoch"] + 1, best["value"], "o", color=color, markersize=5)
