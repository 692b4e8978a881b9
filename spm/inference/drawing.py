"""Heat, boxes, text and a legend, drawn on frames; colors show values of the scale from 0 to 1."""

from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from spm.inference.localization import SIDES, Localization, Maps

# The lightness of this color map rises: it can be read in gray and by the color-blind. Its darkest
# fifth is left out: it looks like shadows.
COLOR_MAP, DARKEST = "inferno", 0.2
OPACITY, OPAQUE_HEAT = 0.7, 0.5  # largest opacity, and the heat from which it is reached
BACKGROUND = (18, 18, 18)
LEGEND_BACKGROUND = (128, 128, 128)  # the heat is transparent where it is low
LINE_HEIGHT = 1.5  # of text, in font sizes
LEGEND_WIDTH = 12  # in font sizes, at most

Pixels = NDArray[np.uint8]


def rgba(heat: Maps, size: tuple[int, int]) -> Pixels:
    """One map (h, w) in [0, 1] as colors of a frame: cold pixels are transparent.

    Parameters
    ----------
    heat : array, shape (h, w)
    size : tuple of int
        Width and height of the frame, in px.

    Returns
    -------
    array, shape (height, width, 4), uint8
    """
    image = Image.fromarray(heat).resize(size, Image.Resampling.BICUBIC)
    smooth = np.asarray(image).clip(0, 1)
    colors = heat_colors(smooth)
    colors[..., 3] = np.rint(255 * OPACITY * (smooth / OPAQUE_HEAT).clip(max=1))
    return colors


def heat_colors(values: Maps) -> Pixels:
    """Colors (…, 4) of values in [0, 1] (…), opaque."""
    return np.asarray(mpl.colormaps[COLOR_MAP](DARKEST + (1 - DARKEST) * values, bytes=True))


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, in px."""
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)


def shorten(text: str, width: float, size: int) -> str:
    """The text, cut at its end with "…" if it is wider than `width` px."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip(" ,·") + "…" if text else ""


def write(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, width: float, size: int
) -> float:
    """Write a line of text that is at most `width` px wide; its width in px is returned."""
    short = shorten(text, width, size)
    draw.text(place, short, fill="white", font=font(size))
    return font(size).getlength(short)


def labels(row: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The boxes of a row of `Localization`, each with its text; none if there is no heat."""
    objects = row.get("objects") or []
    if objects:
        return [(f"{found['category']} {found['score']:.2f}", found) for found in objects]
    return [] if row["x"] is None else [(f"{row['score']:.2f}", row)]


def draw_boxes(image: Image.Image, row: dict[str, Any], size: int) -> None:
    """Draw the boxes of a row on a frame, each with its category and score, as text of `size`."""
    draw, (width, height) = ImageDraw.Draw(image), image.size
    line = max(2, size // 8)
    for text, place in labels(row):
        x, y, w, h = (place[side] for side in SIDES)
        left, top = x * (width - 1), y * (height - 1)
        right, bottom = (x + w) * (width - 1), (y + h) * (height - 1)
        draw.rectangle([left, top, right, bottom], outline="black", width=line + 2)
        draw.rectangle([left + 1, top + 1, right - 1, bottom - 1], outline="white", width=line)
        short = shorten(text, width - 2, size)
        text_width = font(size).getlength(short) + size // 2
        text_left = min(left, width - text_width)
        text_top = max(top - LINE_HEIGHT * size, 0)
        corner = (text_left + text_width, text_top + LINE_HEIGHT * size)
        draw.rectangle([text_left, text_top, *corner], fill="white")
        draw.text((text_left + size // 4, text_top + size // 5), short, fill="black",
                  font=font(size))  # fmt: skip


def legend(size: int, threshold: float, most_width: float) -> Image.Image:
    """A color bar of the scale from 0 to 1, with a mark at the threshold, for text of `size` px."""
    width = max(3 * size, min(LEGEND_WIDTH * size, round(most_width)))
    height = round(LINE_HEIGHT * size)
    image = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    left, right = size, width - size
    draw.text((0, size // 5), "0", fill="white", font=font(size))
    draw.text((right + size // 4, size // 5), "1", fill="white", font=font(size))
    bar = Image.new("RGBA", (right - left, size), (*LEGEND_BACKGROUND, 255))
    ramp = np.linspace(0, 1, right - left, dtype=np.float32)[None]
    bar.alpha_composite(Image.fromarray(rgba(ramp, bar.size)))
    image.paste(bar.convert("RGB"), (left, size // 4))
    mark = left + round(threshold * (right - left - 1))
    draw.line([mark, 0, mark, height], fill="white", width=max(1, size // 8))
    return image


def class_text(classes: list[dict[str, Any]]) -> str:
    """Audio classes and their scores, in one line.

    >>> class_text([{"class": "Violin, fiddle", "score": 0.91}, {"class": "Music", "score": 0.8}])
    'heard: Violin, fiddle 0.91 · Music 0.80'
    """
    if not classes:
        return "heard: no known sound"
    return "heard: " + " · ".join(f"{each['class']} {each['score']:.2f}" for each in classes)


def score_text(row: dict[str, Any]) -> str:
    """Time, score and category of a row, in one line."""
    parts = [f"{row['start_s']} s", f"score {row['score']:.2f}" if row["audible"] else "silent"]
    if row.get("category"):
        parts.append(row["category"])
    return " · ".join(parts)


def heard_text(localization: Localization, row: dict[str, Any]) -> str:
    """What was heard in the second of a row; empty if the network has no audio classes."""
    if localization.class_scores is None or not row["audible"]:
        return ""
    return class_text(row["heard"])
