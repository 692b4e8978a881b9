"""Pictures of what came out: heat maps on their frames, scores beside baselines and by class, trainings, coverage.

python -m spm.report.figures --config '{}' --index clips.parquet --clips clips --annotations given.parquet …
    --maps results/fusion/maps/spm/solo.parquet … --summaries …/spm-paper.json … --histories …/history.parquet …
    --audio-histories results/audio/pretrain/main/history.parquet … --manifest music.csv --videos videos/0000.parquet …
    --coverage coverage.csv --out figures
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section
from spm.corpus import manifest as manifests
from spm.report import plotting
from spm.report.plotting import COLORS, HATCHES, RC, nothing, save, show, words
from spm.report.tables import ordered, rows, source_of

SPLITS = dict(zip(("train", "val", "test"), COLORS, strict=False))
DECODED = ["ok", "partial"]  # statuses of a video that gave clips


class Figures(Section):
    """How much is shown."""

    examples: int = Field(8, ge=1)  # frames with heat maps
    seed: int = 0  # of their choice: one at random for each of as many videos


def chosen(
    index: pa.Table, kept: pd.DataFrame, maps: pd.DataFrame, config: Figures
) -> pd.DataFrame:
    """Frames to show: one at random of each video in turn, a boxed one where there is one, categories alternating."""
    frames = maps[["clip_id", "video_id", "frame"]].merge(
        index.select(["clip_id", "audible", "categories"]).to_pandas()
    )
    boxed = set(zip(kept["clip_id"], kept["frame"], strict=True))
    frames = frames.assign(
        boxed=[key in boxed for key in zip(frames["clip_id"], frames["frame"], strict=True)]
    )
    shuffled = frames[frames["audible"]].sample(frac=1, random_state=config.seed)
    each = shuffled.sort_values("boxed", ascending=False, kind="stable").drop_duplicates("video_id")
    turn = each.groupby(each["categories"].map(tuple)).cumcount()
    return (
        each.assign(turn=turn)
        .sort_values(["turn", "boxed"], ascending=[True, False], kind="stable")
        .head(config.examples)
    )


def heat_maps(
    pictures: Sequence[np.ndarray],
    frames: pd.DataFrame,
    kept: pd.DataFrame,
    maps: dict[str, pd.DataFrame],
) -> Figure:
    """A column a frame: the frame with its boxes, and below it each run's map."""
    if frames.empty:
        return plotting.empty("no maps of audible test clips")
    figure = Figure(figsize=(0.3 + 1.7 * len(frames), 0.5 + 1.75 * (1 + len(maps))))
    grid = figure.subplots(1 + len(maps), len(frames), squeeze=False)
    shown: list[Any] = list(frames.itertuples())
    for column, (picture, frame) in enumerate(zip(pictures, shown, strict=True)):
        boxes = plotting.of_frame(kept, frame)
        show(grid[0, column], picture, boxes)
        grid[0, column].set_title("\n".join(map(words, frame.categories)), fontsize=9)
        for row, table in enumerate(maps.values(), 1):
            show(
                grid[row, column],
                picture,
                boxes,
                plotting.map_of(plotting.of_frame(table, frame).iloc[0]),
            )
    for row, name in enumerate(["frame", *maps]):
        grid[row, 0].set_ylabel(name)
    scale = "each map over its own maximum" + ("; white: boxes that count" if len(kept) else "")
    figure.supxlabel(f"{len(frames)} test frames; {scale}", fontsize=9)
    return figure


def _bars(axes: Axes, name: tuple[Any, ...], group: pd.DataFrame) -> None:
    """AUC of one panel's runs and baselines, the first on top."""
    kind, boxes, protocol = name
    frames, videos = group[["frames", "videos"]].iloc[0]
    axes.set_title(
        f"{kind}, {boxes} boxes, protocol {protocol}: {frames} frames of {videos} videos",
        fontsize=9,
    )
    if not frames:
        nothing(axes, "no frame has a box that counts")
        return
    shown = group.iloc[::-1].astype(
        {"auc": float, "auc low": float, "auc high": float}
    )  # None: a single video
    reach = [shown["auc"] - shown["auc low"], shown["auc high"] - shown["auc"]]
    color = [COLORS[0] if trained else "#bbbbbb" for trained in shown["trained"]]
    axes.barh(
        shown["run"], shown["auc"], xerr=np.clip(reach, 0, None), color=color, ecolor="#444444"
    )
    measured = "AUC, with 95 % interval" if shown["auc low"].notna().any() else "AUC"
    axes.set(xlabel=measured, xlim=(0, 1), ylim=(-0.6, len(shown) - 0.4))
    axes.tick_params(axis="y", length=0)


def score_bars(table: pd.DataFrame) -> Figure:
    """AUC of every run and baseline with its 95 % interval, a panel each test set, boxes and protocol."""
    groups = list(table.groupby(["kind", "boxes", "protocol"], sort=False))
    if not groups:
        return plotting.empty("no scores: corpus.boxes names no truth")
    lines = [0.9 + 0.19 * len(group) for _, group in groups]
    figure = Figure(figsize=(7, sum(lines)))
    panels = figure.subplots(len(lines), squeeze=False, height_ratios=lines)[:, 0]
    for axes, (name, group) in zip(panels, groups, strict=True):
        _bars(axes, name, group)
    return figure


def by_class(summaries: Sequence[Path]) -> pd.DataFrame:
    """AUC of every class: kind, boxes, protocol, run, category, truths, auc, and trivial, the best baseline's AUC."""
    found = []
    for path in summaries:
        source, summary = source_of(path), json.loads(path.read_text(encoding="utf-8"))
        trivial = [
            scores["per_class"] for name, scores in summary["baselines"].items() if name != "oracle"
        ]
        for category, scores in (summary["run"].get("per_class") or {}).items():
            best = max((one[category]["auc"] for one in trivial if category in one), default=np.nan)
            about = {
                "category": category,
                "truths": scores["truths"],
                "auc": scores["auc"],
                "trivial": best,
            }
            found.append({**source._asdict(), **about})
    return pd.DataFrame(
        found, columns=["run", "kind", "boxes", "protocol", "category", "truths", "auc", "trivial"]
    )


def class_points(table: pd.DataFrame) -> Figure:
    """AUC of each class, a marker a run, beside the best trivial baseline of that class."""
    groups = list(table.groupby(["kind", "boxes", "protocol"], sort=False))
    if not groups:
        return plotting.empty("no scores of classes")
    heights = [0.9 + 0.24 * group["category"].nunique() for _, group in groups]
    figure = Figure(figsize=(7, sum(heights) + 0.4))
    panels = figure.subplots(len(groups), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, group) in zip(panels, groups, strict=True):
        _points(axes, name, group)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _points(axes: Axes, name: tuple[Any, ...], group: pd.DataFrame) -> None:
    each = group.groupby("category")[["truths", "trivial"]].max().sort_index(ascending=False)
    place = {category: number for number, category in enumerate(each.index)}
    axes.barh(
        range(len(each)),
        each["trivial"],
        color="#cccccc",
        label="best trivial baseline of the class",
    )
    for run, style in plotting.styles(list(dict.fromkeys(group["run"]))):
        own = group[group["run"] == run]
        axes.plot(own["auc"], own["category"].map(place), linestyle="", label=run, **style)
    axes.set_yticks(
        range(len(each)), [f"{words(str(one))}, n = {each['truths'][one]}" for one in each.index]
    )
    axes.set_title("{}, {} boxes, protocol {}: n truths of each class".format(*name), fontsize=9)
    axes.set(xlabel="AUC", xlim=(0, 1))
    axes.tick_params(axis="y", length=0)


def _curve(axes: Axes, histories: dict[str, pd.DataFrame], name: str, unit: str = "") -> None:
    """One figure of every training by epoch."""
    for run, look in plotting.styles(list(histories)):
        table = histories[run]
        for split, style in (("train", "-"), ("val", "--")):
            part = table[(table["name"] == name) & (table["split"] == split)]
            axes.plot(part["epoch"] + 1, part["value"], style, markersize=3.5, **look)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel=name + unit)


def _audio_curves(part: SubFigure, audio: dict[str, dict[str, pd.DataFrame]]) -> None:
    """How each promoted audio network came about: k-means of sounds, then cross-entropy."""
    panels = part.subplots(1, 3)
    for axes, stage_, name, unit in zip(
        panels, ("clusters", "pretrain", "pretrain"), ("similarity", "loss", "accuracy"), ("", " (nats)", ""),
        strict=True,
    ):  # fmt: skip
        _curve(axes, audio[stage_], name, unit)
        axes.set_title(stage_, fontsize=9)
    panels[0].set(xlabel="iteration of k-means", ylabel="mean cosine")
    if len(audio["pretrain"]) > 1:
        names = list(audio["pretrain"])
        part.legend(_lines(names), names, loc="outside lower center", ncols=3, frameon=False)


def _lines(names: Iterable[str]) -> list[Line2D]:
    """What a legend shows of each."""
    return [Line2D([], [], markersize=3.5, **look) for _, look in plotting.styles(list(names))]


def curves(
    histories: dict[str, pd.DataFrame], audio: dict[str, dict[str, pd.DataFrame]] | None = None
) -> Figure:
    """Loss and accuracy of each training by epoch; dashed on clips not trained on; the audio networks' above."""
    if not histories:
        return plotting.empty("no training")
    figure = Figure(figsize=(7, 2.8 + 0.15 * len(histories) + (2.2 if audio else 0)))
    parts = figure.subfigures(
        2 if audio else 1, squeeze=False, height_ratios=[2.2, 2.8][-2 if audio else -1 :]
    )[:, 0]
    if audio:
        _audio_curves(parts[0], audio)
    for axes, name in zip(parts[-1].subplots(1, 2), ("loss", "accuracy"), strict=True):
        _curve(axes, histories, name)
    lines, names = _lines(histories), list(histories)
    if any((table["split"] == "val").any() for table in histories.values()):
        lines += [Line2D([], [], color="#444444", linestyle=style) for style in ("-", "--")]
        names += ["on training clips", "on validation clips"]
    parts[-1].legend(
        lines, names, loc="outside lower center", ncols=3, frameon=False, handlelength=2.5
    )
    return figure


def _named(kind: str, categories: str) -> str:
    return f"{kind}: {words(categories.replace(' ', ' + '))}"


def reasons(manifest: Path, videos: Sequence[Path]) -> pd.DataFrame:
    """Videos of each group by what became of them: columns are statuses, `ok` first; of the missing, why."""
    group = {
        video.video_id: _named(video.kind, " ".join(video.categories))
        for video in manifests.read(manifest)
    }
    table = tables.read(videos, ["video_id", "status", "reason"]).to_pandas()
    why = table["status"].where(table["status"] != "missing", table["reason"].str.split(":").str[0])
    counts = pd.crosstab(table["video_id"].map(group), why)
    return counts[sorted(counts.columns, key=lambda name: (name not in DECODED, name))]


def _stacked(axes: Axes, counts: pd.DataFrame, colors: Sequence[str], unit: str) -> None:
    """A bar a row, a part a column; parts differ in hatching too."""
    left = np.zeros(len(counts))
    for number, name in enumerate(counts.columns):
        bars = axes.barh(
            counts.index, counts[name], left=left, label=f"{name}: {counts[name].sum():.0f}{unit}"
        )
        for bar in bars:
            bar.set(
                facecolor=colors[number % len(colors)],
                hatch=HATCHES[number % len(HATCHES)],
                edgecolor="white",
            )
        left += counts[name].to_numpy()
    axes.set_ylim(len(counts) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8)


def coverage_bars(coverage: pd.DataFrame, became: pd.DataFrame | None = None) -> Figure:
    """Audible clips of each category and split (the paper's Fig. 6 counts videos), and what became of the videos."""
    counts = coverage.pivot_table(
        index=["kind", "categories"], columns="split", values="audible", aggfunc="sum"
    )
    if counts.empty:
        return plotting.empty("no videos listed")
    counts = counts.sort_index(ascending=[False, True]).fillna(0)
    counts.index = pd.Index([_named(*key) for key in counts.index])
    figure = Figure(figsize=(7 if became is None else 10, 1.4 + 0.2 * len(counts)))
    panels = figure.subplots(1, 1 if became is None else 2, squeeze=False, sharey=True)[0]
    splits = [name for name in SPLITS if name in counts]
    _stacked(panels[0], counts[splits], [SPLITS[name] for name in splits], " clips")
    panels[0].set_xlabel("audible clips of 1 s")
    if became is not None:
        _stacked(panels[1], became.reindex(counts.index).fillna(0), ["#444444", *COLORS[1:]], "")
        panels[1].set_xlabel(f"videos listed, {became.to_numpy().sum()} in all")
    return figure


def _named_histories(paths: Sequence[Path]) -> dict[str, pd.DataFrame]:
    return {path.parent.name: tables.read(path).to_pandas() for path in paths}


def _by_stage(paths: Sequence[Path]) -> dict[str, dict[str, pd.DataFrame]]:
    """Of `clusters` and `pretrain`, each audio network's history: …/<stage>/<audio>/history.parquet."""
    stages = dict.fromkeys(path.parts[-3] for path in paths)
    return {
        name: _named_histories([path for path in paths if path.parts[-3] == name])
        for name in stages
    }


def _of_one_protocol(summaries: Sequence[Path]) -> list[Path]:
    """The summaries of the paper's protocol, or of the first that there is."""
    shown = sorted(
        {source_of(path).protocol for path in summaries},
        key=lambda name: (name != "spm-paper", name),
    )[:1]
    return [path for path in summaries if source_of(path).protocol in shown]


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
    summaries: list[Path],
    histories: list[Path],
    audio_histories: list[Path],
    out: Path,
) -> None:
    """Draw every figure into the folder `out`; the heat maps are those of the first test set."""
    indexed, kept = tables.read(index), plotting.kept(annotations)
    first = [path for path in maps if path.stem == maps[0].stem]
    by_run: dict[str, Any] = {path.parent.name: tables.read(path).to_pandas() for path in first}
    mapped = next(iter(by_run.values()), tables.MAPS.empty_table().to_pandas())
    frames = chosen(indexed, kept, mapped, config)
    scored = _of_one_protocol(summaries)
    with mpl.rc_context(RC):
        save(
            heat_maps(list(plotting.pictures(indexed, clips, frames)), frames, kept, by_run),
            out / "heatmaps",
        )
        save(score_bars(ordered(list(rows(scored)))), out / "scores")
        save(class_points(by_class(scored)), out / "classes")
        save(curves(_named_histories(histories), _by_stage(audio_histories)), out / "training")
        save(coverage_bars(pd.read_csv(coverage), reasons(manifest, videos)), out / "coverage")


if __name__ == "__main__":
    stage.main(run)
