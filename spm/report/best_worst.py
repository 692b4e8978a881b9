"""Where a run is right and where it is wrong: its best, median and worst frames, with their boxes.

python -m spm.report.best_worst --config '{}' --index clips.parquet --clips clips --annotations given.parquet
    --maps results/fusion/maps/spm/solo.parquet … --scores …/spm/solo/given/spm-paper.parquet … --out extremes
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section
from spm.report import plotting


class BestWorst(Section):
    """How much is shown."""

    each: int = Field(4, ge=1)  # frames of each sort, of as many videos


def chosen(frames: pd.DataFrame, each: int) -> pd.DataFrame:
    """The frames whose IoU is highest, nearest to the median, and lowest, one a video, with their `sort`."""
    nearness = {
        "best": -frames["iou"],
        "median": (frames["iou"] - frames["iou"].median()).abs(),
        "worst": frames["iou"],
    }
    return pd.concat(
        frames.assign(sort=sort, by=by)
        .sort_values(["by", "clip_id", "frame"])
        .drop_duplicates("video_id")
        .head(each)
        for sort, by in nearness.items()
    )


def sheet(name: str, pictures: Sequence[plotting.Pixels], shown: pd.DataFrame, maps: pd.DataFrame,
          kept: pd.DataFrame, count: int) -> Figure:  # fmt: skip
    """A row a sort: each frame under its map, with its boxes and its IoU."""
    if shown.empty:
        return plotting.empty(
            "no scores: corpus.boxes names no truth, or no frame has a box that counts"
        )
    columns = int(shown["sort"].value_counts().max())
    figure = Figure(figsize=(0.4 + 1.75 * columns, 0.6 + 2.0 * 3))
    grid = dict(
        zip(("best", "median", "worst"), figure.subplots(3, columns, squeeze=False), strict=True)
    )
    for axes in np.concatenate(list(grid.values())):
        axes.set_axis_off()
    free = {sort: iter(row) for sort, row in grid.items()}
    rows: list[Any] = list(shown.itertuples())
    for picture, frame in zip(pictures, rows, strict=True):
        axes = next(free[frame.sort])
        axes.set_axis_on()
        heat = plotting.map_of(plotting.of_frame(maps, frame).iloc[0])
        plotting.show(axes, picture, plotting.of_frame(kept, frame), heat)
        axes.set_title(
            f"IoU {frame.iou:.2f}: {plotting.words(' + '.join(frame.categories))}", fontsize=8
        )
    for sort, row in grid.items():
        row[0].set_ylabel(sort)
    figure.suptitle(f"{name}: of {count} test frames", fontsize=10)
    return figure


def run(
    config: BestWorst, *, index: Path, clips: Path, annotations: list[Path], maps: list[Path], scores: list[Path],
    out: Path,
) -> None:  # fmt: skip
    """Draw a sheet a run, `<run>.svg` and `.png` in the folder `out`."""
    indexed, kept = tables.read(index), plotting.kept(annotations)
    scored = {path.parts[-4]: path for path in scores}  # …/<run>/<kind>/<boxes>/<protocol>.parquet
    for path in maps:
        name = path.parent.name
        frames = tables.read(scored[name]) if name in scored else tables.SCORES.empty_table()
        shown = chosen(frames.to_pandas(), config.each)
        pictures = list(plotting.pictures(indexed, clips, shown))
        heat = plotting.single(tables.read(path).to_pandas())
        with mpl.rc_context(plotting.RC):
            plotting.save(sheet(name, pictures, shown, heat, kept, frames.num_rows), out / name)


if __name__ == "__main__":
    stage.main(run)
