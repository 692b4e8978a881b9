"""Commands `python -m snakemake` without the seconds that Python needs to import Snakemake.

A job on SLURM is two processes of Snakemake around one of a stage. A server process imports
Snakemake, reads the rules and forks for every command, as that of planner.py, but for several at
the same time. The forked process runs the command with its arguments, folder, environment and
standard streams, and asks SLURM as often as impatient.py.

SLURM ends the program that asks, not the forked process: tests that end jobs do not use it.

Run as a script, this module is the server.
"""

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from tests.support import planner, preloaded

ROOT = Path(__file__).parents[2]
# It starts fast, because it imports neither `site` nor any package.
PROGRAM = preloaded.CLIENT.replace(
    'not sys.argv[2].startswith("spm.")', 'sys.argv[2] != "snakemake"'
)


@contextmanager
def serving(folder: Path) -> Iterator[Path]:
    """The program `python` of a server that runs meanwhile."""
    program = folder / "python"
    program.write_text(PROGRAM.format(python=sys.executable, socket=str(folder / "socket")))
    program.chmod(0o755)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield program
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # and what a failed test has left
        server.wait()


# The server.


def _prepare(folder: Path) -> None:
    """Import Snakemake, and make a plan that reads the rules and their modules."""
    from tests.support import impatient

    for module in (planner.DIGEST, planner.YAML_FILE):
        __import__(module)
    planner._remember_parsing()
    impatient.ask_often()
    out = os.dup(1), os.dup(2)
    planner._redirect(folder / "output")
    words = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    planner._snakemake(["all", "--dry-run", *words])
    for number, stream in enumerate(out, start=1):
        os.dup2(stream, number)
    gc.collect()
    gc.disable()  # a collection in a forked process copies the memory that it shares


def _serve(folder: Path) -> None:
    """Answer each connection in a process of its own."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.listen(16)
    signal.signal(signal.SIGCHLD, preloaded._reap)
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(connection, folder)
        connection.close()


def _answer(connection: socket.socket, folder: Path) -> NoReturn:
    """Run the command in another process; send its status, negative for a signal."""
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    request = json.loads(connection.makefile().read(int.from_bytes(size)))
    child = os.fork()
    if child == 0:
        connection.close()
        _run(request, streams, folder)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(str(status).encode())
    os._exit(0)


def _run(request: Mapping[str, Any], streams: Sequence[int], folder: Path) -> NoReturn:
    """Run Snakemake as Python does, and end this process."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[:] = ["snakemake", *request["words"]]
    sys.executable = str(folder / "python")  # of the jobs that this process starts or submits
    planner._forget((), everything=False)
    status = 1
    try:
        status = planner._snakemake(request["words"])
        threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:  # noqa: BLE001 (a forked process must not return)
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    _prepare(Path(sys.argv[1]))
    _serve(Path(sys.argv[1]))
