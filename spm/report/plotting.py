"""Functions that all figures share: colors, frames with maps and boxes, files with equal bytes."""

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
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from spm.base import schemas, tables
from spm.base.pictures import open_picture
from spm.boxes.statuses import BoxStatus
from spm.corpus import clip_reader

# Okabe and Ito's colors, which color-blind readers can tell apart.
COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
HATCHES = ["", "////", "....", "xxxx", "\\\\\\\\", "++++"]  # tell bars apart when printed in gray
MARKERS = "os^DvP"
HEAT = "inferno"  # its lightness rises, so maps can also be read in gray
# Matplotlib's own defaults first: a file `matplotlibrc` in the working directory has no effect.
DEFAULTS: Any = mpl.rcParamsDefault
RC: Any = {
    **{name: DEFAULTS[name] for name in DEFAULTS if "backend" not in name},
    "svg.hashsalt": "spm",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLORS),
    "figure.constrained_layout.use": True,
    "hatch.linewidth": 0.5,
}

Pixels = NDArray[np.uint8]


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG and PNG, without a date, so that equal figures have equal bytes."""
    for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
        with tables.atomic_write(path.with_suffix(suffix)) as part:
            figure.savefig(part, format=suffix[1:], metadata=metadata, dpi=110)


def write_message(axes: Axes, message: str) -> None:
    """Show a message in place of a panel's content."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, message, ha="center", va="center", transform=axes.transAxes)


def empty(message: str) -> Figure:
    """A figure that shows only a message: why there is nothing to draw."""
    figure = Figure(figsize=(7, 1.5))
    write_message(figure.subplots(), message)
    return figure


def label(name: str) -> str:
    """A category as it is printed: `acoustic_guitar` becomes `acoustic guitar`."""
    return name.replace("_", " ")


def join_labels(categories: Sequence[str]) -> str:
    """Categories as they are printed, with + between them."""
    return label(" + ".join(categories) or "unknown")


def styles(names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A color and a marker for each name; the first hundred pairs are different.

    Up to twelve names have colors that color-blind readers can tell apart, with markers.
    """
    many: Any = mpl.colormaps["tab20"]
    colors = COLORS if len(names) <= 2 * len(COLORS) else many.colors
    for number, name in enumerate(names):
        marker = MARKERS[(number // len(colors) + number) % len(MARKERS)]
        yield name, {"color": colors[number % len(colors)], "marker": marker}


def read_frames(index: pa.Table, clips: Path, frames: pd.DataFrame) -> Iterator[Pixels]:
    """The pictures of frames, given by `clip_id` and `frame`, each of shape (height, width, 3)."""
    if frames.empty:
        return
    rows = index.filter(pc.is_in(index["clip_id"], pa.array(frames["clip_id"])))
    jpegs = dict(zip(rows["clip_id"].to_pylist(), clip_reader.frames(rows, clips), strict=True))
    for clip_id, frame in zip(frames["clip_id"], frames["frame"], strict=True):
        yield np.asarray(open_picture(io.BytesIO(jpegs[clip_id][frame])))


def maps_of_first_testset(maps: Sequence[Path], baseline_maps: Sequence[Path]) -> dict[str, Path]:
    """Tables of maps of the first test set, by the name of their run or baseline.

    Parameters
    ----------
    maps : sequence of Path
        Tables of the runs, …/<run>/<testset>.parquet.
    baseline_maps : sequence of Path
        Tables of the networks that are baselines, …/<testset>/<baseline>.parquet.
    """
    testset = maps[0].stem if maps else ""
    found = {path.parent.name: path for path in maps if path.stem == testset}
    of_baselines = [path for path in baseline_maps if path.parent.name == testset]
    return found | {path.stem: path for path in of_baselines}


def without_categories(maps: pd.DataFrame) -> pd.DataFrame:
    """The map of each whole frame, without the maps per category."""
    return maps.loc[maps["category"].isna()]


def map_of(row: Any) -> NDArray[np.float32]:
    """The map in a row of a table of maps, (height, width)."""
    return np.asarray(row["map"], np.float32).reshape(row["height"], row["width"])


def overlaid(picture: Pixels, heat: NDArray[np.float32], top: float | None = None) -> Pixels:
    """Blend a map of any size over a picture (height, width, 3); hotter pixels are more opaque.

    The map is shown relative to `top`, or to its own maximum.
    """
    height, width = picture.shape[:2]
    relative = Image.fromarray(heat / max(float(heat.max()) if top is None else top, 1e-12))
    smooth = np.asarray(relative.resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    alpha = (0.2 + 0.6 * smooth)[..., None]  # (height, width, 1)
    colors = 255 * mpl.colormaps[HEAT](smooth)[..., :3]
    mixed: Pixels = (picture * (1 - alpha) + colors * alpha).astype(np.uint8)
    return mixed


def show(
    axes: Axes,
    picture: Pixels,
    boxes: pd.DataFrame,
    heat: NDArray[np.float32] | None = None,
    top: float | None = None,
) -> None:
    """Draw a frame with its boxes in white and, if given, a map over it, relative to `top`."""
    height, width = picture.shape[:2]
    axes.imshow(picture if heat is None else overlaid(picture, heat, top))
    for box in boxes.itertuples():
        corner, size = (box.x * width - 0.5, box.y * height - 0.5), (box.w * width, box.h * height)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", linewidth=1.5))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def color_bar(axes: Axes, top: float) -> None:
    """Draw the colors of heat from 0 to `top`."""
    axes.imshow(np.linspace(1, 0, 256)[:, None], cmap=HEAT, aspect="auto", extent=(0, 1, 0, top))
    axes.set(xticks=[], yticks=[0, top], yticklabels=["0", f"{top:.2g}"])
    axes.yaxis.tick_right()


def kept_boxes(annotations: list[Path]) -> pd.DataFrame:
    """The boxes with status `kept` of the first file; an empty table without files."""
    table = tables.read(annotations[0]) if annotations else schemas.ANNOTATIONS.schema.empty_table()
    boxes: pd.DataFrame = table.filter(pc.equal(table["status"], BoxStatus.KEPT)).to_pandas()
    return boxes


def of_frame(table: pd.DataFrame, frame: Any) -> pd.DataFrame:
    """The rows of a table of boxes or maps that belong to one frame."""
    rows: pd.DataFrame = table[
        (table["clip_id"] == frame.clip_id) & (table["frame"] == frame.frame)
    ]
    return rows
