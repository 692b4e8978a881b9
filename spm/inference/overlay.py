"""Pictures of localizations: a video with the heat over it and its sound, and a sheet of frames."""

import io
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ffmpeg
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from spm.base import tables
from spm.base.errors import UserError
from spm.corpus.media.ffmpeg import binary
from spm.corpus.media.probe import Media, probe
from spm.inference.localize import Localization, Maps, ignore

HEAT = "inferno"  # its lightness rises: it can be read in gray and by the color-blind
FPS = 12  # frame rate of the heat, which is interpolated between maps
SIDE = 96  # px of the heat before ffmpeg scales it to the size of the video
STRENGTH = 0.75  # opacity of the hottest pixel
TILE, COLUMNS, TILES = 176, 6, 24  # of a sheet: px of a frame, frames per row, most frames

Pixels = NDArray[np.uint8]


def relative_heat(localization: Localization) -> Maps:
    """Maps relative to the highest value in the video, (n, h, w); 0 in silent seconds."""
    maps = localization.maps
    return maps / max(float(maps.max()), 1e-6) * localization.audible()[:, None, None]


def rgba(heat: Maps, side: int) -> Pixels:
    """One map (h, w) in [0, 1] as colors (side, side, 4); hotter pixels are more opaque."""
    image = Image.fromarray(heat).resize((side, side), Image.Resampling.BICUBIC)
    smooth = np.asarray(image).clip(0, 1)
    colors = mpl.colormaps[HEAT](smooth, bytes=True)
    colors[..., 3] = np.rint(255 * STRENGTH * smooth)
    return np.asarray(colors, np.uint8)


def interpolate(localization: Localization) -> Iterator[Maps]:
    """Maps at the frame rate of the heat, interpolated between the two nearest frames."""
    heat, times_s = relative_heat(localization), localization.times_s
    last = len(times_s) - 1
    for time_s in np.arange(0, np.floor(times_s[-1]) + 1, 1 / FPS):
        position = float(np.interp(time_s, times_s, np.arange(last + 1)))  # 2.5: between 2 and 3
        before = int(position)
        share = np.float32(position - before)
        yield heat[before] * (1 - share) + heat[min(before + 1, last)] * share


def _size(media: Media) -> tuple[int, int]:
    """Width and height of the video as players show it, rounded to even numbers for H.264."""
    assert media.pictures is not None
    width, height = media.pictures.width, media.pictures.height
    if media.pictures.rotation_deg % 180:
        width, height = height, width
    return width // 2 * 2, height // 2 * 2


def video(
    localization: Localization,
    out: Path,
    max_s: int | None = None,
    on_progress: Callable[[float], object] = ignore,
) -> None:
    """Write the video with the heat over it and its sound: H.264 and AAC in mp4.

    Browsers play such files. `on_progress` is called with the seconds of video that were written.

    Raises
    ------
    UserError
        When ffmpeg fails.
    """
    media = probe(localization.video)
    assert media.pictures is not None
    assert media.sound is not None
    width, height = _size(media)
    limit = {} if max_s is None else {"t": max_s}
    source = ffmpeg.input(f"file:{localization.video.absolute()}", **limit)
    heat = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgba", s=f"{SIDE}x{SIDE}", r=FPS)
    pictures = (
        source[str(media.pictures.stream)]
        .filter("scale", width, height)
        .overlay(
            heat.filter("scale", width, height, flags="bilinear"),
            eof_action="pass",
            format="yuv420",
        )
    )
    frames = (rgba(heat, SIDE).tobytes() for heat in interpolate(localization))
    with tables.atomic_write(out) as part:
        command = ffmpeg.output(
            pictures,
            source[str(media.sound.stream)],
            f"file:{part}",
            format="mp4", vcodec="libx264", preset="veryfast", crf=21, pix_fmt="yuv420p",
            acodec="aac", audio_bitrate="160k", movflags="+faststart",
        )  # fmt: skip
        _run(command.overwrite_output().compile(binary()), frames, out, on_progress)


def _run(
    command: list[str], frames: Iterator[bytes], out: Path, on_progress: Callable[[float], object]
) -> None:
    """Run ffmpeg and write the frames to its standard input."""
    process = subprocess.Popen(
        [*command, "-v", "error"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        for frame in frames:
            process.stdin.write(frame)
            on_progress(1 / FPS)
        process.stdin.close()
    except BrokenPipeError:
        pass  # ffmpeg has ended: its message is raised below
    message = process.stderr.read().decode(errors="replace").strip().splitlines()
    if process.wait():
        raise UserError(f"{binary()} could not write {out}: {' '.join(message[-1:])}")


def sheet(localization: Localization, out: Path) -> None:
    """Write a PNG with frames of seconds that are evenly spread over the video.

    Each frame has its heat, its box and its time; frames of silent seconds are gray.
    """
    seconds = localization.seconds().to_dict("records")
    count = min(TILES, len(seconds))
    chosen = np.unique(np.linspace(0, len(seconds) - 1, count).astype(int))
    columns = min(COLUMNS, len(chosen))
    page = Image.new("RGB", (TILE * columns, TILE * -(-len(chosen) // columns)), "black")
    heat = relative_heat(localization)
    for place, number in enumerate(chosen):
        second = {str(name): value for name, value in seconds[number].items()}
        frame = int(np.flatnonzero(localization.times_s == second["time_s"])[0])
        picture = Image.open(io.BytesIO(localization.frames[frame]))
        row, column = divmod(place, columns)
        page.paste(_tile(picture, heat[frame], second), (TILE * column, TILE * row))
    with tables.atomic_write(out) as part:
        page.save(part, "PNG")


def _tile(picture: Image.Image, heat: Maps, second: Mapping[str, Any]) -> Image.Image:
    """One frame of the sheet."""
    audible = second["heard"]
    tile = picture.convert("RGB" if audible else "L").convert("RGBA").resize((TILE, TILE))
    tile.alpha_composite(Image.fromarray(rgba(heat, TILE)))
    draw = ImageDraw.Draw(tile)
    texts = [f"{second['start_s']} s"]
    if "category" in second:
        texts.append(second["category"])
    if audible:
        x, y, w, h = (second[side] * (TILE - 1) for side in "xywh")
        draw.rectangle([x, y, x + w, y + h], outline="white", width=2)
    else:
        texts.append("silent")
    place = (5, TILE - 16)
    draw.text(place, ", ".join(texts), fill="white", stroke_width=2, stroke_fill="black")
    return tile.convert("RGB")
