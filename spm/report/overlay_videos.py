"""A page that plays a test video under the maps of each run and network, with sound and boxes.

python -m spm.report.overlay_videos --config '{}' --index clips.parquet --clips clips
    --annotations given.parquet --maps results/fusion/maps/spm/solo.parquet …
    --baseline-maps results/fusion/baseline_maps/solo/zero-shot.parquet … --out overlay_videos.html
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
from spm.base.config import Section, Seed
from spm.base.constants import SAMPLE_RATE_HZ
from spm.base.errors import UserError
from spm.base.pictures import open_picture
from spm.base.statuses import PretrainedBaseline
from spm.corpus import clip_reader
from spm.corpus.media.ffmpeg import binary
from spm.report import html, plotting
from spm.report.plotting import Pixels

WIDTH = 288  # px


class OverlayVideos(Section):
    """The page of test videos with maps over them."""

    max_s: int = Field(
        10, ge=1, le=3_600, description="Longest part of the test video that is shown, in seconds."
    )
    seed: Seed = Field(
        0, description="Random seed of the choice of the test video; all runs show the same one."
    )


def choose(index: pa.Table, clip_ids: set[str], config: OverlayVideos) -> pa.Table:
    """The first clips of a random video, among the videos with maps and an audible clip."""
    mapped = index.filter(pc.is_in(index["clip_id"], pa.array(sorted(clip_ids), pa.string())))
    audible = mapped.filter(mapped["audible"])["video_id"].unique().to_pylist()
    if not audible:
        return mapped.slice(0, 0)
    video = np.random.default_rng(config.seed).choice(sorted(audible))
    clips = mapped.filter(pc.equal(mapped["video_id"], video))
    return clips.sort_by("start_s").slice(0, config.max_s)


def draw_boxes(picture: Pixels, boxes: pd.DataFrame) -> Pixels:
    """Draw boxes in white on a picture."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for x, y, w, h in boxes[list("xywh")].to_numpy(float) * (2 * image.size):
        draw.rectangle([x, y, x + w, y + h], outline="white", width=2)
    return np.asarray(image)


def render_frames(
    rows: pa.Table, clips: Path, maps: pd.DataFrame, boxes: pd.DataFrame
) -> Iterator[Pixels]:
    """Yield all frames of the clips in order, with boxes and, in audible clips, with their map.

    The maps are shown relative to the hottest of them all.
    """
    own = maps[maps["clip_id"].isin(rows["clip_id"].to_pylist())]
    heat = {}
    for row in plotting.without_categories(own).to_dict("records"):
        heat[row["clip_id"], row["frame"]] = plotting.map_of(row)
    top = max((float(values.max()) for values in heat.values()), default=1.0)
    for clip, jpegs in zip(rows.to_pylist(), clip_reader.frames(rows, clips), strict=True):
        clip_boxes = boxes[boxes["clip_id"] == clip["clip_id"]]
        for number, jpeg in enumerate(jpegs):
            picture = np.asarray(open_picture(io.BytesIO(jpeg)).convert("RGB"))
            key = (clip["clip_id"], number)
            if clip["audible"] and key in heat:
                picture = plotting.overlaid(picture, heat[key], top)
            yield draw_boxes(picture, clip_boxes[clip_boxes["frame"] == number])


def encode(frames: Sequence[Pixels], sound: bytes, rate: int) -> bytes:
    """Encode frames and 16 kHz mono sound (int16) as H.264 and AAC in mp4, which browsers play.

    Raises
    ------
    UserError
        When ffmpeg fails.
    """
    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory() as scratch:
        pcm, video = Path(scratch, "sound.raw"), Path(scratch, "video.mp4")
        pcm.write_bytes(sound)
        pictures = ffmpeg.input(
            "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=rate
        )
        command = ffmpeg.output(
            pictures.filter("scale", WIDTH, -2),
            ffmpeg.input(str(pcm), format="s16le", ar=SAMPLE_RATE_HZ, ac=1),
            str(video),
            vcodec="libx264", preset="veryfast", crf=24, pix_fmt="yuv420p",
            acodec="aac", audio_bitrate="64k",
            threads=1, fflags="+bitexact", map_metadata=-1, movflags="+faststart",
        ).compile(binary())  # fmt: skip
        raw = b"".join(frame.tobytes() for frame in frames)
        done = subprocess.run(
            [*command, "-v", "error"], input=raw, capture_output=True, check=False
        )
        if done.returncode:
            message = done.stderr.decode(errors="replace").strip().splitlines()
            raise UserError(f"{binary()} could not write a video: {' '.join(message[-1:])}")
        return video.read_bytes()


def embed(video: bytes, first: Pixels, caption: str) -> str:
    """HTML of a video with its caption; the page contains its bytes.

    `first` is the frame that is shown before the video plays.
    """
    source = f"data:video/mp4;base64,{base64.b64encode(video).decode()}"
    poster, height = io.BytesIO(), round(WIDTH * first.shape[0] / first.shape[1])
    Image.fromarray(first).resize((WIDTH, height)).save(poster, "JPEG")
    picture = f"data:image/jpeg;base64,{base64.b64encode(poster.getvalue()).decode()}"
    attributes = f'controls loop playsinline preload="none" width="{WIDTH}" height="{height}"'
    player = f'<video {attributes} poster="{picture}" src="{source}"></video>'
    return f"<figure>{player}<figcaption>{escape(caption)}</figcaption></figure>\n"


def _player(
    indexed: pa.Table,
    clips: Path,
    boxes: pd.DataFrame,
    name: str,
    maps: pd.DataFrame,
    config: OverlayVideos,
) -> str:
    """HTML of the video of a run or baseline; empty where it has no maps of audible clips."""
    rows = choose(indexed, set(maps["clip_id"]), config)
    if not rows.num_rows:
        return ""
    frames = list(render_frames(rows, clips, maps, boxes))
    rate = len(frames) // rows.num_rows
    sound = b"".join(clip_reader.take_column(rows, clips, "pcm").to_pylist())
    first = rows.slice(0, 1).to_pylist()[0]
    labels = plotting.join_labels(first["categories"])
    kind = "Baseline" if name in tuple(PretrainedBaseline) else "Run"
    caption = f"{kind} {name}: {first['video_id']} ({labels}), {rows.num_rows} s, {rate} frames/s"
    return embed(encode(frames, sound, rate), frames[0], caption)


def run(
    config: OverlayVideos,
    *,
    index: Path,
    clips: Path,
    annotations: list[Path],
    maps: list[Path],
    baseline_maps: list[Path],
    out: Path,
) -> None:
    """Write a page with a video per run, and one per network that is a baseline."""
    indexed, boxes = tables.read(index), plotting.kept_boxes(annotations)
    players = []
    for name, path in plotting.maps_of_first_testset(maps, baseline_maps).items():
        heat = plotting.without_categories(tables.read(path).to_pandas())
        players.append(_player(indexed, clips, boxes, name, heat, config))
    body = "".join(players) or "<p>No maps of audible test clips.</p>\n"
    with tables.atomic_write(out) as part:
        part.write_text(html.page("Test videos with their maps", body), encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
