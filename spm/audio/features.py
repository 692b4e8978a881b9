"""Features of sounds to cluster, computed batch by batch."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from spm.audio.moments import merge, moments
from spm.audio.network import AudioNetwork, predict
from spm.learn import loader
from spm.learn.clip_files import Sounds

CLIPS = 256  # clips whose statistics a worker computes at once
ROWS = 65_536  # features that are scaled at once


def mel_statistics(log_mels: Tensor) -> Tensor:
    """Mean and standard deviation of each mel band over time: (clips, 201, 64) → (clips, 128)."""
    values = log_mels.float()
    return torch.cat([values.mean(1), values.std(1)], 1)


def statistics(sounds: Sounds) -> Iterator[Tensor]:
    """`mel_statistics` of all clips, in parts: (256, 128) each."""
    plans = (part.numpy() for part in torch.arange(len(sounds)).split(CLIPS))
    device = torch.device("cpu")
    return loader.load(plans, lambda part: mel_statistics(sounds.sounds(part)), device=device)


def untrained(sounds: Sounds, seed: int, device: torch.device) -> Iterator[Tensor]:
    """Output of an audio network with random weights, in parts: (128, 512) each."""
    torch.manual_seed(seed)
    audio = AudioNetwork()
    audio.fit_normalization(sounds)
    return predict(audio.to(device), sounds, device)


def yamnet_embeddings(patches: Sounds, device: torch.device) -> Iterator[Tensor]:
    """Embeddings of YAMNet, with its published weights, in parts: (128, 1024) each."""
    audio = AudioNetwork("yamnet")
    audio.load_yamnet()
    return predict(audio.to(device), patches, device)


def standardize_(features: Tensor, part: int) -> Tensor:
    """Scale each dimension to mean 0 and standard deviation 1, in place: (n, d).

    So no dimension dominates. Means and deviations are computed of parts of at most `part` rows.
    """
    parts = features.tensor_split(math.ceil(len(features) / part))
    _, mean, std = merge(moments(rows) for rows in parts)
    for rows in features.split(ROWS):
        rows.sub_(mean).div_(std.clamp_min(1e-6))
    return features
