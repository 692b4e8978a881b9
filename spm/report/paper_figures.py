"""The paper's figures, drawn from the runs in the config; the paper's printed numbers are gray.

python -m spm.report.paper_figures --config '{}' --figure fig3 --index clips.parquet --clips clips
    --annotations given.parquet --histories …/dsol/history.parquet …
    --maps …/dsol/synthetic.parquet … --summaries …/dsol-synthetic.json … --out fig3
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spm.base import stage, tables
from spm.base.statuses import Kind, Split
from spm.report import plotting
from spm.report.figures import Figures, choose, heat_maps
from spm.report.paper import ACCURACY, PRINTED, Paper, classes
from spm.report.plotting import RC, label, save, styles
from spm.report.summaries import summary_key

EXAMPLES = 6  # frames in Fig. 4
GRAY = "#999999"
PRINTED_VIDEOS = {  # Section 4.5
    "accordion": 50,
    "acoustic_guitar": 54,
    "cello": 49,
    "saxophone": 18,
    "xylophone": 30,
}


class FigureInputs(NamedTuple):
    """Inputs of the paper's figures; each figure reads some of them."""

    config: Paper
    clips_index: Path
    clips: Path
    annotations: list[Path]
    histories: Mapping[str, pd.DataFrame]  # by run
    maps: Mapping[str, pd.DataFrame]  # by run
    summaries: Sequence[Path]


def _by_epoch(axes: Axes, lines: Mapping[str, tuple[pd.DataFrame, str]]) -> None:
    """Draw a line per label: the values of one name of a history, on training clips."""
    for name_of_line, style in styles(list(lines)):
        table, name = lines[name_of_line]
        part = table[(table["split"] == Split.TRAIN) & (table["name"] == name)]
        axes.plot(part["epoch"] + 1, part["value"], label=name_of_line, **style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")


def classifiers(inputs: FigureInputs) -> Figure:
    """Fig. 2: accuracy of DSOL's two classifiers on the pseudo-labels, by epoch."""
    names = ("image accuracy", "audio accuracy")
    histories = inputs.histories
    runs = [run for run, table in histories.items() if set(names) <= set(table["name"])]
    if not runs:
        return plotting.empty("no run of paper.ablation has classifiers; runs of dsol have them")
    figure = Figure(figsize=(7, 3))
    axes = figure.subplots()
    _by_epoch(axes, {name: (histories[runs[0]], name) for name in names})
    axes.set(
        ylabel="accuracy on pseudo-labels", ylim=(0, 1), title=f"run {runs[0]}, training clips"
    )
    axes.legend(frameon=False)
    return figure


def _annotate_right_end(axes: Axes, height: float, text: str) -> None:
    """Write above the right end of a horizontal line."""
    coordinates = ("axes fraction", "data")
    style: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 7, "color": "#666666"}
    axes.annotate(text, (1, height), xycoords=coordinates, **style)


def matching(inputs: FigureInputs) -> Figure:
    """Figs. 3 and 5: matching accuracy by epoch, with and without promotion and freezing."""
    figure = Figure(figsize=(7, 3.2))
    axes = figure.subplots()
    _by_epoch(axes, {run: (table, "accuracy") for run, table in inputs.histories.items()})
    for run in inputs.histories:
        if printed := PRINTED["ablation"].get(run):
            height = printed[ACCURACY] / 100
            axes.axhline(height, color=GRAY, linewidth=1, zorder=0)
            _annotate_right_end(axes, height, f"printed: {run}")
    axes.set(ylabel="matching accuracy, training clips", ylim=(None, 1))
    axes.legend(frameon=False, loc="lower right")
    return figure


def side_by_side(inputs: FigureInputs) -> Figure:
    """Fig. 4: the maps of all methods for the same frames."""
    index = tables.read(inputs.clips_index)
    boxes = plotting.kept_boxes(inputs.annotations)
    maps = {run: plotting.without_categories(table) for run, table in inputs.maps.items()}
    frames = choose(index, boxes, next(iter(maps.values())), Figures(examples=EXAMPLES, seed=0))
    pictures = list(plotting.read_frames(index, inputs.clips, frames))
    return heat_maps(pictures, frames, boxes, maps)


def videos(inputs: FigureInputs) -> Figure:
    """Fig. 6: solo videos for training and validation, by category."""
    table = tables.read(inputs.clips_index).to_pandas()
    solos = table[(table["split"] != Split.TEST) & (table["kind"] == Kind.SOLO)]
    by_category = solos.groupby(solos["categories"].str[0])["video_id"].nunique()
    counts = by_category.sort_index(ascending=False).to_dict()
    figure = Figure(figsize=(7, 1 + 0.25 * max(len(counts), 1)))
    axes = figure.subplots()
    names = [label(name) for name in counts]
    axes.barh(names, list(counts.values()), color=plotting.COLORS[0], label="here")
    rows = [row for row, name in enumerate(counts) if name in PRINTED_VIDEOS]
    printed = [PRINTED_VIDEOS[name] for name in counts if name in PRINTED_VIDEOS]
    axes.plot(printed, rows, "D", color=GRAY, label="printed, of MUSIC")
    axes.set(xlabel=f"solo videos to learn from, {sum(counts.values())} in all")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def by_augmentation(inputs: FigureInputs) -> Figure:
    """Fig. 7: CIoU@0.3 of each class by augmentation."""
    by_run = {summary_key(path).run: classes(path) for path in inputs.summaries}
    table = pd.DataFrame(by_run).sort_index(ascending=False)
    if table.empty:
        return plotting.empty("no class has a score")
    figure = Figure(figsize=(7, 1.2 + 0.25 * len(table)))
    axes = figure.subplots()
    for run, style in styles(list(by_run)):
        axes.plot(table[run], range(len(table)), linestyle="", label=run, **style)
    names = [label(str(name).removeprefix("CIoU@0.3 ")) for name in table.index]
    axes.set_yticks(range(len(table)), names)
    title = f"{inputs.config.testset} test set, protocol {inputs.config.protocol}"
    axes.set(xlabel="CIoU@0.3", xlim=(-0.02, 1.02), title=title)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


FIGURES: Mapping[str, Callable[[FigureInputs], Figure]] = {
    "fig2": classifiers,
    "fig3": matching,
    "fig4": side_by_side,
    "fig6": videos,
    "fig7": by_augmentation,
}


def run(
    config: Paper,
    *,
    figure: str,
    index: Path,
    clips: Path,
    annotations: list[Path],
    histories: list[Path],
    maps: list[Path],
    summaries: list[Path],
    out: Path,
) -> None:
    """Draw one of the paper's figures as `out` with the suffixes .svg and .png."""
    history_of = {path.parent.name: tables.read(path).to_pandas() for path in histories}
    maps_of = {path.parent.name: tables.read(path).to_pandas() for path in maps}
    inputs = FigureInputs(config, index, clips, annotations, history_of, maps_of, summaries)
    with mpl.rc_context(RC):
        save(FIGURES[figure](inputs), out)


if __name__ == "__main__":
    stage.main(run)
