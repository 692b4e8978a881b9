"""Pictures of what came out: heat maps on their frames, scores beside baselines, training curves, coverage.

python -m spm.score.figures --config '{}' --index clips.parquet --clips clips --annotations given.parquet …
    --maps results/fusion/maps/spm/solo.parquet … --summaries …/spm-paper.json … --histories …/history.parquet …
    --coverage coverage.csv --out figures
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section
from spm.corpus import reading
from spm.score.tables import ordered, rows, source_of

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]  # Okabe and Ito: safe for the colour-blind
SPLITS = dict(zip(("train", "val", "test"), COLOURS, strict=False))
HEAT = "inferno"  # also rises in grey
RC: Any = {
    "svg.hashsalt": "spm", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS), "figure.constrained_layout.use": True,
}  # fmt: skip


class Figures(Section):
    """How much is shown."""

    examples: int = Field(8, ge=1)  # frames with heat maps
    seed: int = 0  # of their choice: one at random for each of as many videos


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG and PNG, without a date, so that equal figures have equal bytes."""
    for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
        with tables.whole(path.with_suffix(suffix)) as part:
            figure.savefig(part, format=suffix[1:], metadata=metadata, dpi=110)


def _nothing(axes: Axes, why: str) -> None:
    """Say why a panel is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes)


def _words(names: str) -> str:
    """Categories as people write them."""
    return names.replace("_", " ")


def chosen(index: pa.Table, kept: pd.DataFrame, maps: pd.DataFrame, config: Figures) -> pd.DataFrame:
    """Frames to show: one at random of each video in turn, a boxed one where there is one, categories alternating."""
    frames = maps[["clip_id", "video_id", "frame"]].merge(
        index.select(["clip_id", "audible", "categories"]).to_pandas()
    )
    boxed = set(zip(kept["clip_id"], kept["frame"], strict=True))
    frames = frames.assign(boxed=[key in boxed for key in zip(frames["clip_id"], frames["frame"], strict=True)])
    shuffled = frames[frames["audible"]].sample(frac=1, random_state=config.seed)
    each = shuffled.sort_values("boxed", ascending=False, kind="stable").drop_duplicates("video_id")
    turn = each.groupby(each["categories"].map(tuple)).cumcount()
    return (
        each.assign(turn=turn)
        .sort_values(["turn", "boxed"], ascending=[True, False], kind="stable")
        .head(config.examples)
    )


def _pictures(index: pa.Table, clips: Path, frames: pd.DataFrame) -> Iterator[np.ndarray]:
    if frames.empty:
        return
    wanted = index.filter(pc.is_in(index["clip_id"], pa.array(frames["clip_id"])))
    jpegs = dict(zip(wanted["clip_id"].to_pylist(), reading.frames(wanted, clips), strict=True))
    for clip_id, frame in zip(frames["clip_id"], frames["frame"], strict=True):
        yield np.asarray(Image.open(io.BytesIO(jpegs[clip_id][frame])))


def _show(axes: Axes, picture: np.ndarray, boxes: pd.DataFrame, heat: np.ndarray | None = None) -> None:
    """A frame with its boxes, and a map over it, the more opaque the stronger."""
    height, width = picture.shape[:2]
    axes.imshow(picture)
    if heat is not None:
        relative = Image.fromarray(heat / max(float(heat.max()), 1e-12))
        smooth = np.asarray(relative.resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
        axes.imshow(smooth, cmap=HEAT, alpha=0.2 + 0.6 * smooth, vmin=0, vmax=1)
    for box in boxes.itertuples():
        corner, size = (box.x * width - 0.5, box.y * height - 0.5), (box.w * width, box.h * height)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", linewidth=1.5))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def heat_maps(
    pictures: Sequence[np.ndarray], frames: pd.DataFrame, kept: pd.DataFrame, maps: dict[str, pd.DataFrame]
) -> Figure:
    """A column a frame: the frame with its boxes, and below it each run's map."""
    if frames.empty:
        figure = Figure(figsize=(7, 1.5))
        _nothing(figure.subplots(), "no maps of audible test clips")
        return figure
    figure = Figure(figsize=(0.3 + 1.7 * len(frames), 0.5 + 1.75 * (1 + len(maps))))
    grid = figure.subplots(1 + len(maps), len(frames), squeeze=False)
    shown: list[Any] = list(frames.itertuples())
    for column, (picture, frame) in enumerate(zip(pictures, shown, strict=True)):
        boxes = kept[(kept.clip_id == frame.clip_id) & (kept.frame == frame.frame)]
        _show(grid[0, column], picture, boxes)
        grid[0, column].set_title("\n".join(map(_words, frame.categories)), fontsize=9)
        for row, table in enumerate(maps.values(), 1):
            found = table[(table.clip_id == frame.clip_id) & (table.frame == frame.frame)].iloc[0]
            _show(grid[row, column], picture, boxes, np.float32(found["map"]).reshape(found.height, found.width))
    for row, name in enumerate(["frame", *maps]):
        grid[row, 0].set_ylabel(name)
    scale = "each map over its own maximum" + ("; white: boxes that count" if len(kept) else "")
    figure.supxlabel(f"{len(frames)} test frames; {scale}", fontsize=9)
    return figure


def _bars(axes: Axes, name: tuple[Any, ...], group: pd.DataFrame) -> None:
    """AUC of one panel's runs and baselines, the first on top."""
    kind, boxes, protocol = name
    frames, videos = group[["frames", "videos"]].iloc[0]
    axes.set_title(f"{kind}, {boxes} boxes, protocol {protocol}: {frames} frames of {videos} videos", fontsize=9)
    if not frames:
        _nothing(axes, "no frame has a box that counts")
        return
    shown = group.iloc[::-1].astype({"auc": float, "auc low": float, "auc high": float})  # None: a single video
    reach = [shown["auc"] - shown["auc low"], shown["auc high"] - shown["auc"]]
    colour = [COLOURS[0] if trained else "#bbbbbb" for trained in shown["trained"]]
    axes.barh(shown["run"], shown["auc"], xerr=np.clip(reach, 0, None), color=colour, ecolor="#444444")
    measured = "AUC, with 95 % interval" if shown["auc low"].notna().any() else "AUC"
    axes.set(xlabel=measured, xlim=(0, 1), ylim=(-0.6, len(shown) - 0.4))
    axes.tick_params(axis="y", length=0)


def score_bars(table: pd.DataFrame) -> Figure:
    """AUC of every run and baseline with its 95 % interval, a panel each test set, boxes and protocol."""
    groups = list(table.groupby(["kind", "boxes", "protocol"], sort=False))
    lines = [0.9 + 0.19 * len(group) for _, group in groups] or [1.5]
    figure = Figure(figsize=(7, sum(lines)))
    panels = figure.subplots(len(lines), squeeze=False, height_ratios=lines)[:, 0]
    for axes, (name, group) in zip(panels, groups, strict=False):
        _bars(axes, name, group)
    if not groups:
        _nothing(panels[0], "no scores: corpus.boxes names no truth")
    return figure


def _curve(axes: Axes, histories: dict[str, pd.DataFrame], name: str) -> None:
    """One figure of every training by epoch."""
    for colour, table in zip(COLOURS * len(histories), histories.values(), strict=False):
        for split, style in (("train", "-"), ("val", "--")):
            part = table[(table["name"] == name) & (table["split"] == split)]
            axes.plot(part["epoch"] + 1, part["value"], style, color=colour, marker=".")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel=name)


def curves(histories: dict[str, pd.DataFrame]) -> Figure:
    """Loss and accuracy of each training by epoch; dashed on clips not trained on."""
    figure = Figure(figsize=(7, 2.8 + 0.15 * len(histories)))
    if not histories:
        _nothing(figure.subplots(), "no training")
        return figure
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        _curve(axes, histories, name)
    lines = [Line2D([], [], color=colour) for colour, _ in zip(COLOURS * len(histories), histories, strict=False)]
    names = list(histories)
    if any((table["split"] == "val").any() for table in histories.values()):
        lines += [Line2D([], [], color="#444444", linestyle=style) for style in ("-", "--")]
        names += ["on training clips", "on validation clips"]
    figure.legend(lines, names, loc="outside lower center", ncols=3, frameon=False, handlelength=2.5)
    return figure


def coverage_bars(coverage: pd.DataFrame) -> Figure:
    """Audible clips of each category and split (the paper's Fig. 6 counts videos)."""
    counts = coverage.pivot_table(index=["kind", "categories"], columns="split", values="audible", aggfunc="sum")
    figure = Figure(figsize=(7, 1.2 + 0.2 * len(counts)))
    axes = figure.subplots()
    if counts.empty:
        _nothing(axes, "no videos listed")
        return figure
    counts = counts.sort_index(ascending=[False, True]).fillna(0)
    left = np.zeros(len(counts))
    for split in [name for name in SPLITS if name in counts]:
        label = f"{split}: {counts[split].sum():.0f} clips"
        names = [f"{kind}: {_words(names.replace(' ', ' + '))}" for kind, names in counts.index]
        axes.barh(names, counts[split], left=left, label=label, color=SPLITS[split])
        left += counts[split].to_numpy()
    axes.set(xlabel="audible clips of 1 s", ylim=(len(counts) - 0.4, -0.6))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def _kept(annotations: Sequence[Path]) -> pd.DataFrame:
    """Boxes that count, of the first source that there is."""
    table = tables.read(annotations[0]) if annotations else tables.ANNOTATIONS.empty_table()
    kept: pd.DataFrame = table.filter(pc.equal(table["status"], "kept")).to_pandas()
    return kept


def _named_histories(paths: Sequence[Path]) -> dict[str, pd.DataFrame]:
    return {path.parent.name: tables.read(path).to_pandas() for path in paths}


def run(
    config: Figures,
    *,
    index: Path,
    clips: Path,
    coverage: Path,
    annotations: list[Path],
    maps: list[Path],
    summaries: list[Path],
    histories: list[Path],
    out: Path,
) -> None:
    """Draw every figure into the folder `out`; the heat maps are those of the first test set."""
    indexed = tables.read(index)
    first = [path for path in maps if path.stem == maps[0].stem]
    by_run: dict[str, Any] = {path.parent.name: tables.read(path).to_pandas() for path in first}
    kept = _kept(annotations)
    mapped = next(iter(by_run.values()), tables.MAPS.empty_table().to_pandas())
    frames = chosen(indexed, kept, mapped, config)
    shown = sorted({source_of(path).protocol for path in summaries}, key=lambda name: (name != "spm-paper", name))[:1]
    scored = [path for path in summaries if source_of(path).protocol in shown]
    with mpl.rc_context(RC):
        save(heat_maps(list(_pictures(indexed, clips, frames)), frames, kept, by_run), out / "heatmaps")
        save(score_bars(ordered(list(rows(scored)))), out / "scores")
        save(curves(_named_histories(histories)), out / "training")
        save(coverage_bars(pd.read_csv(coverage)), out / "coverage")


if __name__ == "__main__":
    stage.main(run)
