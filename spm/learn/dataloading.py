"""Loading of training data: log-mels as tensors, shuffled batches, seeds, and a prefetch thread."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from spm.base.constants import FRAMES, N_MELS, PCM_SCALE
from spm.corpus import clip_reader

Item = TypeVar("Item")
SOUNDS = 256  # clips whose sound is in memory as 32-bit numbers


def log_mels(rows: pa.Table, spectrograms: Path) -> Tensor:
    """Log-mels of the clips in `rows`: (clips, 201, 64), in dB, with the tables' number type."""
    return torch.from_numpy(clip_reader.log_mels(rows, spectrograms)).view(-1, FRAMES, N_MELS)


def prepared_sounds(rows: pa.Table, clips: Path, prepare: Callable[[Tensor], Tensor]) -> Tensor:
    """`prepare` of the sound of the clips in `rows`: (clips, …), with 16 bits to save memory.

    `prepare` takes mono sound at 16 kHz in [-1, 1], (B, 16000), and gives (B, …).
    """
    parts = []
    for pcm in torch.from_numpy(clip_reader.pcm(rows, clips)).split(SOUNDS):
        parts.append(prepare(pcm * PCM_SCALE).half())
    return torch.cat(parts)


def shuffled_batches(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices 0 … count - 1 in random order, `batch` per tensor.

    A last batch of one item is left out, because BatchNorm can't train on one item.
    """
    batches = torch.randperm(count, generator=generator).split(batch)
    return (indices for indices in batches if len(indices) > 1)


def make_generator(*numbers: int) -> torch.Generator:
    """Random generator seeded by all the numbers, such as the run's seed and the epoch.

    An epoch therefore draws the same numbers whether the training was resumed or not.
    """
    sequence = np.random.SeedSequence([len(numbers), *numbers])
    state = int(sequence.generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state % 2**63)


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in the same order; a thread makes the next item while the last one is used.

    For example, the CPU decodes images while the GPU trains.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1) as pool:
        try:
            future = pool.submit(next, iterator, None)
            while (item := future.result()) is not None:
                future = pool.submit(next, iterator, None)
                yield item
        finally:
            pool.shutdown(cancel_futures=True)
