"""What pictures of the results have in common: colors, frames under maps and boxes, files of equal bytes."""

import io
from collections.abc import Iterator
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

from spm.base import tables
from spm.corpus import clip_reader

COLORS = [
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
]  # Okabe and Ito: safe for the color-blind
HATCHES = ["", "////", "....", "xxxx", "\\\\\\\\", "++++"]  # beside them, for who prints in gray
MARKERS = "os^DvP"
HEAT = "inferno"  # also rises in gray
RC: Any = {
    "svg.hashsalt": "spm", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLORS), "figure.constrained_layout.use": True, "hatch.linewidth": 0.5,
}  # fmt: skip

Pixels = NDArray[np.uint8]


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG and PNG, without a date, so that equal figures have equal bytes."""
    for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
        with tables.atomic_write(path.with_suffix(suffix)) as part:
            figure.savefig(part, format=suffix[1:], metadata=metadata, dpi=110)


def nothing(axes: Axes, why: str) -> None:
    """Say why a panel is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes)


def empty(why: str) -> Figure:
    """A figure that only says why there is none."""
    figure = Figure(figsize=(7, 1.5))
    nothing(figure.subplots(), why)
    return figure


def words(names: str) -> str:
    """Categories as people write them."""
    return names.replace("_", " ")


def styles(names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A color and a marker for each name; the pair repeats after thirty."""
    for number, name in enumerate(names):
        yield name, {"color": COLORS[number % 6], "marker": MARKERS[(number + number // 30) % 5]}


def pictures(index: pa.Table, clips: Path, frames: pd.DataFrame) -> Iterator[Pixels]:
    """The pictures of frames, named by `clip_id` and `frame`, each (height, width, 3)."""
    if frames.empty:
        return
    wanted = index.filter(pc.is_in(index["clip_id"], pa.array(frames["clip_id"])))
    jpegs = dict(zip(wanted["clip_id"].to_pylist(), clip_reader.frames(wanted, clips), strict=True))
    for clip_id, frame in zip(frames["clip_id"], frames["frame"], strict=True):
        yield np.asarray(Image.open(io.BytesIO(jpegs[clip_id][frame])))


def single(maps: pd.DataFrame) -> pd.DataFrame:
    """The one map of each frame, without those of categories."""
    return maps.loc[maps["category"].isna()]


def map_of(row: Any) -> NDArray[np.float32]:
    """The map of a row, by its columns' names: (height, width)."""
    return np.asarray(row["map"], np.float32).reshape(row["height"], row["width"])


def overlaid(picture: Pixels, heat: NDArray[np.float32], top: float | None = None) -> Pixels:
    """A picture (h, w, 3) under a map of any size, relative to `top` or its own maximum, the more opaque the hotter."""
    height, width = picture.shape[:2]
    relative = Image.fromarray(heat / max(float(heat.max()) if top is None else top, 1e-12))
    smooth = np.asarray(relative.resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    alpha = (0.2 + 0.6 * smooth)[..., None]
    mixed: Pixels = (
        picture * (1 - alpha) + 255 * mpl.colormaps[HEAT](smooth)[..., :3] * alpha
    ).astype(np.uint8)
    return mixed


def show(
    axes: Axes, picture: Pixels, boxes: pd.DataFrame, heat: NDArray[np.float32] | None = None
) -> None:
    """A frame with its boxes in white, and a map over it."""
    height, width = picture.shape[:2]
    axes.imshow(picture if heat is None else overlaid(picture, heat))
    for box in boxes.itertuples():
        corner, size = (box.x * width - 0.5, box.y * height - 0.5), (box.w * width, box.h * height)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", linewidth=1.5))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def kept(annotations: list[Path]) -> pd.DataFrame:
    """Boxes that count, of the first source that there is."""
    table = tables.read(annotations[0]) if annotations else tables.ANNOTATIONS.empty_table()
    found: pd.DataFrame = table.filter(pc.equal(table["status"], "kept")).to_pandas()
    return found


def of_frame(boxes: pd.DataFrame, frame: Any) -> pd.DataFrame:
    """The boxes of one frame."""
    found: pd.DataFrame = boxes[
        (boxes["clip_id"] == frame.clip_id) & (boxes["frame"] == frame.frame)
    ]
    return found
