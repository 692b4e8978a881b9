"""What training draws from memory: log-mels as tensors, items in random order, and the seeds of both."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from spm.corpus import clip_reader
from spm.corpus.spectrograms import FRAMES, N_MELS

Item = TypeVar("Item")


def log_mels(rows: pa.Table, spectrograms: Path) -> Tensor:
    """The log-mels of the clips: (clips, 201, 64), in dB, of the tables' type."""
    return torch.from_numpy(clip_reader.log_mels(rows, spectrograms)).view(-1, FRAMES, N_MELS)


def shuffled_batches(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Positions of every item once, in random order, `batch` at a time; a last single item is left out.

    BatchNorm can't train on one item.
    """
    return (
        part for part in torch.randperm(count, generator=generator).split(batch) if len(part) > 1
    )


def make_generator(*numbers: int) -> torch.Generator:
    """A generator that depends on all the numbers, so that an epoch draws the same whether resumed or not."""
    state = int(np.random.SeedSequence([len(numbers), *numbers]).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state % 2**63)


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in the same order, each made while the one before is in use: pictures decode beside a GPU."""
    waiting = iter(items)
    with ThreadPoolExecutor(1) as pool:
        try:
            coming = pool.submit(next, waiting, None)
            while (item := coming.result()) is not None:
                coming = pool.submit(next, waiting, None)
                yield item
        finally:
            pool.shutdown(cancel_futures=True)
