"""One epoch of a training: its steps, what they measured, and how long they waited for data."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import NamedTuple, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from spm.learn.checkpoints import set_generator_states

Item = TypeVar("Item")
EpochValues = Mapping[tuple[str, str], float]  # (split, name) → value, for one epoch


class Group(NamedTuple):
    """Place of a batch among those whose gradients are added up before the weights change."""

    first: bool = True
    last: bool = True
    size: int = 1  # batches in the group


class Speed(NamedTuple):
    """Pictures (or clips) that were trained on, and how long it took."""

    pictures: int = 0
    seconds: float = 0.0
    wait_s: float = 0.0  # of these, waiting for the loader

    def since(self, before: "Speed") -> "Speed":
        """What was done between two moments of an epoch."""
        pictures, seconds = self.pictures - before.pictures, self.seconds - before.seconds
        return Speed(pictures, seconds, self.wait_s - before.wait_s)

    @property
    def pictures_per_s(self) -> float:
        """Pictures per second."""
        return self.pictures / max(self.seconds, 1e-9)

    @property
    def wait_share(self) -> float:
        """Fraction of the time that the steps waited for the loader."""
        return self.wait_s / max(self.seconds, 1e-9)


def step_count(items: int, batch: int) -> int:
    """Steps of one pass; `dataloading.shuffled_batches` leaves out a last batch of one item."""
    return items // batch + (items % batch > 1)


class Epoch(int):
    """The number of an epoch, counted from 0, which also runs the steps of the epoch.

    The function that trains an epoch takes its batches from `steps` and gives its losses to `add`:

        def train_epoch(epoch: Epoch) -> EpochValues:
            batches = load_batches(make_generator(seed, epoch), skip=epoch.skip)
            for batch in epoch.steps(batches, step_count(len(clips), size)):
                loss = …
                epoch.add(len(batch), loss=loss)
            return epoch.means()

    So the training shows its progress, writes checkpoints inside the epoch and continues there
    after a kill, and no step waits for the GPU. The batches may depend only on the number of the
    epoch. Steps may use torch's global random generators: the checkpoints have their states.

    Parameters
    ----------
    number : int
        Number of the epoch.
    after_step : callable, optional
        Called with the epoch after each step.

    Attributes
    ----------
    skip : int
        Batches to leave out, because their steps were done before a kill; 0 from the second call
        of `steps` on.
    parts : int
        Calls of `steps` in this epoch, for the progress bar. A method with several sets it.
    resumable : bool
        Whether a training may continue inside this pass. A method sets it to False before a pass
        that depends on more than the checkpoint has; the training then continues before this pass.
    group : Group
        Place of the current batch among those whose gradients are added up.
    step, count : int
        Steps of this pass that are done, and all of them.
    names, values : list
        Names of the values of a step, and the values of each step of this pass. The first value is
        the number of pictures. `fetch` completes them.
    """

    def __new__(cls, number: int = 0, *_: object) -> Self:
        """Create the number."""
        return super().__new__(cls, number)

    def __init__(
        self, number: int = 0, after_step: Callable[["Epoch"], None] | None = None
    ) -> None:
        self.skip, self.parts, self.resumable, self.group = 0, 1, True, Group()
        self.step = self.count = self._passed = 0
        self.names: list[str] = []
        self.values: list[list[float]] = []
        self.generators: dict[str, Tensor] = {}  # states that torch's generators continue from
        self._after_step = after_step
        self._pending: list[tuple[int, Tensor]] = []
        self._pictures, self._wait_s, self._seconds = 0, 0.0, 0.0
        self._began: float | None = None  # start of the pass that is running
        self._shown = (0, Speed())  # step and speed of the last call of `recent`

    @property
    def position(self) -> float:
        """Epochs that are done, with the part of this one."""
        return self + (self._passed + self.step / max(self.count, 1)) / self.parts

    @property
    def speed(self) -> Speed:
        """What the steps of this epoch have done so far."""
        running = 0.0 if self._began is None else perf_counter() - self._began
        return Speed(self._pictures, self._seconds + running, self._wait_s)

    def steps(self, batches: Iterable[Item], count: int, accumulate: int = 1) -> Iterator[Item]:
        """The batches of one pass; what is done with a batch is one step.

        Parameters
        ----------
        batches : iterable
            The batches after the first `skip` of the pass.
        count : int
            Batches of the whole pass.
        accumulate : int
            Batches whose gradients are added up before the weights change (`group`).
        """
        self.step, self.count, self.skip = self.skip, count, 0
        if not self.step:
            self.names, self.values, self._pending = [], [], []
        self._began, self._shown = perf_counter(), (self.step, self.speed)
        for batch in self._timed(batches):
            start = self.step - self.step % accumulate
            size = min(accumulate, count - start)
            self.group = Group(self.step == start, self.step == start + size - 1, size)
            yield batch
            self.step += 1
            if self._after_step:
                self._after_step(self)
        self._seconds, self._began = self.speed.seconds, None
        self._passed, self.step = self._passed + 1, 0

    def _timed(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The same batches; the time of waiting for them is recorded."""
        iterator, asked = iter(batches), perf_counter()
        while (batch := next(iterator, None)) is not None:
            self._wait_s += perf_counter() - asked
            set_generator_states(self.generators)  # after the function of the epoch has seeded them
            self.generators = {}
            yield batch
            asked = perf_counter()

    def add(self, pictures: int, **values: Tensor | float) -> None:
        """Record the values of one step, scalars; they stay on the device until `fetch`.

        `pictures` is the number of pictures, or of clips, in the batch.
        """
        self.names = ["pictures", *values]
        self._pictures += pictures
        scalars = [torch.as_tensor(value).detach().double() for value in values.values()]
        row = torch.stack([scalar.to(scalars[0].device) for scalar in scalars])
        self._pending.append((pictures, row))

    def fetch(self) -> None:
        """Append the values of the last steps to `values`: the only wait for the GPU."""
        if not self._pending:
            return
        rows = torch.stack([row for _, row in self._pending]).tolist()
        for (pictures, _), row in zip(self._pending, rows, strict=True):
            self.values.append([float(pictures), *row])
        self._pending = []

    def recent(self) -> tuple[EpochValues, Speed]:
        """Means of the training values since the last call, and the speed."""
        first, before = self._shown
        values = self.means(first=first)
        self._shown = len(self.values), self.speed  # read after the wait for the GPU
        return values, self.speed.since(before)

    def means(self, split: str = "train", first: int = 0) -> EpochValues:
        """Mean of each value over the steps of this pass, from step `first` on.

        Without a step, the loss is NaN.
        """
        self.fetch()
        if not self.values[first:]:
            return {(split, "loss"): math.nan}
        columns = zip(*self.values[first:], strict=True)
        means = dict(zip(self.names, map(np.mean, columns), strict=True))
        return {(split, name): float(means[name]) for name in self.names[1:]}
