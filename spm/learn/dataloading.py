"""Shuffled batches, seeds, and tensors of all clips, in memory or in files."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from secrets import token_hex

import numpy as np
import torch
from torch import Tensor


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


def empty_tensor(folder: Path | None, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor without values, in a file of the folder; None: in memory.

    The file has no name, so that it is deleted when no process uses the tensor any more.
    """
    count = math.prod(shape)
    if folder is None or not count:
        return torch.empty(*shape, dtype=dtype)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{token_hex(8)}.tensor"
    try:
        with path.open("wb") as file:  # an error here if the disk is full, not a signal later
            os.posix_fallocate(file.fileno(), 0, count * dtype.itemsize)
        return torch.from_file(str(path), shared=True, size=count, dtype=dtype).view(*shape)
    finally:
        path.unlink(missing_ok=True)


def collect(batches: Iterable[Tensor], count: int, folder: Path | None) -> Tensor:
    """The rows of all batches, `count` in all, in a file of the folder or in memory: (count, …)."""
    start, rows = 0, torch.empty(0)
    for batch in batches:
        if start == 0:
            rows = empty_tensor(folder, (count, *batch.shape[1:]), batch.dtype)
        rows[start : start + len(batch)] = batch
        start += len(batch)
    return rows
