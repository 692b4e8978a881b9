"""Scenes whose answer is known: 2 × 2 mosaics of four solos of different instruments, of which two sound.

python -m spm.fusion.mosaics --config '{}' --index clips.parquet --clips clips --split test
    --out-index index.parquet --out-clips clips/0000.parquet --tiles tiles.parquet

The tables are those of the corpus room, so that every later stage reads mosaics as it reads clips; `tiles` says what
each one was made of. Mosaics for training come from the second half of each instrument's training videos.

Source: Hu et al., NeurIPS 2020 (MUSIC-Synthetic).
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.corpus import clip_reader, ids
from spm.corpus.media.cut import level_db

Row = dict[str, Any]
TILES, SOUNDING = 4, 2
SPLITS = ("train", "test")  # each draws by itself


class Mosaics(Section):
    """How many, how large, how mixed."""

    train: int = Field(5000, ge=2)  # mosaics to learn from, where a run does
    test: int = Field(1000, ge=1)  # mosaics to be scored on
    size: int = Field(224, ge=32, multiple_of=2)  # px; a tile has half of it
    jitter_db: float = Field(3.0, ge=0)  # each sound's gain is uniform in ± this
    jpeg_quality: int = Field(95, ge=1, le=100)
    seed: int = 0


class Tile(NamedTuple):
    """A quarter of a mosaic."""

    clip: int  # position among the clips that mosaics are made of
    frame: int
    sounding: bool
    gain_db: float


def sources(index: Path, split: str) -> list[Row]:
    """The audible solo clips that a split's mosaics are made of, sorted; in training the second half of the videos."""
    rows = clip_reader.select(index, split=split, kind="solo").to_pylist()
    if split == "train":
        rows = [row for row in rows if row["video_id"] in second_half(rows)]
    return sorted(rows, key=lambda row: str(row["clip_id"]))


def second_half(rows: Sequence[Row]) -> set[str]:
    """The later videos of each category by name, the larger part of an odd number."""
    videos: dict[str, set[str]] = {}
    for row in rows:
        videos.setdefault(row["categories"][0], set()).add(row["video_id"])
    return {video for several in videos.values() for video in sorted(several)[len(several) // 2 :]}


def by_category(rows: Sequence[Row]) -> list[list[int]]:
    """Positions of each category's clips."""
    found: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        found.setdefault(row["categories"][0], []).append(position)
    if len(found) < TILES:
        raise UserError(
            f"a mosaic wants solos of {TILES} categories, there are {len(found)}: {', '.join(found)}"
        )
    return [found[name] for name in sorted(found)]


def draw(
    clips: Sequence[Sequence[int]], frames: int, config: Mosaics, random: np.random.Generator
) -> list[Tile]:
    """Four tiles of different categories; two of them sound."""
    chosen = random.choice(len(clips), TILES, replace=False)
    sounding = set(random.choice(TILES, SOUNDING, replace=False).tolist())
    gains = random.uniform(-config.jitter_db, config.jitter_db, TILES)
    return [
        Tile(
            int(random.choice(clips[category])),
            int(random.integers(frames)),
            tile in sounding,
            float(gain),
        )
        for tile, (category, gain) in enumerate(zip(chosen, gains, strict=True))
    ]


def corner(tile: int) -> tuple[float, float]:
    """The top left corner of a tile as fractions of the mosaic: x, y."""
    return tile % 2 / 2, tile // 2 / 2


def picture(jpegs: Sequence[bytes], config: Mosaics) -> bytes:
    """Four frames side by side, as JPEG."""
    half, mosaic = config.size // 2, Image.new("RGB", (config.size, config.size))
    for tile, jpeg in enumerate(jpegs):
        small = Image.open(io.BytesIO(jpeg)).resize((half, half), Image.Resampling.BILINEAR)
        mosaic.paste(small, (tile % 2 * half, tile // 2 * half))
    out = io.BytesIO()
    mosaic.save(out, "JPEG", quality=config.jpeg_quality)
    return out.getvalue()


def mix(pcm: Sequence[bytes], gains_db: Sequence[float]) -> bytes:
    """The sum of sounds, each by its gain; one that would clip is made as loud as it can be."""
    waves = [
        np.frombuffer(sound, "<i2") * 10 ** (gain / 20)
        for sound, gain in zip(pcm, gains_db, strict=True)
    ]
    total = np.sum(waves, axis=0)
    loud: bytes = (
        (total * min(1, 32767 / max(np.abs(total).max(), 1))).round().astype("<i2").tobytes()
    )
    return loud


def tile_rows(name: str, tiles: Sequence[Tile], rows: Sequence[Row]) -> Iterator[Row]:
    """What a mosaic is made of."""
    for number, tile in enumerate(tiles):
        clip, (x, y) = rows[tile.clip], corner(number)
        source = {
            "clip_id": clip["clip_id"],
            "video_id": clip["video_id"],
            "category": clip["categories"][0],
        }
        drawn = {"mosaic_id": name, "tile": number, **source, **tile._asdict()}
        yield {**drawn, "x": x, "y": y, "w": 0.5, "h": 0.5}


def video_of(tiles: Sequence[Row]) -> str:
    """What stands for the video of a mosaic."""
    return ids.join_ids(tile["video_id"] for tile in tiles)


def clip_row(
    name: str, video: str, tiles: Sequence[Tile], media: Mapping[int, Row], config: Mosaics
) -> Row:
    """A mosaic as a clip of one frame."""
    heard = [tile for tile in tiles if tile.sounding]
    pcm = mix([media[tile.clip]["pcm"] for tile in heard], [tile.gain_db for tile in heard])
    frame = picture([media[tile.clip]["frames"][tile.frame] for tile in tiles], config)
    row = {"clip_id": name, "video_id": video, "start_s": 0.0, "frame_time_s": [0.0]}
    return {**row, "frames": [frame], "pcm": pcm, "rms_db": level_db(pcm)}


def index_row(number: int, clip: Row, tiles: Sequence[Row], split: str) -> Row:
    """A mosaic's row of the index: its categories are those that sound."""
    names = sorted(tile["category"] for tile in tiles if tile["sounding"])
    about = {"kind": "synthetic", "categories": names, "split": split, "audible": True}
    return {**clip, **about, "shard": 0, "row": number}


def _media(rows: Sequence[Row], used: set[int], clips: Path) -> dict[int, Row]:
    """Frames and sounds of the clips that are used, by position."""
    places = sorted(used)
    table = pa.Table.from_pylist([rows[place] for place in places], tables.INDEX)
    columns = {
        name: clip_reader.take_column(table, clips, name).to_pylist() for name in ("frames", "pcm")
    }
    return {place: {name: columns[name][n] for name in columns} for n, place in enumerate(places)}


def run(
    config: Mosaics,
    *,
    index: Path,
    clips: Path,
    split: str,
    out_index: Path,
    out_clips: Path,
    tiles: Path,
) -> None:
    """Draw the mosaics of one split, all from one seed."""
    rows = sources(index, split)
    groups = by_category(rows)
    frames = min(
        len(several)
        for several in clip_reader.frame_times(pa.Table.from_pylist(rows, tables.INDEX), clips)
    )
    random = np.random.default_rng([config.seed, SPLITS.index(split)])
    drawn = {
        f"mosaic-{split}-{n:06d}": draw(groups, frames, config, random)
        for n in range(getattr(config, split))
    }
    media = _media(rows, {tile.clip for four in drawn.values() for tile in four}, clips)
    listed = {name: list(tile_rows(name, four, rows)) for name, four in drawn.items()}
    tables.write_rows(tiles, tables.TILES, [row for four in listed.values() for row in four])
    indexed = []
    with tables.writer(out_clips, tables.CLIPS) as write:
        for number, (name, four) in enumerate(drawn.items()):
            clip = clip_row(name, video_of(listed[name]), four, media, config)
            write(**{key: [clip[key]] for key in tables.CLIPS.names})
            indexed.append(index_row(number, clip, listed[name], split))
    tables.write_rows(out_index, tables.INDEX, indexed)


if __name__ == "__main__":
    stage.main(run)
