"""A helper process that answers each request in a process of its own, with limits.

A new process of Python with PyAV takes longer to start than most files to read. The helper starts
once, and forks for each request. What a request does to its process harms neither helper nor job.
"""

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from spm.base.errors import UserError
from spm.corpus.media.limits import Bounds

ROOT = Path(__file__).parents[3]
READ_BYTES = 1 << 16
STOP_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Ending(NamedTuple):
    """The end of a process that answered a request."""

    output: str  # what the function returned, as JSON; or a traceback
    exit_status: int  # negative: the signal that ended it
    timed_out: bool


class Helper:
    """A process that runs `serve`; `module` is its main module."""

    def __init__(self, module: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )

    def ask(self, request: str, bounds: Bounds) -> Ending:
        """Have a request answered.

        Raises
        ------
        EOFError
            When the helper itself has ended.
        """
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps([request, *bounds]) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise EOFError from error
        line = self.process.stdout.readline()
        if not line:
            raise EOFError
        return Ending(*json.loads(line))

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


@cache
def _idle(module: str, pid: int) -> "SimpleQueue[Helper]":
    """Helpers that this process has started and that have nothing to do."""
    return SimpleQueue()


@contextmanager
def helper(module: str) -> Iterator[Helper]:
    """A helper for one thread; it stays for later requests, unless there is an error."""
    idle = _idle(module, os.getpid())
    taken = _running(idle) or Helper(module)
    try:
        yield taken
    except BaseException:
        taken.close()
        raise
    idle.put(taken)


def _running(idle: "SimpleQueue[Helper]") -> Helper | None:
    """The first helper of the queue that nobody has stopped meanwhile; None without one."""
    try:
        while (taken := idle.get_nowait()).process.poll() is not None:
            taken.close()
    except Empty:
        return None
    return taken


def ask_about(path: Path, module: str, bounds: Bounds) -> Ending:
    """Have a helper answer about a file; `module` is the helper's main module.

    Raises
    ------
    UserError
        When somebody stopped the process.
    """
    try:
        with helper(module) as taken:
            ending = taken.ask(str(path.absolute()), bounds)
    except EOFError:
        ending = Ending("", -signal.SIGKILL, timed_out=False)
    if -ending.exit_status in STOP_SIGNALS and not ending.timed_out:
        raise UserError(
            f"{path}: the process that read its header was stopped from outside: run again; if it"
            " happens again, with more memory"
        )
    if ending.exit_status > 0:
        raise RuntimeError(f"{path}: {ending.output}")
    return ending


def serve(function: Callable[[str], Any]) -> None:
    """Answer the requests on standard input until it is closed."""
    for line in sys.stdin:
        request, memory_mb, time_s = json.loads(line)
        answer = _answer(function, request, Bounds(memory_mb, time_s))
        print(json.dumps(answer), flush=True)


def _answer(function: Callable[[str], Any], request: str, bounds: Bounds) -> Ending:
    source, target = os.pipe()
    if not (pid := os.fork()):
        os.close(source)
        _run(function, request, bounds.memory_mb, target)
    os.close(target)
    output, timed_out = _read(source, bounds.time_s)
    if timed_out:
        os.kill(pid, signal.SIGKILL)
    os.close(source)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Ending(output, status, timed_out)


def _run(function: Callable[[str], Any], request: str, memory_mb: int, target: int) -> None:
    """Answer a request in a forked process, and end it."""
    output, status = "", 1
    try:
        _limit(memory_mb)
        output, status = json.dumps(function(request)), 0
    except Exception:  # noqa: BLE001 (the job reports it)
        output = traceback.format_exc()
    finally:
        os.write(target, output.encode(errors="replace"))
        os._exit(status)


def _limit(memory_mb: int) -> None:
    """Limit the address space, where the system can (macOS can't)."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    except (OSError, ValueError):
        return


def _read(source: int, time_s: int) -> tuple[str, bool]:
    """Read to the end, or until the time is over."""
    chunks: list[bytes] = []
    end_s = time.monotonic() + time_s
    while select.select([source], [], [], max(0.0, end_s - time.monotonic()))[0]:
        if not (chunk := os.read(source, READ_BYTES)):
            return b"".join(chunks).decode(errors="replace"), False
        chunks.append(chunk)
    return "", True
