"""Mosaics: scenes of 2 × 2 solos of different instruments, of which two sound.

python -m spm.fusion.mosaics --config '{}' --index clips.parquet --clips clips --split test
    --out-index index.parquet --out-clips clips/0000.parquet --tiles tiles.parquet

The index and the clips have the same columns as those of the corpus, so that later stages read
mosaics as they read clips; `tiles` says what each mosaic was made of. Mosaics for training come
from the second half of each instrument's training videos.

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

from spm.base import schemas, stage, tables
from spm.base.config import Section, Seed
from spm.base.errors import UserError
from spm.base.pictures import open_picture
from spm.base.statuses import Split
from spm.corpus import clip_reader, ids
from spm.corpus.media.cut import level_db

TableRow = dict[str, Any]
TILES, SOUNDING = 4, 2
SPLITS = ("train", "test")  # the position is part of the random seed
MAX_SAMPLE = 32_767  # of int16


class Mosaics(Section):
    """Scenes of four solos, of which two sound (MUSIC-Synthetic of Hu et al.)."""

    train: int = Field(
        5000,
        ge=2,
        le=1_000_000,
        description="Number of mosaics for training, for runs that use them. They are made of the"
        " second half of each instrument's training videos.",
    )
    test: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Number of mosaics of test solos; made if maps.testsets has synthetic.",
    )
    size: int = Field(
        224,
        ge=32,
        le=2_048,
        multiple_of=2,
        description="Width and height of a mosaic, in px; a tile has half of it.",
    )
    jitter_db: float = Field(
        3.0,
        ge=0,
        le=60,
        description="The gain of each sound is uniform between ± this value, in dB.",
    )
    jpeg_quality: int = Field(95, ge=1, le=100, description="JPEG quality of Pillow, 1 to 100.")
    seed: Seed = Field(0, description="Random seed of tiles, positions and gains.")


class Tile(NamedTuple):
    """A quarter of a mosaic."""

    clip: int  # index among the clips that mosaics are made of
    frame: int
    sounding: bool
    gain_db: float


def source_clips(index: Path, split: str) -> list[TableRow]:
    """Audible solo clips that a split's mosaics are made of, sorted by name."""
    audible = clip_reader.select(index, split=split)
    rows = audible.filter(clip_reader.solos(audible, "mosaics")).to_pylist()
    if split == Split.TRAIN:
        videos = second_half(rows)
        rows = [row for row in rows if row["video_id"] in videos]
    return sorted(rows, key=lambda row: str(row["clip_id"]))


def second_half(rows: Sequence[TableRow]) -> set[str]:
    """Second half of each category's videos, sorted by name; of an odd number, the larger part."""
    by_category: dict[str, set[str]] = {}
    for row in rows:
        by_category.setdefault(row["categories"][0], set()).add(row["video_id"])
    selected: set[str] = set()
    for videos in by_category.values():
        selected.update(sorted(videos)[len(videos) // 2 :])
    return selected


def group_by_category(rows: Sequence[TableRow]) -> list[list[int]]:
    """Indices of each category's clips, in alphabetical order of the categories."""
    groups: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row["categories"][0], []).append(number)
    if len(groups) < TILES:
        raise UserError(
            f"a mosaic needs solos of {TILES} categories, but there are only {len(groups)}:"
            f" {', '.join(groups)}"
        )
    return [groups[name] for name in sorted(groups)]


def sample_tiles(
    groups: Sequence[Sequence[int]], frames: int, config: Mosaics, generator: np.random.Generator
) -> list[Tile]:
    """Four tiles of different categories; two of them sound."""
    categories = generator.choice(len(groups), TILES, replace=False)
    sounding = set(generator.choice(TILES, SOUNDING, replace=False).tolist())
    gains = generator.uniform(-config.jitter_db, config.jitter_db, TILES)
    tiles = []
    for number, (category, gain) in enumerate(zip(categories, gains, strict=True)):
        clip = int(generator.choice(groups[category]))
        frame = int(generator.integers(frames))
        tiles.append(Tile(clip, frame, number in sounding, float(gain)))
    return tiles


def corner(tile: int) -> tuple[float, float]:
    """Top left corner of a tile, x and y, as fractions of the mosaic."""
    return tile % 2 / 2, tile // 2 / 2


def compose(jpegs: Sequence[bytes], config: Mosaics) -> bytes:
    """Four frames in one image, as JPEG."""
    half, mosaic = config.size // 2, Image.new("RGB", (config.size, config.size))
    for tile, jpeg in enumerate(jpegs):
        resized = open_picture(io.BytesIO(jpeg)).resize((half, half), Image.Resampling.BILINEAR)
        mosaic.paste(resized, (tile % 2 * half, tile // 2 * half))
    out = io.BytesIO()
    mosaic.save(out, "JPEG", quality=config.jpeg_quality)
    return out.getvalue()


def mix(pcm: Sequence[bytes], gains_db: Sequence[float]) -> bytes:
    """Sum of the sounds with their gains; a sum that would clip is scaled to the maximum level."""
    waves = []
    for sound, gain_db in zip(pcm, gains_db, strict=True):
        waves.append(np.frombuffer(sound, "<i2") * 10 ** (gain_db / 20))
    total = np.sum(waves, axis=0)
    scaled = total * min(1, MAX_SAMPLE / max(np.abs(total).max(), 1))
    mixed: bytes = scaled.round().astype("<i2").tobytes()
    return mixed


def tile_rows(name: str, tiles: Sequence[Tile], rows: Sequence[TableRow]) -> Iterator[TableRow]:
    """Rows of the table of tiles for one mosaic."""
    for number, tile in enumerate(tiles):
        clip, (x, y) = rows[tile.clip], corner(number)
        yield {
            "mosaic_id": name,
            "tile": number,
            "clip_id": clip["clip_id"],
            "video_id": clip["video_id"],
            "category": clip["categories"][0],
            "frame": tile.frame,
            "sounding": tile.sounding,
            "gain_db": tile.gain_db,
            "x": x,
            "y": y,
            "w": 0.5,
            "h": 0.5,
        }


def video_of(tiles: Sequence[TableRow]) -> str:
    """Value of a mosaic's column `video_id`: the names of its four videos."""
    return ids.join_ids(tile["video_id"] for tile in tiles)


def clip_row(
    name: str, video: str, tiles: Sequence[Tile], media: Mapping[int, TableRow], config: Mosaics
) -> TableRow:
    """A mosaic as a clip with one frame."""
    sounding = [tile for tile in tiles if tile.sounding]
    pcm = mix([media[tile.clip]["pcm"] for tile in sounding], [tile.gain_db for tile in sounding])
    frame = compose([media[tile.clip]["frames"][tile.frame] for tile in tiles], config)
    return {
        "clip_id": name,
        "video_id": video,
        "start_s": 0.0,
        "frame_time_s": [0.0],
        "frames": [frame],
        "pcm": pcm,
        "rms_db": level_db(pcm),
    }


def index_row(number: int, clip: TableRow, tiles: Sequence[TableRow], split: str) -> TableRow:
    """A mosaic's row of the index; its categories are those that sound."""
    return {
        **clip,
        "kind": "synthetic",
        "categories": sorted(tile["category"] for tile in tiles if tile["sounding"]),
        "split": split,
        "audible": True,
        "shard": 0,
        "row": number,
    }


def _read_media(rows: Sequence[TableRow], used: set[int], clips: Path) -> dict[int, TableRow]:
    """Frames and sounds of the clips that are used, by the clip's index in `rows`."""
    numbers = sorted(used)
    table = pa.Table.from_pylist([rows[number] for number in numbers], schemas.INDEX.schema)
    frames = clip_reader.take_column(table, clips, "frames").to_pylist()
    pcm = clip_reader.take_column(table, clips, "pcm").to_pylist()
    return {number: {"frames": frames[n], "pcm": pcm[n]} for n, number in enumerate(numbers)}


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
    """Make the mosaics of one split."""
    rows = source_clips(index, split)
    groups = group_by_category(rows)
    times = clip_reader.frame_times(pa.Table.from_pylist(rows, schemas.INDEX.schema), clips)
    frames = min(len(clip_times) for clip_times in times)
    generator = np.random.default_rng([config.seed, SPLITS.index(split)])
    mosaics: dict[str, list[Tile]] = {}
    for number in range(config.train if split == Split.TRAIN else config.test):
        name = f"mosaic-{split}-{number:06d}"
        mosaics[name] = sample_tiles(groups, frames, config, generator)
    media = _read_media(rows, {tile.clip for four in mosaics.values() for tile in four}, clips)
    rows_of_tiles = {name: list(tile_rows(name, four, rows)) for name, four in mosaics.items()}
    all_tiles = [row for four in rows_of_tiles.values() for row in four]
    tables.write_rows(tiles, schemas.TILES, all_tiles)
    index_rows = []
    with tables.writer(out_clips, schemas.CLIPS) as write:
        for number, (name, four) in enumerate(mosaics.items()):
            clip = clip_row(name, video_of(rows_of_tiles[name]), four, media, config)
            write(**{key: [clip[key]] for key in schemas.CLIPS.names})
            index_rows.append(index_row(number, clip, rows_of_tiles[name], split))
    tables.write_rows(out_index, schemas.INDEX, index_rows)


if __name__ == "__main__":
    stage.main(run)
