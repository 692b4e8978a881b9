"""Timing of systems in short rounds that alternate.

The speed of a machine that others share changes from one second to the next. So each ratio is that
of two neighboring rounds, and its median over many rounds is printed.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median

import numpy as np

Clock = Callable[[], float]
Round = Callable[[], float]  # measures for a short time; items per second


def seconds(work: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Seconds of one call: wall time, or CPU time with `time.process_time`."""
    start_s = clock()
    work()
    return clock() - start_s


def rate(
    step: Callable[[], int], at_least_s: float, clock: Clock = time.perf_counter, warm: int = 0
) -> float:
    """Items per second of steps that return their number of items.

    The first `warm` steps are not counted: a loader has made their items before.
    """
    for _ in range(warm):
        step()
    start_s, items = clock(), step()
    while clock() - start_s < at_least_s:
        items += step()
    return items / (clock() - start_s)


class Turns:
    """Items per second of each of several systems in each round.

    Parameters
    ----------
    systems : mapping
        A function per name. Those to compare stand next to each other.
    rounds : int
        Number of rounds that count, in alternating directions; one round before them does not.
    """

    def __init__(self, systems: Mapping[str, Round], rounds: int) -> None:
        self.rates: dict[str, list[float]] = {name: [] for name in systems}
        for number in range(rounds + 1):
            for name in list(systems)[:: 1 if number % 2 else -1]:
                measured = systems[name]()
                if number:
                    self.rates[name].append(measured)

    def rate(self, name: str) -> float:
        """Items per second: the median over the rounds."""
        return median(self.rates[name])

    def ratios(self, name: str, other: str) -> list[float]:
        """How many times as fast a system is as another one, in each round."""
        return [a / b for a, b in zip(self.rates[name], self.rates[other], strict=True)]


def spread(values: Sequence[float]) -> str:
    """Median and quartiles."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def print_ratio(name: str, ratios: Sequence[float], target: float) -> None:
    """Print the median of ratios, its target, and whether it is reached."""
    verdict = "reached" if median(ratios) >= target else "NOT reached"
    print(f"{name}: {spread(ratios)} × (target: at least {target} ×; {verdict})", flush=True)


@contextmanager
def in_processes(count: int, measure: Round) -> Iterator[Round]:
    """A function that measures in several processes at once: the sum of their rates."""
    context, pipes, processes = get_context("fork"), [], []
    for _ in range(count):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_answer, args=(theirs, measure), daemon=True))
        processes[-1].start()
        pipes.append(ours)

    def total() -> float:
        for pipe in pipes:
            pipe.send(None)
        return float(sum(pipe.recv() for pipe in pipes))

    try:
        yield total
    finally:
        for process in processes:
            process.kill()


def _answer(pipe: Connection, measure: Round) -> None:
    while True:
        pipe.recv()
        pipe.send(measure())
