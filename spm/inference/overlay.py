"""Maps over pictures, to look at: a video with its heat and its sound, and a sheet of its seconds."""

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
from spm.base.config import UserError
from spm.corpus.media.ffmpeg import binary
from spm.corpus.media.probe import Media, probe
from spm.inference.localize import Localization, Maps

HEAT = "inferno"  # rises in gray too, and is safe for the color-blind
FPS = 12  # of the heat: between two maps it is blended
SIDE = 96  # px of the heat before ffmpeg stretches it over the picture
STRENGTH = 0.75  # opacity of the hottest pixel
TILE, COLUMNS, TILES = 176, 6, 24  # px and number of pictures on a sheet

Pixels = NDArray[np.uint8]


def strength(seen: Localization) -> Maps:
    """Maps relative to the hottest of the video, (n, h, w), and dark where nothing is heard."""
    return seen.maps / max(float(seen.maps.max()), 1e-6) * seen.heard()[:, None, None]


def rgba(heat: Maps, side: int) -> Pixels:
    """One map (h, w) in [0, 1] as colors (side, side, 4), the more opaque the hotter."""
    smooth = np.asarray(Image.fromarray(heat).resize((side, side), Image.Resampling.BICUBIC)).clip(
        0, 1
    )
    colors = mpl.colormaps[HEAT](smooth, bytes=True)
    colors[..., 3] = np.rint(255 * STRENGTH * smooth)
    return np.asarray(colors, np.uint8)


def blended(seen: Localization) -> Iterator[Maps]:
    """A map for each instant of the heat's own rate, between the two frames about it."""
    heat, times_s = strength(seen), seen.times_s
    last = len(times_s) - 1
    for instant_s in np.arange(0, np.floor(times_s[-1]) + 1, 1 / FPS):
        at = float(np.interp(instant_s, times_s, np.arange(last + 1)))  # a place between two frames
        before = int(at)
        share = np.float32(at - before)
        yield heat[before] * (1 - share) + heat[min(before + 1, last)] * share


def _size(media: Media) -> tuple[int, int]:
    """Width and height as the video is shown, in even numbers, which H.264 wants."""
    assert media.pictures is not None
    width, height = media.pictures.width, media.pictures.height
    turned = (height, width) if media.pictures.rotation_deg % 180 else (width, height)
    return turned[0] // 2 * 2, turned[1] // 2 * 2


def film(
    seen: Localization,
    out: Path,
    max_s: int | None = None,
    tick: Callable[[float], object] = lambda seconds: None,
) -> None:
    """Write the video with the heat over it and its sound kept: H.264 and AAC in mp4, which browsers play.

    `tick` hears of each part of a second that is done.

    Raises
    ------
    UserError
        When ffmpeg can't write it.
    """
    media = probe(seen.video)
    assert media.pictures is not None
    assert media.sound is not None
    width, height = _size(media)
    source = ffmpeg.input(
        f"file:{seen.video.absolute()}", **({} if max_s is None else {"t": max_s})
    )
    heat = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgba", s=f"{SIDE}x{SIDE}", r=FPS)
    shown = source[str(media.pictures.stream)].filter("scale", width, height)
    film_ = shown.overlay(
        heat.filter("scale", width, height, flags="bilinear"), eof_action="pass", format="yuv420"
    )
    with tables.atomic_write(out) as part:
        command = ffmpeg.output(
            film_, source[str(media.sound.stream)], f"file:{part}", format="mp4", vcodec="libx264", preset="veryfast",
            crf=21, pix_fmt="yuv420p", acodec="aac", audio_bitrate="160k", movflags="+faststart",
        )  # fmt: skip
        _feed(
            command.overwrite_output().compile(binary()),
            (rgba(one, SIDE).tobytes() for one in blended(seen)),
            out,
            tick,
        )


def _feed(
    command: list[str], frames: Iterator[bytes], out: Path, tick: Callable[[float], object]
) -> None:
    process = subprocess.Popen(
        [*command, "-v", "error"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        for frame in frames:
            process.stdin.write(frame)
            tick(1 / FPS)
        process.stdin.close()
    except BrokenPipeError:
        pass  # ffmpeg has stopped; it says why
    said = process.stderr.read().decode(errors="replace").strip().splitlines()
    if process.wait():
        raise UserError(f"{binary()} could not write {out}: {' '.join(said[-1:])}")


def sheet(seen: Localization, out: Path) -> None:
    """Write a sheet of seconds, evenly spread: heat, box and time of each; a silent second is gray and says so."""
    seconds = seen.seconds().to_dict("records")
    chosen = np.unique(np.linspace(0, len(seconds) - 1, min(TILES, len(seconds))).astype(int))
    columns = min(COLUMNS, len(chosen))
    page = Image.new("RGB", (TILE * columns, TILE * -(-len(chosen) // columns)), "black")
    heat = strength(seen)
    for place, number in enumerate(chosen):
        second = {str(name): value for name, value in seconds[number].items()}
        frame = int(np.flatnonzero(seen.times_s == second["time_s"])[0])
        tile = _tile(Image.open(io.BytesIO(seen.frames[frame])), heat[frame], second)
        page.paste(tile, (TILE * (place % columns), TILE * (place // columns)))
    with tables.atomic_write(out) as part:
        page.save(part, "PNG")


def _tile(picture: Image.Image, heat: Maps, second: Mapping[str, Any]) -> Image.Image:
    heard = second["heard"]
    tile = picture.convert("RGB" if heard else "L").convert("RGBA").resize((TILE, TILE))
    tile.alpha_composite(Image.fromarray(rgba(heat, TILE)))
    draw = ImageDraw.Draw(tile)
    if heard:
        x, y, w, h = (second[side] * (TILE - 1) for side in "xywh")
        draw.rectangle([x, y, x + w, y + h], outline="white", width=2)
    said = ", ".join([f"{second['start_s']} s", *([second["category"]] if "category" in second else []),
                      *([] if heard else ["silent"])])  # fmt: skip
    draw.text((5, TILE - 16), said, fill="white", stroke_width=2, stroke_fill="black")
    return tile.convert("RGB")
