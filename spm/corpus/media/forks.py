"""A helper process that answers each request in a process of its own, with limits.

A new process of Python with PyAV takes longer to start than most files to read. The helper starts
once, and forks for each request. What a request does to its process harms neither helper nor job.

A job that ends, however it ends, closes the pipe to its helpers. They end then, with the processes
that they have forked and the programs that those have started.
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
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TextIO

from spm.base.errors import UserError
from spm.corpus.media.limits import Bounds

ROOT = Path(__file__).parents[3]
READ_BYTES = 1 << 16
POLL_S = 0.2  # between two looks at whether an answer is still wanted
CLOSE_S = 5.0  # that a helper has to end
STOP_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
IsWanted = Callable[[], bool]
Reader = str | Callable[[str], Any]


class Unwanted(Exception):
    """An answer that nobody waits for any more."""


class Ending(NamedTuple):
    """The end of a process that answered a request."""

    output: str  # what the function returned, as JSON; or a traceback
    exit_status: int  # negative: the signal that ended it
    timed_out: bool

    @property
    def was_stopped(self) -> bool:
        """Whether somebody else stopped the process."""
        return -self.exit_status in STOP_SIGNALS and not self.timed_out


class Helper:
    """A process that runs `serve`; `module` is its main module."""

    def __init__(self, module: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
            text=True,
        )

    def ask(self, request: Any, bounds: Bounds, is_wanted: IsWanted | None = None) -> Ending:
        """Have a request answered.

        Parameters
        ----------
        request : Any
            Something that JSON can express.
        bounds : Bounds
            Limits of the process that answers.
        is_wanted : callable, optional
            Called several times per second.

        Raises
        ------
        EOFError
            When the helper itself has ended.
        Unwanted
            When `is_wanted` returns False.
        """
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps([request, bounds._asdict()]) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise EOFError from error
        while is_wanted and not select.select([self.process.stdout], [], [], POLL_S)[0]:
            if not is_wanted():
                raise Unwanted
        line = self.process.stdout.readline()
        if not line:
            raise EOFError
        return Ending(*json.loads(line))

    def close(self) -> None:
        """End the process, and what it has started."""
        assert self.process.stdin
        assert self.process.stdout
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(CLOSE_S)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


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


def ask(request: Any, module: str, bounds: Bounds, is_wanted: IsWanted | None = None) -> Ending:
    """Have a helper answer; `module` is its main module, and the others are those of `Helper.ask`.

    Raises
    ------
    Unwanted
        When `is_wanted` returns False.
    RuntimeError
        With the traceback, when the function that answers raised an exception.
    """
    try:
        with helper(module) as taken:
            ending = taken.ask(request, bounds, is_wanted)
    except EOFError:
        ending = Ending("", -signal.SIGKILL, timed_out=False)
    if ending.exit_status > 0:
        raise RuntimeError(f"{module}: {ending.output}")
    return ending


def ask_about(path: Path, reader: Reader, bounds: Bounds) -> Ending:
    """Have a process with limits answer about a file.

    Parameters
    ----------
    path : Path
        The file.
    reader : str or callable
        The main module of a helper that answers; or a function, for which this process forks.
    bounds : Bounds
        Limits of the process that answers.

    Raises
    ------
    UserError
        When somebody stopped the process.
    """
    name = str(path.absolute())
    ending = ask(name, reader, bounds) if isinstance(reader, str) else answer(reader, name, bounds)
    if ending.was_stopped:
        raise UserError(
            f"{path}: the process that read its header was stopped from outside: run again; if it"
            " happens again, with more memory"
        )
    return ending


def serve(function: Callable[[Any], Any]) -> None:
    """Answer the requests on standard input until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the job, which closes the pipe
    for line in sys.stdin:
        request, bounds = json.loads(line)
        print(json.dumps(answer(function, request, Bounds(**bounds), sys.stdin)), flush=True)


def answer(
    function: Callable[[Any], Any], request: Any, bounds: Bounds, job: TextIO | None = None
) -> Ending:
    """Call a function in a forked process.

    Parameters
    ----------
    function : callable
        Returns something that JSON can express.
    request : Any
        Its argument.
    bounds : Bounds
        Limits of the process.
    job : file, optional
        Where the next request is read from. At its end, the forked process is killed, and this
        process exits.
    """
    source, target = os.pipe()
    if not (pid := os.fork()):
        os.close(source)
        _run(function, request, bounds, target)
    os.close(target)
    output, timed_out = "", True
    try:
        output, timed_out = _read(source, bounds.time_s, job)
    finally:
        os.close(source)
        status = _end(pid, kill=timed_out)
    return Ending(output, status, timed_out)


def _end(pid: int, *, kill: bool) -> int:
    """The exit status of a forked process; programs that it has started are killed."""
    with suppress(PermissionError):  # of the group, before the process has made it
        os.setpgid(pid, pid)
    if kill:
        os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # its group keeps its number
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _run(function: Callable[[Any], Any], request: Any, bounds: Bounds, target: int) -> None:
    """Answer a request in a forked process, and end it."""
    output, status = "", 1
    try:
        _detach()
        _limit(bounds)
        output, status = json.dumps(function(request)), 0
    except Exception:  # noqa: BLE001 (the job reports it)
        output = traceback.format_exc()
    finally:
        os.write(target, output.encode(errors="replace"))
        os._exit(status)


def _detach() -> None:
    """Leave the helper's pipes, its group of processes and its handlers of signals."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)


def _limit(bounds: Bounds) -> None:
    """Set the limits that the system can set (macOS can't limit memory)."""
    memory = resource.RLIMIT_DATA if bounds.only_data else resource.RLIMIT_AS
    limits = {memory: (bounds.memory_mb << 20, bounds.memory_mb << 20)}
    if bounds.cpu_s:  # SIGXCPU, and later SIGKILL
        limits[resource.RLIMIT_CPU] = (bounds.cpu_s, bounds.cpu_s + 10)
    for limit, values in limits.items():
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, values)


def _read(source: int, time_s: float, job: TextIO | None) -> tuple[str, bool]:
    """Read to the end, or until the time is over."""
    chunks: list[bytes] = []
    end_s = time.monotonic() + time_s
    inputs: list[int | TextIO] = [source, job] if job else [source]
    while ready := select.select(inputs, [], [], max(0.0, end_s - time.monotonic()))[0]:
        if source not in ready:
            sys.exit()  # the job has closed the pipe
        if not (chunk := os.read(source, READ_BYTES)):
            return b"".join(chunks).decode(errors="replace"), False
        chunks.append(chunk)
    return "", True
