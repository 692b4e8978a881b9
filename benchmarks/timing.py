"""Timing of systems that run in turn, so that other work on the machine slows all of them."""

import time
from collections.abc import Callable, Mapping
from statistics import median

Clock = Callable[[], float]


def seconds(work: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Seconds of one call: wall time, or CPU time with `time.process_time`."""
    start_s = clock()
    work()
    return clock() - start_s


class Turns:
    """Seconds of each of several systems in each round.

    Parameters
    ----------
    works : mapping
        A function per name.
    rounds : int
        Number of rounds that count; one round before them does not.
    clock : callable
        Clock of all functions.
    """

    def __init__(
        self, works: Mapping[str, Callable[[], object]], rounds: int, clock: Clock
    ) -> None:
        self.rounds: list[dict[str, float]] = []
        for number in range(rounds + 1):
            times_s = {name: seconds(work, clock) for name, work in works.items()}
            if number:
                self.rounds.append(times_s)

    def rate(self, name: str, items: int) -> float:
        """Items per second: the median over the rounds."""
        return items / median(times_s[name] for times_s in self.rounds)

    def speedup(self, name: str, other: str) -> float:
        """How many times as fast a system is as another one: the median over the rounds."""
        return median(times_s[other] / times_s[name] for times_s in self.rounds)


def print_ratio(name: str, ratio: float, target: float, unit: str = " ×") -> None:
    """Print a ratio, its target, and whether it is reached."""
    verdict = "reached" if ratio >= target else "NOT reached"
    print(f"{name}: {ratio:.2f}{unit} (target: at least {target}{unit}; {verdict})", flush=True)
