"""The clips of a test set in batches: frames and sounds, as the networks' `heat_maps` take them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from spm.base.errors import UserError
from spm.base.progress import progress
from spm.base.statuses import PlayedSound
from spm.corpus import clip_reader
from spm.fusion.localization_network import LocalizationNetwork
from spm.learn import clip_files, loader, transforms
from spm.learn.clip_files import ClipColumn, Indices, PreparedSounds, Sounds

SOUNDS = 256  # clips whose samples are in memory as 32-bit numbers
ReadSounds = Callable[[Indices], Tensor]  # sounds of some clips as `heat_maps` takes them: (n, …)
# For a network and the clips of a shard: how other sounds than their own are read.
OtherSounds = Callable[[LocalizationNetwork, pa.Table], Mapping[PlayedSound, ReadSounds]]


@dataclass(frozen=True)
class ClipFiles:
    """Clips of a test set, and where they are."""

    rows: pa.Table  # of `clip_reader.testset_rows`
    clips: Path
    spectrograms: Path | None  # None: no network reads them
    mapped: Path | None  # folder of memory-mapped clips; None: tables stay in memory

    @property
    def frames_per_clip(self) -> int:
        """Number of frames of the first clip; 0 without clips."""
        first = self.rows.slice(0, 1)
        return len(clip_reader.frame_times(first, self.clips)[0]) if first.num_rows else 0


class ClipBatch(NamedTuple):
    """B clips of one shard, of f frames each."""

    rows: list[dict[str, Any]]  # of the index
    times_s: list[list[float]]  # of the frames
    images: Tensor  # (B, f, 3, size, size), on the device
    sounds: list[Tensor]  # for each network: (B, …), on the device
    other_sounds: list[dict[PlayedSound, Tensor]]  # the same


def read_sounds(network: LocalizationNetwork, testset: ClipFiles, rows: pa.Table) -> ReadSounds:
    """The function that gives sounds of the rows' clips as `heat_maps` takes them: (n, …).

    A network without ears gets (n, 0).
    """
    if network.reads == "log_mel":
        if testset.spectrograms is None:
            return lambda indices: torch.empty(len(indices), 0)
        return clip_files.open_column(rows, testset.spectrograms, "log_mel", testset.mapped).sounds
    pcm = clip_files.open_column(rows, testset.clips, "pcm", testset.mapped)
    return prepare_sounds(network, pcm, rows)


def prepare_sounds(network: LocalizationNetwork, pcm: Sounds, rows: pa.Table) -> ReadSounds:
    """The same for samples of the rows' clips that a network prepares and smooths itself."""
    made = PreparedSounds(pcm, network.prepare_sound)
    parts = torch.arange(rows.num_rows).split(SOUNDS)
    prepared = torch.cat([made.sounds(part) for part in parts]).float()
    # The tiles of two mosaics differ, so each mosaic is a video of its own.
    is_mosaic = pc.equal(rows["kind"], "synthetic")
    videos = pc.if_else(is_mosaic, rows["clip_id"], rows["video_id"]).to_pylist()
    smooth = network.smooth_sounds(prepared, videos, rows["start_s"].to_pylist())
    return lambda indices: smooth[torch.as_tensor(indices)]


def plan_batches(shards: NDArray[Any], size: int) -> Iterator[range]:
    """Rows of each batch: at most `size` clips, of one shard.

    >>> list(plan_batches(np.array([4, 4, 4, 7]), 2))
    [range(0, 2), range(2, 3), range(3, 4)]
    """
    edges = np.flatnonzero(np.diff(shards, prepend=-1, append=-1)).tolist()
    for first, end in pairwise(edges):
        for start in range(first, end, size):
            yield range(start, min(start + size, end))


def batches(
    testset: ClipFiles,
    networks: Sequence[LocalizationNetwork],
    size: int,
    crop: int,
    title: str,
    others: OtherSounds = lambda _network, _rows: {},
) -> Iterator[ClipBatch]:
    """All clips, at most `size` at once, with their frames resized to `crop` px.

    Worker processes decode the next batches. Sounds that a network prepares are those of a whole
    shard, because it may average them over the seconds of a video; others are read batch by batch.
    `title` is that of the progress bar.
    """
    shards = testset.rows["shard"].to_numpy()
    plans = list(plan_batches(shards, size))
    device = next(networks[0].parameters()).device
    images = iter(progress(_load_frames(testset, plans, device), title, len(plans)))
    for shard, group in groupby(plans, lambda plan: shards[plan.start]):
        rows = testset.rows.filter(pc.equal(testset.rows["shard"], pa.scalar(shard)))
        times_s = clip_reader.frame_times(rows, testset.clips)
        sounds = [read_sounds(network, testset, rows) for network in networks]
        other_sounds = [others(network, rows) for network in networks]
        clip_rows, done = rows.to_pylist(), 0
        for plan in group:
            first, done = done, done + len(plan)
            resized = transforms.resize_normalize(next(images).flatten(0, 1).to(device), crop)
            yield ClipBatch(
                clip_rows[first:done],
                times_s[first:done],
                resized.view(len(plan), -1, *resized.shape[1:]),
                [read(range(first, done)).to(device) for read in sounds],
                [_read_each(reads, range(first, done), device) for reads in other_sounds],
            )


def sound_batches(testset: ClipFiles, network: LocalizationNetwork, size: int) -> Iterator[Tensor]:
    """The own sounds of `batches`, alone: (B, …), on the device."""
    device = next(network.parameters()).device
    shards = testset.rows["shard"].to_numpy()
    for shard in np.unique(shards).tolist():
        rows = testset.rows.filter(pc.equal(testset.rows["shard"], pa.scalar(shard)))
        read = read_sounds(network, testset, rows)
        for plan in plan_batches(rows["shard"].to_numpy(), size):
            yield read(plan).to(device)


def _read_each(
    reads: Mapping[PlayedSound, ReadSounds], clips: range, device: torch.device
) -> dict[PlayedSound, Tensor]:
    return {sound: read(clips).to(device) for sound, read in reads.items()}


def _load_frames(
    testset: ClipFiles, plans: Sequence[range], device: torch.device
) -> Iterator[Tensor]:
    """Decoded frames of the clips of each batch: (B, f, 3, H, W), uint8."""
    if plans:
        frames = clip_files.open_column(testset.rows, testset.clips, "frames", testset.mapped)
        clip_ids = testset.rows["clip_id"].to_pylist()
        yield from loader.load(plans, partial(_decode, frames, clip_ids), device=device)


def _decode(frames: ClipColumn, clip_ids: Sequence[str], rows: range) -> Tensor:
    """The frames of some clips, (B, f, 3, H, W)."""
    images = []
    for row in rows:
        try:
            images += transforms.decode_each(frames[row])
        except UserError as error:
            raise UserError(f"clip {clip_ids[row]}: {error}") from error
    return transforms.stack(images).view(len(rows), -1, *images[0].shape)
