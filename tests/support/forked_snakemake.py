"""Commands `python -m snakemake` without the seconds that Python needs to import Snakemake.

A job on SLURM is two processes of Snakemake around one of a stage. A server process imports
Snakemake, reads the rules and forks for every command, as that of planner.py, but for several at
the same time. The forked process runs the command with its arguments, folder, environment and
standard streams, and asks SLURM as often as impatient.py.

When SLURM kills the program that asks, the forked process ends too, but not what it has started:
tests that end jobs do not use it.

Run as a script, this module is the server.
"""

import gc
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


def _run_snakemake(request: Mapping[str, Any]) -> int:
    """Run Snakemake; its status."""
    sys.argv[:] = ["snakemake", *request["words"]]
    planner._forget((), everything=False)
    try:
        return planner._snakemake(request["words"])
    except BaseException:  # noqa: BLE001 (a forked process must not return)
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    _prepare(Path(sys.argv[1]))
    preloaded.Server(Path(sys.argv[1]) / "socket", _run_snakemake).serve()
