"""Negative sounds: sounds that no frame of a batch shows, as further negatives of a training.

Silence, white and pink noise, and sounds of other videos (off-screen sounds). They are rows without
a frame of their own below the sounds of a batch, so every method trains on them by its own loss.

Source: Juanola et al., Learning from Silence and Noise for Visual Sound Source Localization, 2025
(SSL-SaN), of which only the abstract was available: the losses here may differ from theirs.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from spm.base.constants import SAMPLE_RATE_HZ
from spm.fusion import noises
from spm.fusion.settings import Train
from spm.learn.dataloading import make_generator

NOISES = 64  # different noises: white and pink take turns
QUIETEST_DB, LOUDEST_DB = -50.0, -10.0  # their levels (RMS) re full scale
NO_VIDEO = -1  # number of the video of silence and noise
SEED_OF_NOISES = 3  # beside the run's seed and the seeds of its epochs


def silence_and_noises(generator: torch.Generator) -> Tensor:
    """Silence, then noises of one second, white and pink in turns.

    Parameters
    ----------
    generator : Generator
        Draws the noises and their levels.

    Returns
    -------
    Tensor, shape (1 + NOISES, 16000), float32
        Mono sound at 16 kHz. The power of pink noise falls with 1/f.
    """
    noise = torch.randn(NOISES, SAMPLE_RATE_HZ, generator=generator).numpy()
    noise[1::2] = noises.to_pink(noise[1::2])
    level_db = torch.empty(NOISES, 1).uniform_(QUIETEST_DB, LOUDEST_DB, generator=generator)
    scaled = torch.from_numpy(noises.at_level(noise, level_db.numpy())).float()
    return torch.cat([torch.zeros(1, SAMPLE_RATE_HZ), scaled])


def prepare(config: Train, prepare_sound: Callable[[Tensor], Tensor]) -> Tensor | None:
    """Silence and noises as a network takes them, (1 + NOISES, …); None if they are not used."""
    if not config.silence_share and not config.noise_share:
        return None
    return prepare_sound(silence_and_noises(make_generator(config.seed, SEED_OF_NOISES)))


def sample(clips: int, size: int, config: Train, generator: torch.Generator) -> np.ndarray:
    """Numbers of the negative sounds of a batch: (N,), without any draw if there are none.

    Parameters
    ----------
    clips : int
        Number of training clips. A smaller number is the sound of this clip; `clips` is silence,
        and the noises follow.
    size : int
        Clips of the batch, of which the shares are fractions.
    """
    offscreen, silence, noise = (
        round(share * size)
        for share in (config.offscreen_share, config.silence_share, config.noise_share)
    )
    parts = [np.full(silence, clips)]
    if offscreen:
        parts.insert(0, torch.randint(clips, (offscreen,), generator=generator).numpy())
    if noise:
        parts.append(clips + 1 + torch.randint(NOISES, (noise,), generator=generator).numpy())
    return np.concatenate(parts)
