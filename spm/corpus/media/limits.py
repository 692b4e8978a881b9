"""Processes that read untrusted files, with limits on memory and time."""

import math
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

# The shell sets the limits, because Python can't set them between fork and exec while other threads
# run. A system without a limit (macOS has none of memory) runs the program without it. The limit of
# processor time ends programs whose parent was killed.
SHELL = 'ulimit -v "$1" 2>/dev/null; ulimit -t "$2" 2>/dev/null; shift 2; exec "$@"'

PROCESSORS = 4  # that a program may use all the time


class Bounds(NamedTuple):
    """Limits of one process."""

    memory_mb: int  # of its address space
    time_s: float  # elapsed time
    cpu_s: int | None = None  # processor time of a process that `forks` makes; None: no limit
    only_data: bool = False  # memory_mb limits what is written, and not what is only reserved


class Timeout(Exception):
    """A process exceeded its time limit and was stopped."""


@contextmanager
def pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads that wait for processes; after an error no further process starts."""
    executor = ThreadPoolExecutor(threads)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def limited(command: Sequence[str], bounds: Bounds) -> list[str]:
    """The command line of a program that has the limits of memory and processor time."""
    memory_kib, cpu_s = bounds.memory_mb << 10, math.ceil(PROCESSORS * bounds.time_s)
    return ["/bin/sh", "-c", SHELL, "sh", str(memory_kib), str(cpu_s), *command]


def run_limited(
    command: Sequence[str], bounds: Bounds, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run a program within limits, and capture its output.

    Raises
    ------
    Timeout
        When it exceeds its time limit; the process has ended.
    """
    try:
        return subprocess.run(
            limited(command, bounds),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=bounds.time_s,
            env=env,
        )
    except subprocess.TimeoutExpired as error:
        raise Timeout(f"took more than {bounds.time_s:g} s") from error
