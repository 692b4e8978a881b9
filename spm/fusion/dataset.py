"""The clips that a run learns from: in memory, a random frame of each at a time, augmented as Table 2 compares."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.nn.functional import normalize

from spm.corpus import clip_reader
from spm.fusion.settings import Train
from spm.learn import dataloading, transforms

ROWS = 1024  # clips whose similarity with all others is held at once


@dataclass(frozen=True)
class ClipDataset:
    """The clips of one split, in memory."""

    jpegs: list[list[bytes]]  # of each clip, its frames
    log_mels: Tensor  # (clips, 201, 64)
    videos: Tensor  # (clips,) a number for each video; of a mosaic, its own
    heard: Tensor | None  # (clips, …) what a frozen audio network hears: computed once
    similar: Tensor | None = (
        None  # (clips,) the clip whose sound is most similar, for augmentations B and C
    )

    def __len__(self) -> int:
        """Clips."""
        return len(self.jpegs)

    @cached_property
    def siblings(self) -> list[Tensor]:
        """The clips of each video."""
        order = self.videos.argsort(stable=True)
        return list(order.split(torch.bincount(self.videos).tolist()))


def load(
    rows: pa.Table, folder: Path, spectrograms: Path, hear: Callable[[Tensor], Tensor] | None
) -> ClipDataset:
    """Read the rows' frames and sounds; what a frozen network hears is computed here and never again."""
    log_mels = dataloading.log_mels(rows, spectrograms) if rows.num_rows else torch.empty(0, 1, 1)
    mosaic = pc.equal(
        rows["kind"], "synthetic"
    )  # a stranger to every other, of the same four videos though they be
    names = pc.if_else(mosaic, rows["clip_id"], rows["video_id"]).to_pylist()
    videos = torch.from_numpy(np.unique(names, return_inverse=True)[1])
    heard = None if hear is None else hear(log_mels)
    jpegs = clip_reader.frames(rows, folder) if rows.num_rows else []
    return ClipDataset(jpegs, log_mels, videos, heard)


def most_similar(features: Tensor, videos: Tensor, outside: str) -> Tensor:
    """Eq. 6 between clips: argmax_j A_iᵀ A_j of unit vectors, j outside i's clip or video; (n, d) → (n,).

    A clip that is alone with its video keeps its own sound.
    """
    unit, found = normalize(features.float()), []
    for start in range(0, len(unit), ROWS):
        rows = torch.arange(start, min(start + ROWS, len(unit)))
        same = (
            videos[rows, None] == videos
            if outside == "video"
            else rows[:, None] == torch.arange(len(unit))
        )
        cosine = (unit[rows] @ unit.T).masked_fill(same, -torch.inf)
        found.append(torch.where(same.all(1), rows, cosine.argmax(1)))
    return torch.cat(found)


def sample_pairs(
    data: ClipDataset, at: Tensor, config: Train, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Which clip gives the frame and which the sound, for each of the clips `at`: themselves, unless augmented."""
    if config.augment == "none":
        return at, at
    chosen = torch.rand(len(at), generator=random) < config.augment_share
    draws = torch.rand(len(at), generator=random).tolist()
    several = [data.siblings[video] for video in data.videos[at].tolist()]
    frames = torch.stack(
        [clips[int(draw * len(clips))] for clips, draw in zip(several, draws, strict=True)]
    )
    sounds = at if data.similar is None else data.similar[at]
    return (
        torch.where(chosen, frames, at) if config.augment in "AC" else at,
        torch.where(chosen, sounds, at) if config.augment in "BC" else at,
    )


def random_frames(
    data: ClipDataset, at: Tensor, crop: int, random: torch.Generator, views: int = 1
) -> Tensor:
    """One random frame of each clip, augmented `views` times: (views · B, 3, crop, crop)."""
    draws = torch.rand(len(at), generator=random).tolist()
    images = transforms.decode(_drawn(data, at, draws))
    drawn = (
        transforms.sample_params(len(at), images.shape[-1] - crop, random) for _ in range(views)
    )
    return torch.cat([transforms.augment(images, crop, how) for how in drawn])


def whole_frames(
    data: ClipDataset, at: Tensor, crop: int, random: torch.Generator | None = None
) -> Tensor:
    """A random frame of each clip, or the first, not augmented: (B, 3, crop, crop)."""
    draws = [0.0] * len(at) if random is None else torch.rand(len(at), generator=random).tolist()
    return transforms.resize_normalize(transforms.decode(_drawn(data, at, draws)), crop)


def _drawn(data: ClipDataset, at: Tensor, draws: list[float]) -> list[bytes]:
    """The frame that a number in [0, 1) draws of each clip."""
    several = [data.jpegs[clip] for clip in at.tolist()]
    return [frames[int(draw * len(frames))] for frames, draw in zip(several, draws, strict=True)]
