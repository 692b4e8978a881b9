"""The clips of a run: columns in mapped files, features of frozen networks, and augmented pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.nn.functional import normalize

from spm.audio.network import BATCH
from spm.fusion import negative_sounds
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.settings import Augment, Outside, Train
from spm.learn import transforms
from spm.learn.clip_files import ClipColumn, PreparedSounds, Sounds, open_column
from spm.learn.dataloading import collect
from spm.learn.loader import load as load_items
from spm.learn.loader import sound_batches

ROWS = 1024  # clips whose similarity with all clips is computed in one product, at most
SIMILARITIES = 2**26  # numbers of such a product, at most
FRAMES = 64  # frames per batch where no gradient is needed


@dataclass(frozen=True)
class FrameFeatures:
    """Features of all frames by a frozen visual network."""

    values: Tensor  # (frames, c, h, w), float16; the frames of a clip follow each other
    starts: Tensor  # (clips + 1,) first frame of each clip, and the number of all frames

    def select(self, indices: np.ndarray, draws: np.ndarray) -> Tensor:
        """One frame of each clip; a draw in [0, 1) chooses it: (B, c, h, w), float32."""
        starts = self.starts.numpy()
        counts = starts[indices + 1] - starts[indices]
        return self.values[starts[indices] + (draws * counts.astype(float)).astype(int)].float()


@dataclass(frozen=True)
class ClipDataset:
    """The clips of one split; only videos, similar clips and features are in memory."""

    jpegs: ClipColumn  # frames of each clip
    sounds: Sounds  # log-mels (201, 64), or what `prepare_sound` makes of the sound
    videos: Tensor  # (clips,) number of the clip's video; each mosaic has its own number
    audio_embeddings: Tensor | None = None  # (clips, …) features of a frozen audio network
    nearest: Tensor | None = None  # (clips,) clip with the most similar sound: augment B and C
    visual_features: FrameFeatures | None = None  # of a frozen visual network
    # Silence, and noises, numbered after the clips: prepared sounds (n, …), and their features by a
    # frozen audio network (n, …).
    negative_sounds: Tensor | None = None
    negative_embeddings: Tensor | None = None
    labels: Tensor | None = None  # (clips, classes) bool, of a method that learns categories

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.videos)

    @cached_property
    def clips_of_video(self) -> list[np.ndarray]:
        """Indices of the clips of each video."""
        videos = self.videos.numpy()
        ends = np.bincount(videos).cumsum()
        return np.split(videos.argsort(stable=True), ends[:-1])

    def read_sounds(self, numbers: np.ndarray) -> Tensor:
        """Sounds of clips, (n, …), and after them negative sounds."""
        if self.negative_sounds is None:
            return self.sounds.sounds(numbers)
        is_clip = numbers < len(self)
        sounds = self.sounds.sounds(numbers[is_clip])
        others = self.negative_sounds[numbers[~is_clip] - len(self)]
        return torch.cat([sounds, others.to(sounds.dtype)])

    def select_embeddings(self, numbers: np.ndarray) -> Tensor:
        """Features of sounds by a frozen audio network: (n, …)."""
        assert self.audio_embeddings is not None
        if self.negative_embeddings is None:
            return self.audio_embeddings[numbers]
        is_clip = numbers < len(self)
        others = self.negative_embeddings[numbers[~is_clip] - len(self)]
        return torch.cat([self.audio_embeddings[numbers[is_clip]], others])

    def videos_of_sounds(self, numbers: np.ndarray) -> np.ndarray:
        """Number of the video of each sound; `NO_VIDEO` of silence and noise."""
        is_clip = numbers < len(self)
        clips = np.where(is_clip, numbers, 0)
        return np.where(is_clip, self.videos.numpy()[clips], negative_sounds.NO_VIDEO)

    @cached_property
    def frame_px(self) -> int:
        """Width of the frames, which all have one size."""
        return transforms.size(self.jpegs.frame(0, 0))[1]


def load(
    rows: pa.Table,
    clips: Path,
    spectrograms: Path,
    network: LocalizationNetwork | None = None,
    config: Train | None = None,
    *,
    mapped: Path | None = None,
    state: Path | None = None,
) -> ClipDataset:
    """Open frames and sounds of the rows' clips.

    Features of the parts of `network` that `config` freezes are computed here, once for all epochs.

    Parameters
    ----------
    rows : Table
        Rows of an index.
    clips, spectrograms : Path
        Folders of the tables of these stages.
    network, config : optional
        The network to train, and its settings.
    mapped : Path, optional
        Folder of mapped files (`clip_files.open_column`); None: the tables are read into memory.
    state : Path, optional
        Folder of the training, where the features are files; None: they are in memory.
    """
    sounds: Sounds
    if network and network.reads == "pcm":
        pcm = open_column(rows, clips, "pcm", mapped)
        sounds = PreparedSounds(pcm, network.prepare_sound)
    else:
        sounds = open_column(rows, spectrograms, "log_mel", mapped)
    jpegs = open_column(rows, clips, "frames", mapped)
    embeddings, features, others, other_embeddings = None, None, None, None
    if network and config:
        others = negative_sounds.prepare(config, network.prepare_sound)
    if network and config and config.frozen:
        embeddings = embed_audio_all(network, sounds, state)
        if others is not None:
            other_embeddings = next(network.apply_all(network.audio_features, [others]))
    if network and config and config.freeze_visual:
        features = embed_frames_all(network, jpegs, config.crop, state)
    labels = label_matrix(rows, config.label_names) if config and config.label_names else None
    videos = _video_numbers(rows)
    return ClipDataset(
        jpegs, sounds, videos, embeddings, None, features, others, other_embeddings, labels
    )


def label_matrix(rows: pa.Table, names: Sequence[str]) -> Tensor:
    """Which of the named categories each clip has: (clips, names), bool."""
    matrix = torch.zeros(rows.num_rows, len(names), dtype=torch.bool)
    for row, categories in zip(matrix, rows["categories"].to_pylist(), strict=True):
        row[:] = torch.tensor([name in categories for name in names])
    return matrix


def _video_numbers(rows: pa.Table) -> Tensor:
    """Number of each clip's video.

    Two mosaics of the same four videos still show different tiles, so each is its own video.
    """
    is_mosaic = pc.equal(rows["kind"], "synthetic")
    names = pc.if_else(is_mosaic, rows["clip_id"], rows["video_id"]).combine_chunks()
    return torch.from_numpy(names.dictionary_encode().indices.to_numpy().astype(np.int64))


def embed_audio_all(network: LocalizationNetwork, sounds: Sounds, state: Path | None) -> Tensor:
    """`audio_features` of all clips, in evaluation mode: (clips, …), on the CPU or in a file."""
    device = next(network.parameters()).device
    batches = sound_batches(sounds, BATCH, device=device)
    return collect(network.apply_all(network.audio_features, batches), len(sounds), state)


def embed_frames_all(
    network: LocalizationNetwork, jpegs: ClipColumn, crop: int, state: Path | None = None
) -> FrameFeatures:
    """Visual features of all frames, resized to `crop`, on the CPU or in a file."""
    counts = jpegs.frame_counts()
    starts = np.concatenate([[0], counts.cumsum()])
    clip_of_frame = np.repeat(np.arange(len(counts)), counts)
    number_of_frame = np.arange(starts[-1]) - starts[clip_of_frame]

    def decoded(frames: np.ndarray) -> Tensor:
        chosen = zip(clip_of_frame[frames].tolist(), number_of_frame[frames].tolist(), strict=True)
        return transforms.decode([jpegs.frame(clip, frame) for clip, frame in chosen])

    def features() -> Iterator[Tensor]:
        device = next(network.parameters()).device
        plans = (np.arange(n, min(n + FRAMES, starts[-1])) for n in range(0, starts[-1], FRAMES))
        images = load_items(plans, decoded, device=device)
        resized = (transforms.resize_normalize(batch.to(device), crop) for batch in images)
        for batch in network.apply_all(network.visual_features, resized):
            yield batch.half()

    return FrameFeatures(collect(features(), starts[-1], state), torch.from_numpy(starts))


def nearest_clips(features: Tensor, videos: Tensor, outside: Outside) -> Tensor:
    """Eq. 6 between clips: argmax_j A_iᵀ A_j of unit vectors, (n, d) → (n,).

    j is outside clip i, or outside its video. A clip without such a j gets its own index.
    """
    unit, nearest = normalize(features.float()), []
    everything = torch.arange(len(unit))
    for rows in everything.split(max(1, min(ROWS, SIMILARITIES // max(len(unit), 1)))):
        if outside is Outside.VIDEO:
            excluded = videos[rows, None] == videos
        else:
            excluded = rows[:, None] == everything
        cosine = (unit[rows] @ unit.T).masked_fill_(excluded, -torch.inf)
        nearest.append(torch.where(excluded.all(1), rows, cosine.argmax(1)))
    return torch.cat(nearest)


def sample_pairs(
    data: ClipDataset, indices: np.ndarray, config: Train, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Clips that give the frames and clips that give the sounds, for each clip of `indices`.

    Without augmentation, both are the clip itself.
    """
    if config.augment is Augment.NONE:
        return indices, indices
    changed = torch.rand(len(indices), generator=generator).numpy() < config.augment_share
    draws = torch.rand(len(indices), generator=generator).tolist()
    frame_clips = []
    for video, draw in zip(data.videos.numpy()[indices].tolist(), draws, strict=True):
        clips = data.clips_of_video[video]
        frame_clips.append(clips[int(draw * len(clips))])
    frames = sounds = indices
    if config.augment.changes_frames:
        frames = np.where(changed, frame_clips, indices)
    if config.augment.changes_sounds and data.nearest is not None:
        sounds = np.where(changed, data.nearest.numpy()[indices], indices)
    return frames, sounds
