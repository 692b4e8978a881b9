"""Figures of the results: heat maps, scores, scores per class, training curves, coverage.

python -m spm.report.figures --config '{}' --index clips.parquet --clips clips
    --annotations given.parquet … --maps results/fusion/maps/spm/solo.parquet …
    --baseline-maps results/fusion/baseline_maps/solo/zero-shot.parquet …
    --summaries …/spm-paper.json … --histories …/history.parquet …
    --audio-histories results/audio/pretrain/main/history.parquet … --manifest music.csv
    --videos videos/0000.parquet … --coverage coverage.csv --out figures
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from spm.base import schemas, stage, tables
from spm.base.config import Section, Seed
from spm.base.statuses import PretrainedBaseline
from spm.report import plotting
from spm.report.coverage import count_statuses, coverage_bars, read_coverage
from spm.report.curves import curves
from spm.report.plotting import COLORS, RC, label, save, show
from spm.report.summaries import KEY, ORACLE, read, summary_key
from spm.report.tables import ordered, rows

PREFERRED_PROTOCOL = "spm-paper"
NETWORKS = tuple(PretrainedBaseline)  # baselines that are drawn like runs
MOST_RUNS = 4  # beside the two networks: six colors can be told apart
TITLE_CHARS = 20  # of a line above a frame
MOST_CLASSES = 40
RUN_COLOR, NETWORK_COLOR, TRIVIAL_COLOR = COLORS[0], COLORS[4], "#bbbbbb"


class Figures(Section):
    """The heat maps among the figures."""

    examples: int = Field(
        8,
        ge=1,
        le=100,
        description="Number of test frames shown with the heat maps of all runs; each is of another"
        " video.",
    )
    seed: Seed = Field(0, description="Random seed of the choice of frames.")


def choose(
    index: pa.Table, boxes: pd.DataFrame, maps: pd.DataFrame, config: Figures
) -> pd.DataFrame:
    """Choose frames of audible clips at random, at most one per video.

    Of each video a frame with a box is preferred; the categories take turns.
    """
    facts = index.select(["clip_id", "audible", "categories"]).to_pandas()
    frames = maps[["clip_id", "video_id", "frame"]].merge(facts)
    keys = set(zip(boxes["clip_id"], boxes["frame"], strict=True))
    boxed = [key in keys for key in zip(frames["clip_id"], frames["frame"], strict=True)]
    frames = frames.assign(boxed=boxed)
    shuffled = frames[frames["audible"]].sample(frac=1, random_state=config.seed)
    boxed_first = shuffled.sort_values("boxed", ascending=False, kind="stable")
    videos = boxed_first.drop_duplicates("video_id")
    turn = videos.groupby(videos["categories"].map(tuple)).cumcount()
    by, ascending = ["turn", "boxed"], [True, False]
    in_turn = videos.assign(turn=turn).sort_values(by, ascending=ascending, kind="stable")
    return in_turn.head(config.examples)


def heat_maps(
    pictures: Sequence[np.ndarray],
    frames: pd.DataFrame,
    boxes: pd.DataFrame,
    maps: dict[str, pd.DataFrame],
    note: str = "",
) -> Figure:
    """Draw a column per frame: the frame with its boxes and, below it, the map of each system.

    `note` says which systems these are, if they are not all.
    """
    if frames.empty:
        return plotting.empty("no maps of audible test clips")
    figure = Figure(figsize=(0.8 + 1.7 * len(frames), 0.5 + 1.75 * (1 + len(maps))))
    widths = [1.0] * len(frames) + [0.08]  # the last column has the color bars
    grid = figure.subplots(1 + len(maps), len(widths), squeeze=False, width_ratios=widths)
    shown: list[Any] = list(frames.itertuples())
    for column, (picture, frame) in enumerate(zip(pictures, shown, strict=True)):
        show(grid[0, column], picture, plotting.of_frame(boxes, frame))
        lines = chain.from_iterable(wrap(label(name), TITLE_CHARS) for name in frame.categories)
        grid[0, column].set_title("\n".join(lines), fontsize=9)
    for row, table in enumerate(maps.values(), 1):
        heats = [plotting.map_of(plotting.of_frame(table, frame).iloc[0]) for frame in shown]
        top = max(float(heat.max()) for heat in heats)
        for column, (picture, frame) in enumerate(zip(pictures, shown, strict=True)):
            boxed = plotting.of_frame(boxes, frame)
            show(grid[row, column], picture, boxed, heats[column], top)
        plotting.color_bar(grid[row, -1], top)
    for row, name in enumerate(["frame", *maps]):
        grid[row, 0].set_ylabel(name)
    grid[0, -1].set_axis_off()
    scale = "one scale per row" + ("; white: kept boxes" if len(boxes) else "")
    figure.supxlabel(f"{len(frames)} test frames; {scale}{note}", fontsize=9)
    return figure


def score_bars(table: pd.DataFrame) -> Figure:
    """Draw the AUC of each run and baseline with its 95 % interval, a panel per group of KEY."""
    groups = list(table.groupby(KEY, sort=False))
    if not groups:
        return plotting.empty("no scores: corpus.boxes is empty")
    heights = [0.9 + 0.19 * len(group) for _, group in groups]
    figure = Figure(figsize=(7, sum(heights)))
    panels = figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (key, group) in zip(panels, groups, strict=True):
        _bars(axes, key, group)
    return figure


def _bars(axes: Axes, key: tuple[Any, ...], group: pd.DataFrame) -> None:
    """Draw the AUC of the runs and baselines of one panel, the first on top."""
    testset, box_source, protocol = key
    frames, videos = group[["frames", "videos"]].iloc[0]
    counts = f"{frames} frames of {videos} videos"
    axes.set_title(f"{testset}, {box_source} boxes, protocol {protocol}: {counts}", fontsize=9)
    if not frames:
        plotting.write_message(axes, "no test frame has a kept box")
        return
    numbers = {"auc": float, "auc low": float, "auc high": float}
    shown = group.iloc[::-1].astype(numbers)  # None, where there is no interval, becomes NaN
    below, above = shown["auc"] - shown["auc low"], shown["auc high"] - shown["auc"]
    color = [_color(*bar) for bar in zip(shown["run"], shown["trained"], strict=True)]
    lengths = np.clip([below, above], 0, None)
    places = range(len(shown))  # not names: a run may have the name of a baseline
    axes.barh(places, shown["auc"], xerr=lengths, color=color, ecolor="#444444")
    axes.set_yticks(places, shown["run"])
    measured = "AUC, with 95 % interval" if shown["auc low"].notna().any() else "AUC"
    axes.set(xlabel=measured, xlim=(0, 1), ylim=(-0.6, len(shown) - 0.4))
    axes.tick_params(axis="y", length=0)


def _color(system: str, trained: bool) -> str:
    """The color of a bar: runs, pretrained networks and trivial baselines differ."""
    if trained:
        return RUN_COLOR
    return NETWORK_COLOR if system in NETWORKS else TRIVIAL_COLOR


def by_class(summaries: Sequence[Path]) -> pd.DataFrame:
    """AUC of each run and pretrained network per category.

    `trivial` is the AUC of the best of the other baselines, except the oracle.
    """
    found: list[dict[str, Any]] = []
    for path in summaries:
        key, summary = summary_key(path), read(path)
        baselines = summary["baselines"]
        systems = {key.run: summary["run"]}
        systems |= {name: baselines[name] for name in NETWORKS if name in baselines}
        for system, figures in systems.items():
            for category, scores in (figures.get("per_class") or {}).items():
                about = {name: scores[name] for name in ("truths", "auc")}
                trivial = _best_trivial(baselines, category)
                row = {**key._asdict(), "run": system, "category": category, **about}
                found.append({**row, "trivial": trivial})
    table = pd.DataFrame(found, columns=["run", *KEY, "category", "truths", "auc", "trivial"])
    return table.drop_duplicates(["run", *KEY, "category"], ignore_index=True)


def _best_trivial(baselines: dict[str, Any], category: str) -> float:
    """The highest AUC of a trivial baseline in a category; NaN without one."""
    aucs = [
        scores["per_class"][category]["auc"]
        for name, scores in baselines.items()
        if name not in (ORACLE, *NETWORKS) and category in scores["per_class"]
    ]
    return max(aucs, default=np.nan)


def best_runs(names: Sequence[str], scores: pd.DataFrame) -> list[str]:
    """All systems or, of many, the runs with the highest AUC and the pretrained networks.

    Parameters
    ----------
    names : sequence of str
        Runs and networks, in the order of the figure.
    scores : DataFrame
        As `spm.report.tables.ordered` sorts them: the best run first.
    """
    runs = [name for name in names if name not in NETWORKS]
    if len(runs) <= MOST_RUNS:
        return list(names)
    ranked = [name for name in dict.fromkeys(scores["run"]) if name in runs] or runs
    return [name for name in names if name in (*ranked[:MOST_RUNS], *NETWORKS)]


def extreme_classes(group: pd.DataFrame) -> pd.DataFrame:
    """The rows of all classes or, of many, of those furthest above and below the best baseline."""
    if group["category"].nunique() <= MOST_CLASSES:
        return group
    best = group.groupby("category")[["auc", "trivial"]].max()
    gaps = (best["auc"] - best["trivial"]).sort_values(kind="stable").index
    half = MOST_CLASSES // 2
    return group[group["category"].isin([*gaps[:half], *gaps[-half:]])]


def class_points(table: pd.DataFrame) -> Figure:
    """Draw the AUC of each class with a marker per run or network, beside the best baseline."""
    number = table["category"].nunique()
    groups = [(key, extreme_classes(group)) for key, group in table.groupby(KEY, sort=False)]
    if not groups:
        return plotting.empty("no scores of classes")
    heights = [0.9 + 0.24 * group["category"].nunique() for _, group in groups]
    figure = Figure(figsize=(7, sum(heights) + 0.4))
    panels = figure.subplots(len(groups), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (key, group) in zip(panels, groups, strict=True):
        _points(axes, key, group)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    if number > MOST_CLASSES:
        about = f"{MOST_CLASSES} of {number} classes: those furthest above and below the gray bar"
        figure.suptitle(about, fontsize=9)
    return figure


def _points(axes: Axes, key: tuple[Any, ...], group: pd.DataFrame) -> None:
    """Draw the classes of one panel."""
    testset, box_source, protocol = key
    classes = group.groupby("category")[["truths", "trivial"]].max().sort_index(ascending=False)
    places = {category: number for number, category in enumerate(classes.index)}
    ticks = range(len(classes))
    legend = "best trivial baseline of the class"
    axes.barh(ticks, classes["trivial"], color="#cccccc", label=legend)
    systems = sorted(dict.fromkeys(group["run"]), key=NETWORKS.__contains__)  # networks last
    for run, style in plotting.styles(systems):
        own = group[group["run"] == run]
        axes.plot(own["auc"], own["category"].map(places), linestyle="", label=run, **style)
    labels = [f"{label(str(name))}, n = {n}" for name, n in classes["truths"].items()]
    axes.set_yticks(ticks, labels)
    title = f"{testset}, {box_source} boxes, protocol {protocol}: n truths of each class"
    axes.set_title(title, fontsize=9)
    axes.set(xlabel="AUC", xlim=(0, 1), ylim=(-0.6, len(classes) - 0.4))
    axes.tick_params(axis="y", length=0)


def _histories_by_name(paths: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Histories by the name of their folder: the run, or the audio network."""
    return {path.parent.name: tables.read(path).to_pandas() for path in paths}


def _histories_by_stage(paths: Sequence[Path]) -> dict[str, dict[str, pd.DataFrame]]:
    """The history of each audio network by stage: …/<stage>/<audio>/history.parquet."""
    stages: dict[str, list[Path]] = {}
    for path in paths:
        stages.setdefault(path.parts[-3], []).append(path)
    return {name: _histories_by_name(group) for name, group in stages.items()}


def _of_one_protocol(summaries: Sequence[Path]) -> Iterator[Path]:
    """The summaries of the paper's protocol or, without it, of the first protocol by name."""
    protocols = {summary_key(path).protocol for path in summaries}
    shown = PREFERRED_PROTOCOL if PREFERRED_PROTOCOL in protocols else min(protocols, default="")
    return (path for path in summaries if summary_key(path).protocol == shown)


def _note(scores: pd.DataFrame) -> str:
    """What is said below heat maps of some runs only."""
    protocols = "".join(f" under {name}" for name in scores["protocol"].unique())
    return f"; the {MOST_RUNS} runs with the highest AUC{protocols}"


def run(
    config: Figures,
    *,
    index: Path,
    clips: Path,
    manifest: Path,
    videos: list[Path],
    coverage: Path,
    annotations: list[Path],
    maps: list[Path],
    baseline_maps: list[Path],
    summaries: list[Path],
    histories: list[Path],
    audio_histories: list[Path],
    out: Path,
) -> None:
    """Draw all figures into the folder `out`; the heat maps are those of the first test set."""
    indexed, boxes = tables.read(index), plotting.kept_boxes(annotations)
    scored = list(_of_one_protocol(summaries))
    scores = ordered(list(rows(scored)))
    paths = plotting.maps_of_first_testset(maps, baseline_maps)
    shown = best_runs(list(paths), scores)
    by_system: dict[str, Any] = {
        name: plotting.without_categories(tables.read(paths[name]).to_pandas()) for name in shown
    }
    note = _note(scores) if len(shown) < len(paths) else ""
    mapped = next(iter(by_system.values()), schemas.MAPS.schema.empty_table().to_pandas())
    frames = choose(indexed, boxes, mapped, config)
    classes = by_class(scored)
    classes = classes[classes["run"].isin(best_runs(list(dict.fromkeys(classes["run"])), scores))]
    with mpl.rc_context(RC):
        pictures = list(plotting.read_frames(indexed, clips, frames))
        save(heat_maps(pictures, frames, boxes, by_system, note), out / "heatmaps")
        save(score_bars(scores), out / "scores")
        save(class_points(classes), out / "classes")
        trained = _histories_by_name(histories)
        save(curves(trained, _histories_by_stage(audio_histories)), out / "training")
        statuses = count_statuses(manifest, videos)
        save(coverage_bars(read_coverage(coverage), statuses), out / "coverage")


if __name__ == "__main__":
    stage.main(run)
