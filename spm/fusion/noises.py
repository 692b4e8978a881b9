"""White and pink noise, for training and for tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_pink(white: NDArray[Any]) -> NDArray[np.float64]:
    """Pink noise, whose power falls with 1/f, from white noise (…, samples)."""
    waves = np.fft.rfft(white)
    pink = waves / np.sqrt(np.maximum(np.arange(waves.shape[-1]), 1))
    return np.asarray(np.fft.irfft(pink, white.shape[-1]))


def at_level(wave: NDArray[Any], level_db: float | NDArray[Any]) -> NDArray[np.float64]:
    """Sounds (…, samples) scaled to a level (RMS) re full scale, within [-1, 1].

    Parameters
    ----------
    wave : array
    level_db : float, or array of shape (…, 1)
    """
    rms = np.sqrt(np.mean(wave**2, -1, keepdims=True))
    scaled: NDArray[np.float64] = wave * (10 ** (level_db / 20) / rms)
    return scaled.clip(-1, 1)
