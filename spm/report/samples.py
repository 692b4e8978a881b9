"""What is learnt from, to look at: training clips of each category, a frame and its log-mel spectrogram.

python -m spm.report.samples --config '{}' --index clips.parquet --clips clips --spectrograms spectrograms --out samples
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section
from spm.base.schemas import MELS
from spm.corpus import clip_reader
from spm.report import plotting

COLUMNS = 6


class Samples(Section):
    """How much is shown."""

    clips: int = Field(12, ge=1)  # training clips, categories in turn
    seed: int = 0  # of their choice


def chosen(rows: pa.Table, config: Samples) -> pa.Table:
    """Clips at random, one of each category in turn, in the order of their categories."""
    names = pd.Series([" + ".join(names) for names in rows["categories"].to_pylist()], dtype=str)
    shuffled = names.sample(frac=1, random_state=config.seed)
    turn = shuffled.groupby(shuffled).cumcount()
    first = turn.sort_values(kind="stable").head(config.clips).index
    return rows.take(pa.array(names[first].sort_values(kind="stable").index, pa.int64()))


def log_mels(rows: pa.Table, spectrograms: Path) -> NDArray[np.float32]:
    """Log-mels of clips in dB, (clips, frames, mels)."""
    return (
        clip_reader.log_mels(rows, spectrograms).astype(np.float32).reshape(rows.num_rows, -1, MELS)
    )


def _spectrogram(axes: Axes, mel: NDArray[np.float32]) -> Any:
    image = axes.imshow(
        mel.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, 1, 0, MELS),
        vmin=-80,
        vmax=20,
    )
    axes.set(xticks=[0, 0.5, 1], yticks=[0, MELS])
    return image


def sheet(
    pictures: Sequence[plotting.Pixels], mels: NDArray[np.float32], rows: list[dict[str, Any]]
) -> Figure:
    """A column a clip: its first frame, and below it its sound."""
    if not rows:
        return plotting.empty("no audible training clips")
    columns, lines = min(COLUMNS, len(rows)), -(-len(rows) // COLUMNS)
    figure = Figure(figsize=(0.9 + 1.6 * columns, 0.4 + 3.2 * lines))
    grid = figure.subplots(2 * lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for number, (picture, mel, row) in enumerate(zip(pictures, mels, rows, strict=True)):
        above, below = grid[2 * (number // columns) : 2 * (number // columns) + 2, number % columns]
        plotting.show(above, picture, pd.DataFrame())
        above.set_title(
            plotting.words("\n+ ".join(row["categories"])) + f"\n{row['rms_db']:.0f} dB", fontsize=8
        )
        image = _spectrogram(below, mel)
        above.set_visible(True)
        below.set_visible(True)
        if number % columns == 0:
            below.set(xlabel="time (s)", ylabel="mel band")
    figure.colorbar(image, ax=grid, label="dB", shrink=0.5)
    figure.supxlabel(f"{len(rows)} training clips; above each its level re full scale", fontsize=9)
    return figure


def run(config: Samples, *, index: Path, clips: Path, spectrograms: Path, out: Path) -> None:
    """Draw the sheet, `samples.svg` and `.png` in the folder `out`."""
    rows = chosen(clip_reader.select(index, split="train"), config)
    frames = pd.DataFrame({"clip_id": rows["clip_id"].to_pylist(), "frame": 0})
    pictures = list(plotting.pictures(tables.read(index), clips, frames))
    mels = log_mels(rows, spectrograms) if rows.num_rows else np.zeros((0, 1, MELS), np.float32)
    with mpl.rc_context(plotting.RC):
        plotting.save(sheet(pictures, mels, rows.to_pylist()), out / "samples")


if __name__ == "__main__":
    stage.main(run)
