"""Maps that play: a test video of each run, with its heat, its boxes and its sound, and a page that holds them all.

python -m spm.report.overlay_videos --config '{}' --index clips.parquet --clips clips --annotations given.parquet
    --maps results/fusion/maps/spm/solo.parquet … --out films.html
"""

import base64
import io
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import ffmpeg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageDraw
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.corpus import clip_reader
from spm.corpus.media.ffmpeg import binary
from spm.report import html, plotting
from spm.report.plotting import Pixels

RATE_HZ = 16_000
WIDTH = 288  # px


class OverlayVideos(Section):
    """How much is shown."""

    max_s: int = Field(10, ge=1)  # of one test video, the same for every run
    seed: int = 0  # of its choice


def chosen(index: pa.Table, clip_ids: set[str], config: OverlayVideos) -> pa.Table:
    """The first clips of one video at random, of those that have maps and are heard."""
    mapped = index.filter(pc.is_in(index["clip_id"], pa.array(sorted(clip_ids), pa.string())))
    heard = mapped.filter(mapped["audible"])["video_id"].unique().to_pylist()
    if not heard:
        return mapped.slice(0, 0)
    video = np.random.default_rng(config.seed).choice(sorted(heard))
    return (
        mapped.filter(pc.equal(mapped["video_id"], video)).sort_by("start_s").slice(0, config.max_s)
    )


def boxed(picture: Pixels, boxes: pd.DataFrame) -> Pixels:
    """A picture with its boxes in white."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for x, y, w, h in boxes[list("xywh")].to_numpy(float) * (2 * image.size):
        draw.rectangle([x, y, x + w, y + h], outline="white", width=2)
    return np.asarray(image)


def frames_of(
    rows: pa.Table, clips: Path, maps: pd.DataFrame, kept: pd.DataFrame
) -> Iterator[Pixels]:
    """Every frame of the clips in turn, under its map relative to the hottest of all where something is heard."""
    own = plotting.single(maps[maps["clip_id"].isin(rows["clip_id"].to_pylist())])
    of = {(row["clip_id"], row["frame"]): plotting.map_of(row) for row in own.to_dict("records")}
    top = max((float(heat.max()) for heat in of.values()), default=1.0)
    for clip, jpegs in zip(rows.to_pylist(), clip_reader.frames(rows, clips), strict=True):
        for number, jpeg in enumerate(jpegs):
            picture, key = (
                np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")),
                (clip["clip_id"], number),
            )
            boxes = kept[(kept.clip_id == clip["clip_id"]) & (kept.frame == number)]
            hot = clip["audible"] and key in of
            yield boxed(plotting.overlaid(picture, of[key], top) if hot else picture, boxes)


def encoded(frames: Sequence[Pixels], sound: bytes, rate: int) -> bytes:
    """Frames and 16 kHz mono sound (int16) as H.264 and AAC in mp4, which browsers play.

    Raises
    ------
    UserError
        When ffmpeg can't write it.
    """
    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory() as scratch:
        heard, film = Path(scratch, "sound.raw"), Path(scratch, "film.mp4")
        heard.write_bytes(sound)
        pictures = ffmpeg.input(
            "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=rate
        )
        command = ffmpeg.output(
            pictures.filter("scale", WIDTH, -2), ffmpeg.input(str(heard), format="s16le", ar=RATE_HZ, ac=1), str(film),
            vcodec="libx264", preset="veryfast", crf=24, pix_fmt="yuv420p", acodec="aac", audio_bitrate="64k",
            threads=1, fflags="+bitexact", map_metadata=-1, movflags="+faststart",
        ).compile(binary())  # fmt: skip
        done = subprocess.run(
            [*command, "-v", "error"],
            input=b"".join(map(bytes, frames)),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise UserError(f"{binary()} could not write a film: {' '.join(said[-1:])}")
        return film.read_bytes()


def figure(film: bytes, said: str) -> str:
    """A film within a page, with its caption."""
    source = f"data:video/mp4;base64,{base64.b64encode(film).decode()}"
    video = f'<video controls loop playsinline width="{WIDTH}" src="{source}"></video>'
    return f"<figure>{video}<figcaption>{escape(said)}</figcaption></figure>\n"


def _figure(
    indexed: pa.Table, clips: Path, kept: pd.DataFrame, path: Path, config: OverlayVideos
) -> str:
    """A run's film; nothing where it has no maps of clips that are heard."""
    maps, name = tables.read(path).to_pandas(), path.parent.name
    rows = chosen(indexed, set(maps["clip_id"]), config)
    if not rows.num_rows:
        return ""
    frames = list(frames_of(rows, clips, maps, kept))
    rate = len(frames) // rows.num_rows
    sound = b"".join(clip_reader.take_column(rows, clips, "pcm").to_pylist())
    first = rows.slice(0, 1).to_pylist()[0]
    heard = plotting.words(" + ".join(first["categories"]))
    said = f"Run {name}: {first['video_id']} ({heard}), {rows.num_rows} s, {rate} frames/s"
    return figure(encoded(frames, sound, rate), said)


def run(
    config: OverlayVideos,
    *,
    index: Path,
    clips: Path,
    annotations: list[Path],
    maps: list[Path],
    out: Path,
) -> None:
    """Write a page with a film of every run."""
    indexed, kept = tables.read(index), plotting.kept(annotations)
    body = "".join(_figure(indexed, clips, kept, path, config) for path in maps)
    page = html.page(
        "Test videos under their maps", body or "<p>No maps of audible test clips.</p>\n"
    )
    with tables.atomic_write(out) as part:
        part.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
