"""Mean and standard deviation of values that don't fit in memory."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Mean and standard deviation of each column of a matrix."""

    rows: int
    mean: Tensor  # (d,) float32
    std: Tensor  # (d,) float32


def moments(rows: Tensor) -> Moments:
    """Moments of at least two rows, (n, d), as torch computes them."""
    return Moments(len(rows), rows.mean(0), rows.std(0))


def merge(parts: Iterable[Moments]) -> Moments:
    """Moments of all rows, from those of parts of the rows.

    Those of a single part stay as they are; those of several equal the moments that torch computes
    of all rows, but for rounding.

    Source: Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances, 1979.
    """
    total, mean, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
    for rows, part_mean, part_std in parts:
        difference = part_mean.double() - mean
        between = difference**2 * (total * rows / (total + rows))
        squares = squares + part_std.double() ** 2 * (rows - 1) + between
        total += rows
        mean = mean + difference * (rows / total)
    return Moments(total, mean.float(), (squares / (total - 1)).sqrt().float())
