"""The video with the heat and the boxes over it, a strip of text below it, and its sound."""

import math
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Timer
from typing import IO, NamedTuple

import ffmpeg
import numpy as np
from PIL import Image, ImageDraw

from spm.base import tables
from spm.base.errors import UserError
from spm.base.printable import printable
from spm.corpus.media import limits
from spm.corpus.media.contents import Media
from spm.corpus.media.ffmpeg import binary
from spm.corpus.media.formats import INPUT_OPTIONS
from spm.inference import drawing, sources
from spm.inference.localization import Localization, Maps
from spm.inference.localize import MAX_S, MEMORY_MB, TIME_S, ignore

FPS = 12  # frame rate of the heat, which is interpolated between maps
SIDE = 96  # px of the heat before ffmpeg scales it to the size of the video
LONGEST_SIDE = 1920  # px; larger videos are scaled down
SMALLEST_TEXT, LARGEST_TEXT = 11, 30  # px
TEXT_SHARE = 1 / 52  # of the video's width
STRIP_LINES = 2
LEGEND_SHARE = 0.35  # of the width, at most
SHORTEST_END_S = 0.1  # of the time after the last map, from which it has an image of its own
FIRST_PNG = 1  # level of compression: the fastest one
THREADS = 4  # of ffmpeg's decoder, filters and encoder each: each thread needs memory
SLOWEST = 10  # times the length of the video that its film may take, if that is more than time_s
MESSAGE_LINES, MESSAGE_CHARS = 5, 4096  # of ffmpeg's messages that are kept
SHOWN_CHARS = 300  # of its last message
BOUNDS = limits.Bounds(MEMORY_MB, TIME_S)


class Layout(NamedTuple):
    """Sizes of the film, in px."""

    width: int
    height: int  # of the picture, without the strip below it
    text: int

    @classmethod
    def of(cls, size: tuple[int, int]) -> "Layout":
        """The layout for a video of this width and height; H.264 needs even numbers."""
        scale = min(1.0, LONGEST_SIDE / max(size))
        width, height = (max(2, round(side * scale) // 2 * 2) for side in size)
        text = min(max(round(width * TEXT_SHARE), SMALLEST_TEXT), LARGEST_TEXT)
        return cls(width, height, text)

    @property
    def line(self) -> int:
        """Height of a line of text."""
        return round(drawing.LINE_HEIGHT * self.text)

    @property
    def total_height(self) -> int:
        """Height of the picture and the strip."""
        return self.height + (STRIP_LINES * self.line + self.text + 1) // 2 * 2


def interpolate(localization: Localization) -> Iterator[Maps]:
    """Heat at the frame rate of the film, interpolated between the two nearest frames."""
    heat, times_s = localization.heat, localization.times_s
    last = len(times_s) - 1
    for time_s in np.arange(0, np.floor(times_s[-1]) + 1, 1 / FPS):
        position = float(np.interp(time_s, times_s, np.arange(last + 1)))  # 2.5: between 2 and 3
        before = int(position)
        share = np.float32(position - before)
        yield heat[before] * (1 - share) + heat[min(before + 1, last)] * share


def annotation(localization: Localization, layout: Layout, frame: int | None) -> Image.Image:
    """A transparent image with the boxes of a frame, and the strip below it.

    None: an image for the end of the video, after the last map.
    """
    image = Image.new("RGBA", (layout.width, layout.height), (0, 0, 0, 0))
    lines = ["after the last map", ""]
    if frame is not None:
        row = localization.row(frame)
        drawing.draw_boxes(image, row, layout.text)
        lines = [drawing.score_text(row), drawing.heard_text(localization, row)]
    whole = Image.new("RGBA", (layout.width, layout.total_height), (0, 0, 0, 0))
    whole.paste(image)
    whole.paste(strip(localization, layout, lines), (0, layout.height))
    return whole


def strip(localization: Localization, layout: Layout, lines: list[str]) -> Image.Image:
    """Text below the picture: legend, score and network, and what was heard."""
    size, margin = layout.text, layout.text // 2
    height = layout.total_height - layout.height
    image = Image.new("RGB", (layout.width, height), drawing.BACKGROUND)
    draw = ImageDraw.Draw(image)
    legend = drawing.legend(size, localization.threshold, layout.width * LEGEND_SHARE)
    image.paste(legend, (margin, margin))
    left = margin + legend.width + size
    room = layout.width - left - margin
    used = drawing.write(draw, (left, margin + 1), lines[0], room, size)
    name = localization.network.name
    if (name_width := drawing.font(size).getlength(name)) < room - used - size:
        place = (layout.width - margin - name_width, margin + 1)
        drawing.write(draw, place, name, name_width, size)
    drawing.write(draw, (margin, margin + layout.line), lines[1], layout.width - 2 * margin, size)
    return image


def write_annotations(
    localization: Localization, layout: Layout, out: Path, length_s: float
) -> None:
    """Write the annotations as PNG images one after the other: one per map, and one for the end.

    There is none for the end if the last map is that of the end: it would make the film longer.
    """
    frames: list[int | None] = [*range(len(localization.times_s))]
    if length_s > np.floor(localization.times_s[-1]) + 1 + SHORTEST_END_S:
        frames.append(None)
    with out.open("wb") as file:
        for frame in frames:
            image = annotation(localization, layout, frame)
            image.save(file, "PNG", compress_level=FIRST_PNG)


def write(
    localization: Localization,
    out: Path,
    max_s: int | None = MAX_S,
    on_progress: Callable[[float], object] = ignore,
    bounds: limits.Bounds = BOUNDS,
) -> None:
    """Write the video with heat, boxes, legend, scores and its sound: H.264 and AAC in mp4.

    Browsers play such files. `on_progress` is called with the seconds of video that were written.
    `bounds` limit ffmpeg; for a long video, it may take more time.

    Raises
    ------
    UserError
        When ffmpeg fails, or exceeds its limits.
    """
    layout = Layout.of(localization.size)
    media = localization.media or sources.inspect(localization.video, bounds.memory_mb)
    length_s = min(media.length_s or 0.0, max_s or math.inf)
    bounds = bounds._replace(time_s=max(bounds.time_s, SLOWEST * length_s))
    frames = (drawing.rgba(heat, (SIDE, SIDE)).tobytes() for heat in interpolate(localization))
    with tempfile.TemporaryDirectory() as scratch, tables.atomic_write(out) as part:
        annotations = Path(scratch, "annotations.png")
        write_annotations(localization, layout, annotations, length_s)
        command = _command(localization, media, layout, annotations, max_s, part)
        _run(command, frames, out, on_progress, bounds)


def _command(
    localization: Localization,
    media: Media,
    layout: Layout,
    annotations: Path,
    max_s: int | None,
    out: Path,
) -> list[str]:
    """Ffmpeg's command line; it reads the heat from its standard input."""
    assert media.pictures
    assert media.sound
    limit = {} if max_s is None else {"t": max_s}
    video = f"file:{localization.video.absolute()}"
    source = ffmpeg.input(video, threads=THREADS, **INPUT_OPTIONS, **limit)
    heat = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgba", s=f"{SIDE}x{SIDE}", r=FPS)
    rate = localization.maps_per_s
    texts = ffmpeg.input(f"file:{annotations}", format="png_pipe", framerate=rate)
    pictures = (
        source[str(media.pictures.stream)]
        .filter("scale", layout.width, layout.height)
        .filter("setsar", 1)
        .overlay(
            heat.filter("scale", layout.width, layout.height, flags="bilinear"),
            eof_action="pass",
            format="yuv420",
        )
        .filter("pad", layout.width, layout.total_height)
        .overlay(texts, eof_action="repeat", format="yuv420")
    )
    output = ffmpeg.output(
        pictures,
        source[str(media.sound.stream)],
        f"file:{out}",
        **limit,
        threads=THREADS,
        format="mp4", vcodec="libx264", preset="superfast", crf=23, pix_fmt="yuv420p",
        acodec="aac", audio_bitrate="160k", movflags="+faststart",
        metadata=f"comment=heat map by spm, network {localization.network}",
    )  # fmt: skip
    options = ("-v", "error", "-filter_complex_threads", str(THREADS))
    return list(output.overwrite_output().global_args(*options).compile(binary()))


def _run(
    command: Sequence[str],
    frames: Iterator[bytes],
    out: Path,
    on_progress: Callable[[float], object],
    bounds: limits.Bounds,
) -> None:
    """Run ffmpeg within limits, and write the frames to its standard input."""
    process = subprocess.Popen(
        limits.limited(command, bounds), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stderr is not None
    clock, end_s = Timer(bounds.time_s, process.kill), time.monotonic() + bounds.time_s
    clock.start()
    with ThreadPoolExecutor(1) as pool:
        # A damaged video may have many messages. They are read all the time, or ffmpeg would wait.
        lines = iter(partial(process.stderr.readline, MESSAGE_CHARS), b"")
        messages = pool.submit(deque[bytes], lines, MESSAGE_LINES)
        try:
            _feed(process.stdin, frames, on_progress)
            status = process.wait()
        finally:
            clock.cancel()
            process.kill()
    if status:
        late = status == -signal.SIGKILL and time.monotonic() >= end_s
        reason = f"took more than {bounds.time_s:g} s" if late else _last(messages.result())
        raise UserError(f"{out.name} could not be written by {binary()}: {reason}")


def _feed(
    target: IO[bytes], frames: Iterator[bytes], on_progress: Callable[[float], object]
) -> None:
    """Write the frames; where ffmpeg has ended before, its exit status says why."""
    with suppress(BrokenPipeError), target:
        for frame in frames:
            target.write(frame)
            on_progress(1 / FPS)


def _last(messages: Iterable[bytes]) -> str:
    """The last line of ffmpeg's messages."""
    lines = [printable(message.decode(errors="replace").strip()) for message in messages]
    return next((line[:SHOWN_CHARS] for line in reversed(lines) if line), "no message")
