"""A sheet of frames of one video, with heat, boxes, scores, what was heard, and a legend."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from spm.base import tables
from spm.inference import drawing
from spm.inference.localization import Localization

TILE = 240  # px of the longer side of a frame
GAP = 8  # px between tiles
PAGE = 1480  # px, the largest width
NARROWEST_TILE = 130  # px, so that there is room for text
TILES = 24  # most frames
TEXT = 12  # px
LINE = round(drawing.LINE_HEIGHT * TEXT)


def write(localization: Localization, out: Path) -> None:
    """Write a PNG with frames of seconds that are evenly spread over the video.

    Frames have the proportions of the video. Below each frame are its time, score and category and
    what was heard. Frames of silent seconds are gray.
    """
    frames = list(localization.strongest_frames())
    spread = np.linspace(0, len(frames) - 1, min(TILES, len(frames)))
    tiles = [tile(localization, frames[number]) for number in np.unique(spread.astype(int))]
    width, height = tiles[0].width + GAP, tiles[0].height + GAP
    rows = -(-len(tiles) // max(1, PAGE // width))
    columns = -(-len(tiles) // rows)
    top = header(localization, max(columns * width - GAP, 2 * TILE))
    page = Image.new(
        "RGB", (top.width + 2 * GAP, top.height + rows * height + 2 * GAP), drawing.BACKGROUND
    )
    page.paste(top, (GAP, GAP))
    for number, picture in enumerate(tiles):
        row, column = divmod(number, columns)
        page.paste(picture, (GAP + column * width, GAP + top.height + GAP + row * height))
    with tables.atomic_write(out) as part:
        page.save(part, "PNG")


def frame_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a frame on the sheet, in px, for a video of this size.

    >>> frame_size((1920, 1080)), frame_size((1080, 1920))
    ((240, 135), (135, 240))
    """
    scale = TILE / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


def header(localization: Localization, width: int) -> Image.Image:
    """Two lines: the network and the legend, and what was heard in the video."""
    image = Image.new("RGB", (width, 2 * LINE + GAP), drawing.BACKGROUND)
    draw = ImageDraw.Draw(image)
    legend = drawing.legend(TEXT, localization.threshold, width)
    image.paste(legend, (width - legend.width, 0))
    room = width - legend.width - TEXT
    drawing.write(draw, (0, 2), f"network: {localization.network}", room, TEXT)
    if localization.class_scores:
        text = drawing.class_text(localization.audio_classes())
        drawing.write(draw, (0, 2 + LINE), text, width, TEXT)
    return image


def tile(localization: Localization, frame: int) -> Image.Image:
    """One frame of the sheet, with its text below it."""
    row = localization.row(frame)
    picture = draw_frame(localization, frame, row)
    width = max(picture.width, NARROWEST_TILE)
    image = Image.new("RGB", (width, picture.height + 2 * LINE), drawing.BACKGROUND)
    image.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(image)
    for number, text in enumerate([drawing.score_text(row), drawing.heard_text(localization, row)]):
        drawing.write(draw, (0, picture.height + 2 + number * LINE), text, width, TEXT)
    return image


def draw_frame(localization: Localization, frame: int, row: dict[str, Any]) -> Image.Image:
    """A frame in the proportions of the video, with its heat and its boxes."""
    picture = Image.open(io.BytesIO(localization.frames[frame]))
    colors = "RGB" if row["audible"] else "L"
    size = frame_size(localization.size)
    image = picture.convert(colors).convert("RGBA").resize(size, Image.Resampling.LANCZOS)
    image.alpha_composite(Image.fromarray(drawing.rgba(localization.heat[frame], size)))
    drawing.draw_boxes(image, row, TEXT)
    return image.convert("RGB")
