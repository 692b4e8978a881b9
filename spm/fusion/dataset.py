"""The clips of a run, in memory, and the random frames and pairs that training draws from them."""

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
from spm.fusion.settings import Augment, Outside, Train
from spm.learn import dataloading, transforms

ROWS = 1024  # clips whose similarity with all clips is computed in one product


@dataclass(frozen=True)
class ClipDataset:
    """The clips of one split."""

    jpegs: list[list[bytes]]  # frames of each clip
    log_mels: Tensor  # (clips, 201, 64)
    videos: Tensor  # (clips,) number of the clip's video; each mosaic has its own number
    audio_embeddings: Tensor | None  # (clips, …) features of a frozen audio network
    nearest: Tensor | None = None  # (clips,) clip with the most similar sound: augment B and C

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.jpegs)

    @cached_property
    def clips_of_video(self) -> list[Tensor]:
        """Indices of the clips of each video."""
        order = self.videos.argsort(stable=True)
        return list(order.split(torch.bincount(self.videos).tolist()))

    @property
    def sounds(self) -> Tensor:
        """Input of the trained part: features of a frozen audio network, or else log-mels."""
        return self.log_mels if self.audio_embeddings is None else self.audio_embeddings


def load(
    rows: pa.Table,
    clips: Path,
    spectrograms: Path,
    embed_audio: Callable[[Tensor], Tensor] | None,
) -> ClipDataset:
    """Read frames and sounds of the rows' clips.

    `embed_audio` computes the features of a frozen audio network, once for all epochs.
    """
    # Two mosaics of the same four videos still show different tiles, so each is its own video.
    is_mosaic = pc.equal(rows["kind"], "synthetic")
    names = pc.if_else(is_mosaic, rows["clip_id"], rows["video_id"]).to_pylist()
    videos = torch.from_numpy(np.unique(names, return_inverse=True)[1])
    log_mels = dataloading.log_mels(rows, spectrograms) if rows.num_rows else torch.empty(0, 1, 1)
    audio_embeddings = None if embed_audio is None else embed_audio(log_mels)
    jpegs = clip_reader.frames(rows, clips) if rows.num_rows else []
    return ClipDataset(jpegs, log_mels, videos, audio_embeddings)


def nearest_clips(features: Tensor, videos: Tensor, outside: Outside) -> Tensor:
    """Eq. 6 between clips: argmax_j A_iᵀ A_j of unit vectors, (n, d) → (n,).

    j is outside clip i, or outside its video. A clip without such a j gets its own index.
    """
    unit, nearest = normalize(features.float()), []
    everything = torch.arange(len(unit))
    for rows in everything.split(ROWS):
        if outside is Outside.VIDEO:
            excluded = videos[rows, None] == videos
        else:
            excluded = rows[:, None] == everything
        cosine = (unit[rows] @ unit.T).masked_fill(excluded, -torch.inf)
        nearest.append(torch.where(excluded.all(1), rows, cosine.argmax(1)))
    return torch.cat(nearest)


def sample_pairs(
    data: ClipDataset, indices: Tensor, config: Train, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Clips that give the frames and clips that give the sounds, for each clip of `indices`.

    Without augmentation, both are the clip itself.
    """
    if config.augment is Augment.NONE:
        return indices, indices
    changed = torch.rand(len(indices), generator=generator) < config.augment_share
    draws = torch.rand(len(indices), generator=generator).tolist()
    frame_clips = []
    for video, draw in zip(data.videos[indices].tolist(), draws, strict=True):
        clips = data.clips_of_video[video]
        frame_clips.append(clips[int(draw * len(clips))])
    frames = sounds = indices
    if config.augment.changes_frames:
        frames = torch.where(changed, torch.stack(frame_clips), indices)
    if config.augment.changes_sounds and data.nearest is not None:
        sounds = torch.where(changed, data.nearest[indices], indices)
    return frames, sounds


def random_frames(
    data: ClipDataset, indices: Tensor, crop: int, generator: torch.Generator, views: int = 1
) -> Tensor:
    """A random frame of each clip, augmented `views` times: (views · B, 3, crop, crop)."""
    draws = torch.rand(len(indices), generator=generator).tolist()
    images = transforms.decode(_select_frames(data, indices, draws))
    augmented = []
    for _ in range(views):
        params = transforms.sample_params(len(indices), images.shape[-1] - crop, generator)
        augmented.append(transforms.augment(images, crop, params))
    return torch.cat(augmented)


def resized_frames(
    data: ClipDataset, indices: Tensor, crop: int, generator: torch.Generator | None = None
) -> Tensor:
    """A random frame of each clip, or its first, resized but not augmented: (B, 3, crop, crop)."""
    draws = [0.0] * len(indices)
    if generator is not None:
        draws = torch.rand(len(indices), generator=generator).tolist()
    return transforms.resize_normalize(
        transforms.decode(_select_frames(data, indices, draws)), crop
    )


def _select_frames(data: ClipDataset, indices: Tensor, draws: list[float]) -> list[bytes]:
    """One frame of each clip; a draw in [0, 1) chooses it."""
    selected = []
    for clip, draw in zip(indices.tolist(), draws, strict=True):
        frames = data.jpegs[clip]
        selected.append(frames[int(draw * len(frames))])
    return selected
