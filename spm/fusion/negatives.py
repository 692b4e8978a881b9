"""Test frames with sounds that nothing in them makes: silence, noise, and off-screen sounds.

python -m spm.fusion.negatives --config '{}' --index clips.parquet --testset solo
    --out negatives.parquet

The table lists which clip's frames are shown with which sound. The stages `maps` and
`baseline_maps` compute the maps. The list depends on the index and the seed only.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from spm.base import schemas, stage, tables
from spm.base.config import UNIQUE, Section, Seed
from spm.base.statuses import Kind, NegativeUse, PlayedSound, Split
from spm.corpus import clip_reader

TableRow = dict[str, Any]
NOISES = 16  # different noises of each kind: networks hear each of them once


class NegativeSets(Section):
    """Sounds that the test frames are shown with, besides their own."""

    sounds: tuple[PlayedSound, ...] = Field(
        (PlayedSound.SILENCE, PlayedSound.WHITE_NOISE, PlayedSound.OFF_SCREEN),
        json_schema_extra=UNIQUE,
        description="silence, white-noise, pink-noise, off-screen (the sound of a test solo of"
        " another category), mixed (own and off-screen sound). A localizer should find nothing,"
        " except with mixed. Frames and sounds are still seen and heard once each. [] turns this"
        " evaluation off. Mosaics are left out.",
    )
    threshold_clips: int = Field(
        100,
        ge=0,
        le=100_000,
        description="Number of clips on which the threshold of each run is chosen, if"
        " scores.negative_threshold is null: validation solos (index.val_solos), or training solos"
        " if there are none.",
    )
    seed: Seed = Field(0, description="Random seed of the noises and off-screen sounds.")


def off_screen_clips(
    pictures: Sequence[TableRow], sounds: Sequence[TableRow], seed: int
) -> dict[str, str]:
    """The clip whose sound each picture is shown with: of a video without a common category.

    Successive clips of a video get successive clips of one other video. Pictures of unknown
    category, and pictures for which no video is left, get none.

    Parameters
    ----------
    pictures, sounds : sequences of rows of an index
        Clips that are seen, and clips that may be heard.
    seed : int
        Random seed of the choice, which is made per video.
    """
    audible = _clips_of_videos(row for row in sounds if row["categories"])
    found: dict[str, str] = {}
    for video, clips in _clips_of_videos(pictures).items():
        seen = set(clips[0]["categories"] or ())
        others = [name for name, rows in audible.items() if seen.isdisjoint(rows[0]["categories"])]
        if not seen or not others:
            continue
        generator = np.random.default_rng([seed, zlib.crc32(video.encode())])
        chosen = audible[others[generator.integers(len(others))]]
        for number, clip in enumerate(clips):
            found[clip["clip_id"]] = chosen[number % len(chosen)]["clip_id"]
    return found


def _clips_of_videos(rows: Iterator[TableRow] | Sequence[TableRow]) -> dict[str, list[TableRow]]:
    """The clips of each video in the order of time; videos sorted by name."""
    videos: dict[str, list[TableRow]] = {}
    for row in sorted(rows, key=lambda row: (row["video_id"], row["start_s"])):
        videos.setdefault(row["video_id"], []).append(row)
    return videos


def negative_rows(
    pictures: Sequence[TableRow], sounds: Sequence[TableRow], use: NegativeUse, config: NegativeSets
) -> Iterator[TableRow]:
    """Rows of the table for clips of one use; the sounds are clips that may be heard."""
    others = off_screen_clips(pictures, sounds, config.seed)
    for row in pictures:
        about = {"clip_id": row["clip_id"], "video_id": row["video_id"], "use": use.value}
        for sound in config.sounds:
            other = others.get(row["clip_id"])
            if sound in (PlayedSound.OFF_SCREEN, PlayedSound.MIXED):
                if other:
                    yield about | {"sound": sound.value, "sound_clip_id": other}
            elif sound != PlayedSound.SILENCE:
                yield about | {"sound": sound.value, "seed": _noise_seed(row, config.seed)}
            else:
                yield about | {"sound": sound.value}


def _noise_seed(row: Mapping[str, Any], seed: int) -> int:
    """One of the seeds of noises."""
    return seed + zlib.crc32(row["clip_id"].encode()) % NOISES


def threshold_pictures(index: Path, testset: str, limit: int) -> list[TableRow]:
    """Solos on which thresholds are chosen, evenly spaced: of validation, or else of training."""
    splits = [Split.TRAIN] if testset == "validation" else [Split.VAL, Split.TRAIN]
    for split in splits:
        rows = clip_reader.select(index, split=split, kind=Kind.SOLO).to_pylist()
        if rows and limit:
            places = np.unique(np.linspace(0, len(rows) - 1, min(limit, len(rows))).round())
            return [rows[int(place)] for place in places]
    return []


def run(config: NegativeSets, *, index: Path, testset: str, out: Path) -> None:
    """List the clips of a test set, and those for thresholds, with every sound."""
    found: list[TableRow] = []
    if config.sounds and testset != "synthetic":
        pictures = clip_reader.testset_rows(index, testset).to_pylist()
        split = Split.VAL if testset == "validation" else Split.TEST
        sounds = clip_reader.select(index, split=split, kind=Kind.SOLO).to_pylist()
        found += negative_rows(pictures, sounds, NegativeUse.TEST, config)
        pictures = threshold_pictures(index, testset, config.threshold_clips)
        found += negative_rows(pictures, pictures, NegativeUse.THRESHOLD, config)
    order = sorted(found, key=lambda row: (row["use"], row["clip_id"], row["sound"]))
    tables.write_rows(out, schemas.NEGATIVES, order)


if __name__ == "__main__":
    stage.main(run)
