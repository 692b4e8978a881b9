"""A corpus that a network learns in seconds: each category has a square and a tone of its own."""

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from spm.base import schemas, tables
from spm.base.constants import SAMPLE_RATE_HZ
from spm.base.shards import table_of
from spm.corpus.spectrograms import Spectrograms
from spm.corpus.spectrograms import run as spectrograms

SOUNDS = {"cello": (200, "red"), "flute": (2500, "blue")}  # Hz, color
FOUR = {**SOUNDS, "trumpet": (700, "lime"), "xylophone": (5500, "yellow")}  # for mosaics
SIDE = 0.4  # of the square, as a fraction of the frame
SHARDS = 2


@dataclass(frozen=True)
class Corpus:
    """Paths of the tables of the stages of spm/corpus, and of the boxes of the squares."""

    index: Path
    clips: Path
    spectrograms: Path
    boxes: Path  # CSV
    manifest: Path

    @classmethod
    def of(cls, folder: Path) -> "Corpus":
        """The corpus in a folder."""
        names = ("index.parquet", "clips", "spectrograms", "boxes.csv", "manifest.csv")
        return cls(*(folder / name for name in names))


@dataclass
class _Rows:
    """Rows of the tables while they are made."""

    rng: np.random.Generator
    size: int
    index: list[dict] = field(default_factory=list)
    shards: list[list[dict]] = field(default_factory=lambda: [[] for _ in range(SHARDS)])
    boxes: list[str] = field(default_factory=lambda: ["video_id,time_s,category,x,y,w,h"])

    def add(self, video: str, category: str, split: str, shard: int, second: int) -> None:
        """Add one clip, with two frames and a box in each."""
        hertz, color = FOUR[category]
        x, y = self.rng.uniform(0, 1 - SIDE, 2)
        times = [second, second + 0.5]
        clip = {"clip_id": f"{video}_{second * 1000:07d}", "video_id": video, "start_s": second}
        frames = [picture(color, x, y, self.size, self.rng) for _ in times]
        labels = {"kind": "solo", "categories": [category], "split": split}
        place = {"shard": shard, "row": len(self.shards[shard])}
        self.index.append({**clip, **labels, **place, "audible": True, "rms_db": -10.0})
        pcm = sound(hertz, self.rng)
        self.shards[shard].append({**clip, "frame_time_s": times, "frames": frames, "pcm": pcm})
        self.boxes += [f"{video},{time},{category},{x},{y},{SIDE},{SIDE}" for time in times]


def picture(color: str, x: float, y: float, size: int, rng: np.random.Generator) -> bytes:
    """A colored square at (x, y) on noise, as JPEG."""
    noise = rng.integers(60, 190, (size, size, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    corners = [x * size, y * size, (x + SIDE) * size - 1, (y + SIDE) * size - 1]
    ImageDraw.Draw(image).rectangle(corners, color)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def sound(hertz: float, rng: np.random.Generator) -> bytes:
    """A second of a tone near a frequency, int16."""
    time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    wave = np.sin(2 * np.pi * hertz * rng.uniform(0.9, 1.1) * time_s + rng.uniform(0, 6))
    noisy = rng.uniform(0.2, 0.6) * wave + rng.normal(0, 0.01, SAMPLE_RATE_HZ)
    return (noisy.clip(-1, 1) * 32767).astype("<i2").tobytes()


def write(
    folder: Path,
    *,
    train: int = 12,
    test: int = 2,
    seconds: int = 4,
    size: int = 64,
    sounds: Iterable[str] = SOUNDS,
) -> Corpus:
    """Write a corpus.

    Parameters
    ----------
    folder : Path
        The tables and the boxes are written into it.
    train, test : int
        Videos of each category in these splits; one more is in the validation split.
    seconds : int
        Clips of each video.
    size : int
        Width and height of the frames in px.
    sounds : iterable of str
        Categories, from FOUR.
    """
    rows = _Rows(np.random.default_rng(0), size)
    splits = ["train"] * train + ["val"] + ["test"] * test
    for category in sounds:
        for number, split in enumerate(splits):
            for second in range(seconds):
                video = f"{category}-{number:02d}"
                rows.add(video, category, split, number % SHARDS, second)
    corpus = Corpus.of(folder)
    for shard, clips in enumerate(rows.shards):
        table, mels = table_of(corpus.clips, shard), table_of(corpus.spectrograms, shard)
        tables.write_rows(table, schemas.CLIPS, clips)
        spectrograms(Spectrograms(dtype="float32"), clips=table, out=mels)
    index = sorted(rows.index, key=lambda row: (row["shard"], row["row"]))
    tables.write_rows(corpus.index, schemas.INDEX, index)
    corpus.boxes.write_text("\n".join(rows.boxes) + "\n")
    videos = {row["video_id"]: row["categories"][0] for row in index}
    lines = [f"{video},{video}.mp4,solo,{category}" for video, category in videos.items()]
    corpus.manifest.write_text("\n".join(["video_id,url,kind,categories", *lines]) + "\n")
    return corpus
