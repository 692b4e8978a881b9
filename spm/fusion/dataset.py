"""The clips of a run, in memory, and the random frames and pairs that training draws from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.nn.functional import normalize

from spm.corpus import clip_reader
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.settings import Augment, Outside, Train
from spm.learn import dataloading, transforms

ROWS = 1024  # clips whose similarity with all clips is computed in one product
FRAMES = 64  # frames per batch where no gradient is needed


@dataclass(frozen=True)
class ClipDataset:
    """The clips of one split."""

    jpegs: list[list[bytes]]  # frames of each clip
    log_mels: Tensor  # (clips, 201, 64), or what `prepare_sound` makes of the sound
    videos: Tensor  # (clips,) number of the clip's video; each mosaic has its own number
    audio_embeddings: Tensor | None  # (clips, …) features of a frozen audio network
    nearest: Tensor | None = None  # (clips,) clip with the most similar sound: augment B and C
    visual_features: list[Tensor] | None = None  # (frames, c, h, w) of a frozen visual network

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
    network: LocalizationNetwork | None = None,
    config: Train | None = None,
) -> ClipDataset:
    """Read frames and sounds of the rows' clips.

    Features of the parts of `network` that `config` freezes are computed here, once for all epochs.
    """
    # Two mosaics of the same four videos still show different tiles, so each is its own video.
    is_mosaic = pc.equal(rows["kind"], "synthetic")
    names = pc.if_else(is_mosaic, rows["clip_id"], rows["video_id"]).to_pylist()
    videos = torch.from_numpy(np.unique(names, return_inverse=True)[1])
    if not rows.num_rows:
        return ClipDataset([], torch.empty(0, 1, 1), videos, None)
    if network and network.reads == "pcm":
        log_mels = dataloading.prepared_sounds(rows, clips, network.prepare_sound)
    else:
        log_mels = dataloading.log_mels(rows, spectrograms)
    jpegs, audio_embeddings, visual_features = clip_reader.frames(rows, clips), None, None
    if network and config and config.frozen:
        audio_embeddings = network.embed_audio_all(log_mels)
    if network and config and config.freeze_visual:
        visual_features = embed_frames_all(network, jpegs, config.crop)
    return ClipDataset(jpegs, log_mels, videos, audio_embeddings, None, visual_features)


@torch.inference_mode()
def embed_frames_all(
    network: LocalizationNetwork, jpegs: Sequence[Sequence[bytes]], crop: int
) -> list[Tensor]:
    """Visual features of all frames, resized to `crop`: per clip (frames, c, h, w), float16."""
    network.eval()
    device = next(network.parameters()).device
    flat, parts = [jpeg for frames in jpegs for jpeg in frames], []
    for start in range(0, len(flat), FRAMES):
        images = transforms.decode(flat[start : start + FRAMES])
        resized = transforms.resize_normalize(images, crop).to(device)
        parts.append(network.visual_features(resized).half().cpu())
    features = torch.cat(parts).clone()  # (all frames, c, h, w); no tensor of the inference mode
    return list(features.split([len(frames) for frames in jpegs]))


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
    """A random frame of each clip, augmented `views` times: (views · B, 3, crop, crop).

    If the dataset has features of a frozen visual network, they are returned in place of the
    frames, without augmentation: (views · B, c, h, w).
    """
    draws = torch.rand(len(indices), generator=generator).tolist()
    if data.visual_features is not None:
        features = torch.stack(_select(data.visual_features, indices, draws))
        return features.float().repeat(views, 1, 1, 1)
    images = transforms.decode(_select(data.jpegs, indices, draws))
    augmented = []
    for _ in range(views):
        params = transforms.sample_params(len(indices), images.shape[-1] - crop, generator)
        augmented.append(transforms.augment(images, crop, params))
    return torch.cat(augmented)


def resized_frames(
    data: ClipDataset, indices: Tensor, crop: int, generator: torch.Generator | None = None
) -> Tensor:
    """A random frame of each clip, or its first, resized but not augmented: (B, 3, crop, crop).

    If the dataset has features of a frozen visual network, they are returned: (B, c, h, w).
    """
    draws = [0.0] * len(indices)
    if generator is not None:
        draws = torch.rand(len(indices), generator=generator).tolist()
    if data.visual_features is not None:
        return torch.stack(_select(data.visual_features, indices, draws)).float()
    return transforms.resize_normalize(transforms.decode(_select(data.jpegs, indices, draws)), crop)


def _select(clips: Sequence[Any], indices: Tensor, draws: list[float]) -> list[Any]:
    """One of each clip's frames, or of their features; a draw in [0, 1) chooses it."""
    selected = []
    for clip, draw in zip(indices.tolist(), draws, strict=True):
        frames = clips[clip]
        selected.append(frames[int(draw * len(frames))])
    return selected
