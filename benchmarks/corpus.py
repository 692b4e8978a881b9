"""Corpora for benchmarks, of any size: some clips, repeated under new names.

python -m benchmarks.corpus --out FOLDER --clips 200000 [--tables results/corpus] [--pcm]

The tables are those that the stages `clips`, `spectrograms`, `index` and `clusters` write. The
clips are those of --tables, the folder `corpus` of a run; without it, they are drawn. --pcm writes
the sound too, which a training of ResNet-18 does not read.
"""

import argparse
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image, ImageFilter

from spm.base import schemas, tables
from spm.base.constants import PCM_SCALE, SAMPLE_RATE_HZ
from spm.base.shards import table_of
from spm.base.statuses import Kind, Split
from spm.corpus.spectrograms import log_mel

SIDE = 256  # px
PER_CLIP = 4  # frames
VIDEO_CLIPS = 10
SHARD_CLIPS = 4_096
GROUP_ROWS = 64  # rows per row group, as the stage clips writes them
CATEGORIES = ("cello", "flute", "guitar", "violin")
CLUSTERS = 11
MOST_SOURCES = 1_024  # clips in memory, which are repeated
HELD_OUT = 20  # of so many videos, one is in the validation split and one in the test split


@dataclass(frozen=True)
class Corpus:
    """Paths of the tables that trainings read."""

    folder: Path

    @property
    def index(self) -> Path:
        """The table of the stage `index`."""
        return self.folder / "index.parquet"

    @property
    def clips(self) -> Path:
        """The folder of the tables of the stage `clips`."""
        return self.folder / "clips"

    @property
    def spectrograms(self) -> Path:
        """The folder of the tables of the stage `spectrograms`."""
        return self.folder / "spectrograms"

    @property
    def clusters(self) -> Path:
        """The table of the stage `clusters`, with random pseudo-labels."""
        return self.folder / "clusters.parquet"

    def bytes(self) -> int:
        """Size of all tables."""
        return sum(path.stat().st_size for path in self.folder.rglob("*.parquet"))


def draw_jpeg(rng: np.random.Generator, side: int) -> bytes:
    """A picture of smooth shapes and fine grain, about as many bytes as a frame of a video."""
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((side, side))
    fine = Image.fromarray(rng.integers(0, 256, (side, side), np.uint8))
    grain = fine.filter(ImageFilter.GaussianBlur(1)).convert("RGB")
    out = io.BytesIO()
    Image.blend(coarse, grain, 0.25).save(out, "JPEG", quality=85)
    return out.getvalue()


def _with_log_mels(frames: pa.Array, pcm: Sequence[bytes]) -> pa.Table:
    """Frames, sounds and the log-mels of the sounds."""
    samples = np.stack([np.frombuffer(sound, "<i2") for sound in pcm])
    log_mels = log_mel(torch.from_numpy(samples * np.float32(PCM_SCALE)), exact=False)
    stored = [values.tobytes() for values in log_mels.numpy().astype("<f2")]
    columns = {
        "frames": frames,
        "pcm": pa.array(pcm, pa.binary()),
        "log_mel": pa.array(stored, schemas.SPECTROGRAMS.schema.field("log_mel").type),
    }
    return pa.table(columns)


def drawn_clips(count: int, side: int = SIDE, per_clip: int = PER_CLIP) -> pa.Table:
    """Columns frames, pcm and log_mel of drawn clips; the sounds are tones in noise."""
    rng = np.random.default_rng(0)
    jpegs = [draw_jpeg(rng, side) for _ in range(count * per_clip)]
    frames = [jpegs[start : start + per_clip] for start in range(0, len(jpegs), per_clip)]
    time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    sounds = []
    for hertz in rng.uniform(100, 5_000, count):
        noise = rng.normal(0, 0.05, SAMPLE_RATE_HZ)
        wave = 0.3 * np.sin(2 * np.pi * hertz * time_s) + noise
        sounds.append((wave.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return _with_log_mels(pa.array(frames, schemas.CLIPS.schema.field("frames").type), sounds)


def _batches(folder: Path) -> Iterator[pa.RecordBatch]:
    for path in sorted((folder / "clips").glob("*.parquet")):
        yield from tables.batches(path, ["frames", "pcm"], GROUP_ROWS)


def stored_clips(folder: Path, count: int) -> pa.Table:
    """Columns frames, pcm and log_mel of the first clips of a run; `folder` is its `corpus`."""
    groups = pa.Table.from_batches(islice(_batches(folder), -(-count // GROUP_ROWS)))[:count]
    return _with_log_mels(groups["frames"].combine_chunks(), groups["pcm"].to_pylist())


def _ids(first: int, count: int) -> dict[str, list[str] | list[float]]:
    """Columns of the ids and starts of clips; each video has ten."""
    numbers = range(first, first + count)
    names = [f"v{number // VIDEO_CLIPS:010d}" for number in numbers]
    starts_s = [float(number % VIDEO_CLIPS) for number in numbers]
    clips = [f"{name}_{1000 * start:07.0f}" for name, start in zip(names, starts_s, strict=True)]
    return {"clip_id": clips, "video_id": names, "start_s": starts_s}


def _write_shard(corpus: Corpus, shard: int, sources: pa.Table, count: int, pcm: bool) -> None:
    """Write one shard's tables of clips and of log-mels."""
    first = shard * SHARD_CLIPS
    spectrograms = table_of(corpus.spectrograms, shard)
    with (
        tables.writer(table_of(corpus.clips, shard), schemas.CLIPS) as write_clips,
        tables.writer(spectrograms, schemas.SPECTROGRAMS) as write_log_mels,
    ):
        for start in range(first, first + count, GROUP_ROWS):
            rows = np.arange(start, min(start + GROUP_ROWS, first + count))
            part, ids = sources.take(rows % len(sources)), _ids(start, len(rows))
            times = [[start_s] * len(part["frames"][0]) for start_s in ids["start_s"]]
            sounds = part["pcm"] if pcm else [b""] * len(rows)
            levels = [-20.0] * len(rows)
            write_clips(**ids, frame_time_s=times, frames=part["frames"], pcm=sounds, rms_db=levels)
            write_log_mels(clip_id=ids["clip_id"], log_mel=part["log_mel"])


def _splits(count: int, held_out: int) -> list[str]:
    """Split of each clip: of `held_out` videos one is for validation, and one for the test."""
    splits = [Split.TRAIN] * count
    for clip in range(count if held_out else 0):
        place = clip // VIDEO_CLIPS % held_out
        if place >= held_out - 2:
            splits[clip] = Split.TEST if place == held_out - 1 else Split.VAL
    return splits


def _write_index(corpus: Corpus, count: int, held_out: int) -> None:
    splits = np.array(_splits(count, held_out))
    videos = range(count)
    columns = {
        **_ids(0, count),
        "shard": np.arange(count) // SHARD_CLIPS,
        "row": np.arange(count) % SHARD_CLIPS,
        "kind": [Kind.SOLO] * count,
        "categories": [[CATEGORIES[n // VIDEO_CLIPS % len(CATEGORIES)]] for n in videos],
        "split": splits,
        "rms_db": np.full(count, -20.0),
        "audible": np.ones(count, bool),
    }
    with tables.writer(corpus.index, schemas.INDEX) as write:
        write(**columns)
    train = np.flatnonzero(splits == Split.TRAIN)
    labels = np.random.default_rng(0).integers(0, CLUSTERS, len(train))
    ids = np.array(columns["clip_id"])[train]
    with tables.writer(corpus.clusters, schemas.CLUSTERS) as write:
        write(clip_id=ids, pseudo_label=labels, similarity=np.ones(len(train), np.float32))


def write(
    folder: Path,
    sources: pa.Table,
    count: int,
    *,
    pcm: bool = True,
    held_out: int = 0,
) -> Corpus:
    """Write a corpus of `count` clips.

    Parameters
    ----------
    folder : Path
        The tables are written into it.
    sources : Table
        Columns frames, pcm and log_mel of the clips that are repeated.
    count : int
        Number of clips.
    pcm : bool
        Write the sounds too.
    held_out : int
        Of so many videos, one is in the validation split and one in the test split; 0: all videos
        are in the training split.
    """
    corpus = Corpus(folder)
    for shard, start in enumerate(range(0, count, SHARD_CLIPS)):
        _write_shard(corpus, shard, sources, min(SHARD_CLIPS, count - start), pcm)
    _write_index(corpus, count, held_out)
    return corpus


def sources(folder: Path | None, count: int) -> pa.Table:
    """At most 1,024 clips: those of a run, or drawn ones."""
    count = min(count, MOST_SOURCES)
    return drawn_clips(count) if folder is None else stored_clips(folder, count)


def main() -> None:
    """Write a corpus."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=200_000)
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--pcm", action="store_true")
    given = parser.parse_args()
    clips = sources(given.tables, given.clips)
    corpus = write(given.out, clips, given.clips, pcm=given.pcm)
    print(f"{given.clips:,} clips, {corpus.bytes() / 1e9:.1f} GB in {given.out}")


if __name__ == "__main__":
    main()
