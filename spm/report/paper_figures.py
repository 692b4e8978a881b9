"""The paper's figures, drawn of the runs that the config names; what the paper printed is in gray.

python -m spm.report.paper_figures --config '{}' --figure fig3 --index clips.parquet --clips clips
    --annotations given.parquet --histories …/dsol/history.parquet … --maps …/dsol/synthetic.parquet …
    --summaries …/dsol-synthetic.json … --out fig3
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
from spm.report import plotting
from spm.report.figures import Figures, chosen, heat_maps
from spm.report.paper import ACCURACY, PRINTED, Paper, classes
from spm.report.plotting import RC, save, styles, words
from spm.report.tables import source_of

EXAMPLES = 6  # frames in Fig. 4
GREY = "#999999"
PRINTED_VIDEOS = {
    "accordion": 50,
    "acoustic_guitar": 54,
    "cello": 49,
    "saxophone": 18,
    "xylophone": 30,
}  # Section 4.5


class Sources(NamedTuple):
    """What figures are drawn from; each reads some of it."""

    config: Paper
    clips_index: Path
    clips: Path
    annotations: list[Path]
    histories: Mapping[str, pd.DataFrame]  # of runs
    maps: Mapping[str, pd.DataFrame]
    summaries: Sequence[Path]


def _by_epoch(axes: Axes, figures: Mapping[str, tuple[pd.DataFrame, str]]) -> None:
    """A line for each label: a history, and the name of its figure on training clips."""
    for label, style in styles(list(figures)):
        table, name = figures[label]
        part = table[(table["split"] == "train") & (table["name"] == name)]
        axes.plot(part["epoch"] + 1, part["value"], label=label, **style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")


def classifiers(sources: Sources) -> Figure:
    """Fig. 2: how well DSOL's two classifiers tell the pseudo-labels, by epoch."""
    names = ("image accuracy", "audio accuracy")
    run = next(
        (run for run, table in sources.histories.items() if set(names) <= set(table["name"])), None
    )
    if run is None:
        return plotting.empty("no run of paper.ablation has classifiers: those of dsol do")
    figure = Figure(figsize=(7, 3))
    axes = figure.subplots()
    _by_epoch(axes, {name: (sources.histories[run], name) for name in names})
    axes.set(
        ylabel="fraction of pseudo-labels told", ylim=(0, 1), title=f"run {run}, training clips"
    )
    axes.legend(frameon=False)
    return figure


def matching(sources: Sources) -> Figure:
    """Figs. 3 and 5: matching accuracy by epoch, with or without promotion and freezing."""
    figure = Figure(figsize=(7, 3.2))
    axes = figure.subplots()
    _by_epoch(axes, {run: (table, "accuracy") for run, table in sources.histories.items()})
    for run in sources.histories:
        if printed := PRINTED["ablation"].get(run):
            axes.axhline(printed[ACCURACY] / 100, color=GREY, linewidth=1, zorder=0)
            axes.annotate(f"printed: {run}", (1, printed[ACCURACY] / 100), xycoords=("axes fraction", "data"),
                          ha="right", va="bottom", fontsize=7, color="#666666")  # fmt: skip
    axes.set(ylabel="matching accuracy, training clips", ylim=(None, 1))
    axes.legend(frameon=False, loc="lower right")
    return figure


def side_by_side(sources: Sources) -> Figure:
    """Fig. 4: every method's map of the same frames."""
    index = tables.read(sources.clips_index)
    kept = plotting.kept(sources.annotations)
    maps = {run: plotting.single(table) for run, table in sources.maps.items()}
    frames = chosen(index, kept, next(iter(maps.values())), Figures(examples=EXAMPLES))
    return heat_maps(
        list(plotting.pictures(index, sources.clips, frames)), frames, kept, dict(maps)
    )


def videos(sources: Sources) -> Figure:
    """Fig. 6: solo videos of each category to learn from."""
    table = tables.read(sources.clips_index).to_pandas()
    learnt = table[(table["split"] != "test") & (table["kind"] == "solo")]
    counts = (
        learnt.groupby(learnt["categories"].str[0])["video_id"]
        .nunique()
        .sort_index(ascending=False)
        .to_dict()
    )
    figure = Figure(figsize=(7, 1 + 0.25 * max(len(counts), 1)))
    axes = figure.subplots()
    axes.barh(
        [words(name) for name in counts],
        list(counts.values()),
        color=plotting.COLORS[0],
        label="here",
    )
    printed = [
        (PRINTED_VIDEOS[name], row) for row, name in enumerate(counts) if name in PRINTED_VIDEOS
    ]
    axes.plot(
        [count for count, _ in printed],
        [row for _, row in printed],
        "D",
        color=GREY,
        label="printed, of MUSIC",
    )
    axes.set(xlabel=f"solo videos to learn from, {sum(counts.values())} in all")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def by_augmentation(sources: Sources) -> Figure:
    """Fig. 7: CIoU@0.3 of each class by augmentation."""
    found = {source_of(path).run: classes(path) for path in sources.summaries}
    table = pd.DataFrame(found).sort_index(ascending=False)
    if table.empty:
        return plotting.empty("no class has a score")
    figure = Figure(figsize=(7, 1.2 + 0.25 * len(table)))
    axes = figure.subplots()
    for run, style in styles(list(found)):
        axes.plot(table[run], range(len(table)), linestyle="", label=run, **style)
    axes.set_yticks(
        range(len(table)), [words(str(name).removeprefix("CIoU@0.3 ")) for name in table.index]
    )
    about = f"{sources.config.kind} test set, protocol {sources.config.protocol}"
    axes.set(xlabel="CIoU@0.3", xlim=(-0.02, 1.02), title=about)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


FIGURES: Mapping[str, Callable[[Sources], Figure]] = {
    "fig2": classifiers, "fig3": matching, "fig4": side_by_side, "fig6": videos, "fig7": by_augmentation,
}  # fmt: skip


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
    """Draw one of the paper's figures as `out`.svg and .png."""
    learnt: dict[str, Any] = {path.parent.name: tables.read(path).to_pandas() for path in histories}
    drawn: dict[str, Any] = {path.parent.name: tables.read(path).to_pandas() for path in maps}
    sources = Sources(config, index, clips, annotations, learnt, drawn, summaries)
    with mpl.rc_context(RC):
        save(FIGURES[figure](sources), out)


if __name__ == "__main__":
    stage.main(run)
