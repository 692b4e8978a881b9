"""Processes that read what strangers wrote, each with so much memory and so much time."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

# Set by the shell, since Python can't set limits between fork and exec while other threads run. A system that knows no
# such limit (macOS has none of memory) goes on without.
# The limit of processor time is for those whose parent was killed.
SHELL = 'ulimit -v "$1" 2>/dev/null; ulimit -t "$2" 2>/dev/null; shift 2; exec "$@"'

PROCESSORS = 4  # that a program may keep busy all the time


class Bounds(NamedTuple):
    """What one process may use."""

    memory_mb: int  # of addresses
    time_s: int  # of a clock on the wall


class Timeout(Exception):
    """A process that was stopped because its time was up."""


@contextmanager
def pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads, each of which waits for a process; after an error nothing further is begun."""
    several = ThreadPoolExecutor(threads)
    try:
        yield several
    finally:
        several.shutdown(cancel_futures=True)


def run_limited(
    command: Sequence[str], bounds: Bounds, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run a program within bounds; what it says is captured.

    Raises
    ------
    TooLong
        When it was stopped; nothing of it is left.
    """
    limited = [
        "/bin/sh",
        "-c",
        SHELL,
        "sh",
        str(bounds.memory_mb << 10),
        str(PROCESSORS * bounds.time_s),
        *command,
    ]
    try:
        return subprocess.run(
            limited,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=bounds.time_s,
            env=env,
        )
    except subprocess.TimeoutExpired as error:
        raise Timeout(f"took more than {bounds.time_s} s") from error
