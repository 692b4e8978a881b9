"""Log-mel spectrograms of 1-second clips.

python -m spm.corpus.spectrograms --config '{}' --clips clips.parquet --out spectrograms.parquet
"""

import warnings
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from spm.base import schemas, stage, tables
from spm.base.config import Section
from spm.base.constants import (
    CLIP_S,
    FRAMES,
    HOP_SAMPLES,
    N_MELS,
    PCM_SCALE,
    SAMPLE_BYTES,
    SAMPLE_RATE_HZ,
)
from spm.corpus import clip_reader

MIN_VALUE = 1e-10  # smallest mel magnitude or energy, as in librosa
CLIP_BYTES = int(CLIP_S * SAMPLE_RATE_HZ) * SAMPLE_BYTES  # of the sound of a clip
AHEAD = 2  # batches that are computed or wait for it
BATCH_CLIPS = 64  # as in a row group of the stage clips
BLOCK_CLIPS = 16  # clips whose spectra fit in the processor's cache


class Preset(NamedTuple):
    """The differences of the presets; they share hop, mels and shape, so networks accept both."""

    n_fft: int  # samples
    window: int  # samples
    power: float  # of the spectrum before the mel filters: 1 magnitudes, 2 energies
    top_db: float = 80.0  # range below each clip's maximum


PRESETS = {
    # As published. Mels 0 and 13 contain no frequency bin and are constant.
    "dsol": Preset(n_fft=160, window=160, power=1.0),
    # Windows of 25 ms, frequency bins in every mel, decibels of energies.
    "clean": Preset(n_fft=512, window=400, power=2.0),
}


class Spectrograms(Section):
    """How spectrograms are computed. All have 201 frames × 64 mels per clip, at 16 kHz, hop 80."""

    preset: Literal["dsol", "clean"] = Field(
        "dsol",
        description="dsol: windows of 160 samples, as published by DSOL; clean: windows of 400"
        " samples (n_fft 512), without the two empty mels of dsol.",
    )
    dtype: Literal["float32", "float16"] = Field(
        "float16",
        description="Type of the stored values. float32 differs from the published preparation by"
        " at most 0.001 dB; float16 needs half the space and differs by less than 0.1 dB.",
    )


@cache
def _transform(preset: str, dtype: torch.dtype) -> tuple[Tensor, np.ndarray]:
    """The window, (n_fft,), and the mel filters, (n_fft // 2 + 1, 64)."""
    # Imported only here, because networks import this module too, and few of them call it.
    from torchaudio.functional import melscale_fbanks

    n_fft, window, _, _ = PRESETS[preset]
    margin = (n_fft - window) // 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "At least one mel")  # the two empty mels of dsol
        mels = melscale_fbanks(
            n_fft // 2 + 1, 0, SAMPLE_RATE_HZ / 2, N_MELS, SAMPLE_RATE_HZ, "slaney", "slaney"
        )
    return pad(torch.hann_window(window, dtype=dtype), (margin, margin)), mels.numpy()


def _decibels(pcm: Tensor, preset: str, dtype: torch.dtype, out: Tensor) -> None:
    """Write spectrograms of (clips, 16000) samples to `out`, (clips, 201, 64).

    The same as torchaudio's Spectrogram, MelScale and AmplitudeToDB, in a third of the time: torch
    is faster at Fourier transforms and maxima, NumPy at abs, one large matmul, and log10.
    """
    n_fft, _, power, top_db = PRESETS[preset]
    window, mels = _transform(preset, dtype)
    # Frames centered on every hop, with zeros beyond both ends of the clip.
    padded = pad(pcm, (n_fft // 2, n_fft // 2))
    frames = padded.unfold(1, n_fft, HOP_SAMPLES) * window  # (clips, 201, n_fft)
    waves = torch.fft.rfft(frames).numpy()
    spectrum = np.abs(waves.astype(np.complex64, copy=False)).reshape(-1, n_fft // 2 + 1)
    if power == 2:
        np.square(spectrum, out=spectrum)
    values = out.view(-1, N_MELS).numpy()  # shares the memory of `out`
    np.matmul(spectrum, mels, out=values)
    # Each clip has its own floor, `top_db` below its maximum: a loud clip can't raise another's.
    floor = out.amax((1, 2), keepdim=True).mul_(10 ** (-top_db / 10)).clamp_(min=MIN_VALUE)
    torch.maximum(out, floor, out=out)
    np.log10(values, out=values)
    out.mul_(10)


def log_mel(
    pcm: Tensor, preset: str = "dsol", exact: bool = True, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Log-mel spectrograms in decibels.

    Parameters
    ----------
    pcm : Tensor, shape (clips, 16000), float32 or int16
        Mono sound at 16 kHz in [-1, 1], or its samples with 16 bits.
    preset : str
        `dsol` or `clean`.
    exact : bool
        Fourier transforms in float64, within 0.001 dB of the published preparation everywhere.
        Those in float32 take half the time, and values far below the loudest of their frame differ
        by a few hundredths of a decibel.
    dtype : torch.dtype
        Type of the result.

    Returns
    -------
    Tensor, shape (clips, 201, 64)
        10·log10 of the mel-filtered spectrum, in dB, at most `top_db` below each clip's maximum.

    Source: Hu et al., NeurIPS 2020, in their published preparation (`dsol`).
    """
    precision = torch.float64 if exact else torch.float32
    out = torch.empty(len(pcm), FRAMES, N_MELS, dtype=dtype)
    block = torch.empty(BLOCK_CLIPS, FRAMES, N_MELS)  # stays in the cache
    for part, clips in zip(out.split(BLOCK_CLIPS), pcm.split(BLOCK_CLIPS), strict=True):
        sound = clips if clips.is_floating_point() else clips * PCM_SCALE
        _decibels(sound, preset, precision, block[: len(clips)])
        part.copy_(block[: len(clips)])
    return out


def _columns(clips: pa.RecordBatch, config: Spectrograms) -> dict[str, pa.Array]:
    """Columns of the table of spectrograms for some rows of the table of clips."""
    samples = clip_reader.numbers(clips["pcm"].cast(pa.binary(CLIP_BYTES)), "<i2")
    exact, dtype = config.dtype == "float32", getattr(torch, config.dtype)
    mels = log_mel(torch.from_numpy(samples), config.preset, exact, dtype)
    data_type = schemas.spectrograms(config.dtype).schema.field("log_mel").type
    log_mels = pa.Array.from_buffers(data_type, len(mels), [None, pa.py_buffer(mels.numpy())])
    return {"clip_id": clips["clip_id"], "log_mel": log_mels}


def run(config: Spectrograms, *, clips: Path, out: Path) -> None:
    """Write the spectrograms of one shard's clips; only the sound of the clips is read.

    One thread computes; this thread reads the next clips and writes the last spectrograms.
    """
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own gives memory back after each batch
    with (
        tables.writer(out, schemas.spectrograms(config.dtype)) as write,
        ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        computed: deque[Future[dict[str, pa.Array]]] = deque()
        for batch in tables.batches(clips, ["clip_id", "pcm"], BATCH_CLIPS):
            computed.append(pool.submit(_columns, batch, config))
            if len(computed) > AHEAD:
                write(**computed.popleft().result())
        for columns in computed:
            write(**columns.result())


if __name__ == "__main__":
    stage.main(run)
