"""Commands `python -m spm.…` without the seconds that Python needs to import torch and others.

A server process imports the packages that spm uses, and nothing of spm; then it forks for every
command. The forked process runs the command as Python does: with its arguments, folder,
environment and standard streams, and with the modules of the checkout that PYTHONPATH names. Its
`sys.executable` forks too, as the program that was started. That program hands SIGINT and SIGTERM
to the forked process, which ends with it.

Which tests do not use it: those that kill groups of processes or measure processes, and one test
each of a cluster, of conda with the whole workflow, and of a command line, which run the commands
as users do. test_preloaded.py compares both.

Run as a script, this module is the server.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

# What most stages import; a package that is missing here is only slower.
PACKAGES = (
    "av",
    "matplotlib.figure",
    "numba",
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "safetensors.torch",
    "scipy.optimize",
    "simplejpeg",
    "sklearn.metrics",
    "torch._dynamo",
    "torch.utils.data",
    "torchaudio.functional",
    "torchvision.models.detection",
    "tqdm",
    "typer",
    "yt_dlp",
)
# The program `python`: it starts fast, because it imports neither `site` nor any package.
CLIENT = """\
#!{python} -IS
import json, os, signal, socket, sys
if sys.argv[1:2] != ["-m"] or not sys.argv[2].startswith("spm."):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
connection = socket.socket(socket.AF_UNIX)
connection.connect({socket!r})
request = {{"module": sys.argv[2], "words": sys.argv[3:], "folder": os.getcwd()}}
text = json.dumps({{**request, "environment": dict(os.environ)}}).encode()
socket.send_fds(connection, [len(text).to_bytes(8)], [0, 1, 2])
connection.sendall(text)
answer = connection.makefile()
process = int(answer.readline())
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(process, number))
status = int(answer.readline())
if status < 0:
    if -status != signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


@cache
def folder() -> Path:
    """A folder with the program `python` of a server that runs until this process ends."""
    scratch = tempfile.TemporaryDirectory(prefix="spm-")
    place = Path(scratch.name)
    program = place / "python"
    program.write_text(CLIENT.format(python=sys.executable, socket=str(place / "socket")))
    program.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, str(place / "socket")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ""},  # each command brings its own
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    atexit.register(scratch.cleanup)
    atexit.register(server.wait)
    atexit.register(server.terminate)
    return place


def programs(folder_of_programs: Path) -> str:
    """The variable PATH with programs `spm` and `python` that fork, for `-m pytest` too."""
    client = CLIENT.replace('startswith("spm.")', 'startswith(("spm.", "pytest"))')
    socket = str(folder() / "socket")
    texts = {
        "python": client.format(python=sys.executable, socket=socket),
        "spm": '#!/bin/sh\nexec python -m spm.cli "$@"\n',
    }
    for name, text in texts.items():
        (folder_of_programs / name).write_text(text)
        (folder_of_programs / name).chmod(0o755)
    return f"{folder_of_programs}{os.pathsep}{search_path()}"


def search_path() -> str:
    """The variable PATH with that program before all others."""
    return os.pathsep.join(map(str, (folder(), Path(sys.executable).parent, os.environ["PATH"])))


def run(words: Sequence[object], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `python` with arguments, and options of `subprocess.run`; its output is text."""
    defaults = {"capture_output": True, "text": True, "check": False}
    return subprocess.run([folder() / "python", *map(str, words)], **defaults | options)


# The server.


class Server:
    """Runs a command for each connection, in a forked process, and answers with its status.

    It has no threads, which a fork would not have.
    """

    def __init__(self, path: Path, run_command: Callable[[Mapping[str, Any]], int]) -> None:
        self.run_command = run_command
        self.connections: dict[int, socket.socket] = {}  # by the id of the command's process
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(16)
        self.events = selectors.DefaultSelector()
        self.events.register(self.listener, selectors.EVENT_READ)
        sys.executable = str(path.with_name("python"))  # of what the commands start

    def serve(self) -> NoReturn:
        """Wait for connections, for commands that end, and for programs that are killed."""
        signal.signal(signal.SIGCHLD, self._reap)
        print("ready", flush=True)
        while True:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            events = self.events.select()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            for key, _ in events:
                if key.fileobj is self.listener:
                    self._start(self.listener.accept()[0])
                elif key.data in self.connections:  # its program was killed
                    self.events.unregister(key.fileobj)
                    os.kill(key.data, signal.SIGKILL)

    def _start(self, connection: socket.socket) -> None:
        """Fork for a command, and answer with the id of its process."""
        size, streams, _, _ = socket.recv_fds(connection, 8, 3)
        text = connection.makefile().read(int.from_bytes(size))
        process = os.fork()
        if process == 0:
            request = json.loads(text)  # fails if the program was killed
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            self.events.close()
            for other in (self.listener, connection, *self.connections.values()):
                other.close()
            _run(request, streams, self.run_command)
        for stream in streams:
            os.close(stream)
        self.connections[process] = connection
        self.events.register(connection, selectors.EVENT_READ, process)
        _send(connection, process)

    def _reap(self, *_: object) -> None:
        """Answer with the status of each process that has ended, negative for a signal.

        The processes are waited for: their CPU time counts as that of the tests.
        """
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                connection = self.connections.pop(ended[0])
                with suppress(KeyError):  # its program was killed
                    self.events.unregister(connection)
                _send(connection, os.waitstatus_to_exitcode(ended[1]))
                connection.close()


def _send(connection: socket.socket, number: int) -> None:
    with suppress(OSError):  # the program was killed
        connection.sendall(b"%d\n" % number)


def _run(
    request: Mapping[str, Any],
    streams: Sequence[int],
    run_command: Callable[[Mapping[str, Any]], int],
) -> NoReturn:
    """Run the command as Python does, and end this process."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    status = run_command(request)
    # Python's own end would free every object, which takes two seconds: each page of the memory
    # that the server shares is copied first. These are the other parts of it.
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def _run_module(request: Mapping[str, Any]) -> int:
    """Run the module with the search path that Python would give it; its status."""
    own = [] if os.environ.get("PYTHONSAFEPATH") else [request["folder"]]
    added = os.environ.get("PYTHONPATH", "")
    sys.path[:0] = [*own, *filter(None, added.split(os.pathsep))]
    sys.argv[1:] = request["words"]
    _limit_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))
    return _status_of(request["module"])


def _status_of(module: str) -> int:
    """Run a module; the status with which Python would end."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 (Python prints any other one)
        traceback.print_exc()
        return 1
    return 0


def _limit_threads(count: int) -> None:
    """Threads that a process has which is started with this OMP_NUM_THREADS."""
    import torch

    torch.set_num_threads(count)
    _thread_pools().limit(limits=count)


@cache
def _thread_pools() -> Any:
    """The thread pools of all packages; to find them takes 50 ms."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _import_packages() -> None:
    """Import what most commands need, and leave out what would make each fork slow."""
    gc.disable()
    for package in PACKAGES:
        importlib.import_module(package)
    gc.freeze()  # a collection in a forked process would copy the memory that it shares
    gc.enable()
    _thread_pools()
    # The work of these packages at the end of a process copies most of that memory too.
    atexit.unregister(sys.modules["torch._dynamo.utils"].dump_compile_times)
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False


if __name__ == "__main__":
    _import_packages()
    Server(Path(sys.argv[1]), _run_module).serve()
