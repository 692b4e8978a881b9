"""Sheets of the best, median and worst test frames of each run, with maps and boxes.

python -m spm.report.best_worst --config '{}' --index clips.parquet --clips clips
    --annotations given.parquet --maps results/fusion/maps/spm/solo.parquet …
    --scores …/spm/solo/given/spm-paper.parquet … --out best_worst
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from spm.base import schemas, stage, tables
from spm.base.config import Section
from spm.report import plotting
from spm.report.summaries import summary_key

GROUPS = ("best", "median", "worst")


class BestWorst(Section):
    """The sheets of the best, median and worst test frames, one sheet per run."""

    frames: int = Field(
        4,
        ge=1,
        le=100,
        description="Number of best, of median and of worst frames shown; each row shows at most"
        " one frame per video.",
    )


def choose(frames: pd.DataFrame, count: int) -> pd.DataFrame:
    """The frames with the highest IoU, nearest to the median, and with the lowest IoU.

    Each group has at most `count` frames, all of different videos; column `group` names the group.
    """
    iou = frames["iou"]
    distances = {"best": -iou, "median": (iou - iou.median()).abs(), "worst": iou}
    groups = []
    for group, distance in distances.items():
        table = frames.assign(group=group, distance=distance)
        table = table.sort_values(["distance", "clip_id", "frame"])
        groups.append(table.drop_duplicates("video_id").head(count))
    return pd.concat(groups)


def sheet(
    title: str,
    pictures: Sequence[plotting.Pixels],
    frames: pd.DataFrame,
    maps: pd.DataFrame,
    boxes: pd.DataFrame,
) -> Figure:
    """Draw a row per group: each frame with its map, its boxes and its IoU."""
    if frames.empty:
        return plotting.empty("no scores: corpus.boxes is empty, or no test frame has a kept box")
    columns = int(frames["group"].value_counts().max())
    figure = Figure(figsize=(0.4 + 1.75 * columns, 0.6 + 2.0 * 3))
    panels = figure.subplots(len(GROUPS), columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    used = dict.fromkeys(GROUPS, 0)  # panels of each row that are drawn
    rows: list[Any] = list(frames.itertuples())
    for picture, frame in zip(pictures, rows, strict=True):
        axes = panels[GROUPS.index(frame.group), used[frame.group]]
        used[frame.group] += 1
        axes.set_axis_on()
        heat = plotting.map_of(plotting.of_frame(maps, frame).iloc[0])
        plotting.show(axes, picture, plotting.of_frame(boxes, frame), heat)
        labels = plotting.join_labels(frame.categories)
        axes.set_title(f"IoU {frame.iou:.2f}: {labels}", fontsize=8)
    for group, row in zip(GROUPS, panels, strict=True):
        row[0].set_ylabel(group)
    figure.suptitle(title, fontsize=10)
    return figure


def run(
    config: BestWorst,
    *,
    index: Path,
    clips: Path,
    annotations: list[Path],
    maps: list[Path],
    scores: list[Path],
    out: Path,
) -> None:
    """Draw a sheet per run, `<run>.svg` and `<run>.png` in the folder `out`."""
    indexed, boxes = tables.read(index), plotting.kept_boxes(annotations)
    scored = {summary_key(path).run: path for path in scores}
    for path in maps:
        name = path.parent.name
        run_scores = (
            tables.read(scored[name]) if name in scored else schemas.SCORES.schema.empty_table()
        )
        frames = choose(run_scores.to_pandas(), config.frames)
        pictures = list(plotting.read_frames(indexed, clips, frames))
        heat = plotting.without_categories(tables.read(path).to_pandas())
        title = f"{name}: of {run_scores.num_rows} test frames"
        with mpl.rc_context(plotting.RC):
            plotting.save(sheet(title, pictures, frames, heat, boxes), out / name)


if __name__ == "__main__":
    stage.main(run)
