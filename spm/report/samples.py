"""A sheet of training clips of each category: a frame and the log-mel spectrogram of its sound.

python -m spm.report.samples --config '{}' --index clips.parquet --clips clips
    --spectrograms spectrograms --out samples
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
from spm.base.config import Section, Seed
from spm.base.constants import N_MELS
from spm.base.statuses import Split
from spm.corpus import clip_reader
from spm.report import plotting

COLUMNS = 6


class Samples(Section):
    """The sheet of training clips."""

    clips: int = Field(
        12, ge=1, le=1_000, description="Number of training clips shown; the categories take turns."
    )
    seed: Seed = Field(0, description="Random seed of the choice of clips.")


def choose(rows: pa.Table, config: Samples) -> pa.Table:
    """Clips at random, one of each category in turn, in the order of their categories."""
    names = pd.Series([" + ".join(names) for names in rows["categories"].to_pylist()], dtype=str)
    shuffled = names.sample(frac=1, random_state=config.seed)
    turn = shuffled.groupby(shuffled).cumcount()
    first = turn.sort_values(kind="stable").head(config.clips).index
    return rows.take(pa.array(names[first].sort_values(kind="stable").index, pa.int64()))


def log_mels(rows: pa.Table, spectrograms: Path) -> NDArray[np.float32]:
    """Log-mel spectrograms of clips in dB, (clips, frames, mels)."""
    flat = clip_reader.log_mels(rows, spectrograms).astype(np.float32)
    return flat.reshape(rows.num_rows, -1, N_MELS)


def _spectrogram(axes: Axes, mel: NDArray[np.float32]) -> Any:
    """Draw one spectrogram; all have the same range of colors."""
    extent = (0, 1, 0, N_MELS)
    image = axes.imshow(
        mel.T, origin="lower", aspect="auto", cmap="magma", extent=extent, vmin=-80, vmax=20
    )
    axes.set(xticks=[0, 0.5, 1], yticks=[0, N_MELS])
    return image


def sheet(
    pictures: Sequence[plotting.Pixels], mels: NDArray[np.float32], rows: list[dict[str, Any]]
) -> Figure:
    """Draw a column per clip: its first frame and, below it, its spectrogram."""
    if not rows:
        return plotting.empty("no audible training clips")
    columns, lines = min(COLUMNS, len(rows)), -(-len(rows) // COLUMNS)
    figure = Figure(figsize=(0.9 + 1.6 * columns, 0.4 + 3.2 * lines))
    grid = figure.subplots(2 * lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for number, (picture, mel, row) in enumerate(zip(pictures, mels, rows, strict=True)):
        line, column = divmod(number, columns)
        above, below = grid[2 * line, column], grid[2 * line + 1, column]
        plotting.show(above, picture, pd.DataFrame())
        title = plotting.label("\n+ ".join(row["categories"]))
        above.set_title(f"{title}\n{row['rms_db']:.0f} dB", fontsize=8)
        image = _spectrogram(below, mel)
        above.set_visible(True)
        below.set_visible(True)
        if column == 0:
            below.set(xlabel="time (s)", ylabel="mel band")
    figure.colorbar(image, ax=grid, label="dB", shrink=0.5)
    caption = f"{len(rows)} training clips; above each: sound level in dB re full scale"
    figure.supxlabel(caption, fontsize=9)
    return figure


def run(config: Samples, *, index: Path, clips: Path, spectrograms: Path, out: Path) -> None:
    """Draw the sheet as `samples.svg` and `samples.png` in the folder `out`."""
    rows = choose(clip_reader.select(index, split=Split.TRAIN), config)
    frames = pd.DataFrame({"clip_id": rows["clip_id"].to_pylist(), "frame": 0})
    pictures = list(plotting.read_frames(tables.read(index), clips, frames))
    mels = log_mels(rows, spectrograms) if rows.num_rows else np.zeros((0, 1, N_MELS), np.float32)
    with mpl.rc_context(plotting.RC):
        plotting.save(sheet(pictures, mels, rows.to_pylist()), out / "samples")


if __name__ == "__main__":
    stage.main(run)
