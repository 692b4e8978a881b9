"""A corpus small enough to learn in seconds, with a known answer: which square a tone belongs to."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from spm.base import tables
from spm.base.shards import table_of
from spm.corpus.spectrograms import Spectrograms
from spm.corpus.spectrograms import run as spectrograms

SOUNDS = {"cello": (200, "red"), "flute": (2500, "blue")}  # Hz, color
FOUR = {**SOUNDS, "trumpet": (700, "lime"), "xylophone": (5500, "yellow")}  # enough for mosaics
SIDE = 0.4  # of the square, as a fraction of the frame
SHARDS = 2


@dataclass(frozen=True)
class Corpus:
    """Paths of the tables that the corpus room would leave, and where the squares are."""

    index: Path
    clips: Path
    spectrograms: Path
    boxes: Path  # CSV


def picture(color: str, x: float, y: float, size: int, random: np.random.Generator) -> bytes:
    """A colored square at (x, y) on noise, as JPEG."""
    noise = random.integers(60, 190, (size, size, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    ImageDraw.Draw(image).rectangle(
        [x * size, y * size, (x + SIDE) * size - 1, (y + SIDE) * size - 1], color
    )
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def sound(hertz: float, random: np.random.Generator) -> bytes:
    """A second of a tone near a frequency, int16."""
    time_s = np.arange(16_000) / 16_000
    wave = np.sin(2 * np.pi * hertz * random.uniform(0.9, 1.1) * time_s + random.uniform(0, 6))
    noisy = random.uniform(0.2, 0.6) * wave + random.normal(0, 0.01, 16_000)
    return (noisy.clip(-1, 1) * 32767).astype("<i2").tobytes()


def write(
    folder: Path,
    *,
    train: int = 12,
    test: int = 2,
    seconds: int = 4,
    size: int = 64,
    sounds: dict = SOUNDS,
) -> Corpus:
    """Videos of each category in the train and test splits, one in val; each second has two frames."""
    random = np.random.default_rng(0)
    shards: list[list[dict]] = [[] for _ in range(SHARDS)]
    index, boxes = [], ["video_id,time_s,category,x,y,w,h"]
    splits = ["train"] * train + ["val"] + ["test"] * test
    for category, (hertz, color) in sounds.items():
        for number, split in enumerate(splits):
            video, shard = f"{category}-{number:02d}", number % SHARDS
            for second in range(seconds):
                x, y = random.uniform(0, 1 - SIDE, 2)
                times = [second, second + 0.5]
                clip = {
                    "clip_id": f"{video}_{second * 1000:07d}",
                    "video_id": video,
                    "start_s": second,
                }
                frames = [picture(color, x, y, size, random) for _ in times]
                about = {
                    "kind": "solo",
                    "categories": [category],
                    "split": split,
                    "audible": True,
                    "rms_db": -10.0,
                }
                index.append({**clip, **about, "shard": shard, "row": len(shards[shard])})
                shards[shard].append(
                    {**clip, "frame_time_s": times, "frames": frames, "pcm": sound(hertz, random)}
                )
                boxes += [f"{video},{time},{category},{x},{y},{SIDE},{SIDE}" for time in times]
    corpus = Corpus(
        folder / "index.parquet", folder / "clips", folder / "spectrograms", folder / "boxes.csv"
    )
    for shard, rows in enumerate(shards):
        tables.write_rows(table_of(corpus.clips, shard), tables.CLIPS, rows)
        mels = table_of(corpus.spectrograms, shard)
        spectrograms(Spectrograms(), clips=table_of(corpus.clips, shard), out=mels)
    tables.write_rows(
        corpus.index, tables.INDEX, sorted(index, key=lambda row: (row["shard"], row["row"]))
    )
    corpus.boxes.write_text("\n".join(boxes) + "\n")
    return corpus
