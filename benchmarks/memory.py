"""Time and memory of a command with all its processes (Linux)."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

INTERVAL_S = 0.25
MB = 1024  # kB


class Memory(NamedTuple):
    """Memory of all processes; pages that several of them share count once."""

    private_mb: float  # what the processes hold themselves: must fit into the job's memory
    files_mb: float  # pages of files in the page cache, which the system takes back when it needs


class Usage(NamedTuple):
    """What a command used."""

    wall_s: float
    peak: Memory  # the maximum of each


def processes(session: int) -> Iterator[int]:
    """The processes of a session."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError):
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session:
                    yield int(path.name)


def _sizes(process: int) -> dict[str, int]:
    """Sizes in kB, as smaps_rollup names them."""
    sizes = {}
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
            name, size, _ = line.split()
            sizes[name.rstrip(":")] = int(size)
    return sizes


def memory_of(session: int) -> Memory:
    """Memory of the processes of a session, now."""
    private = files = 0
    for process in processes(session):
        sizes = _sizes(process)
        private += sizes.get("Pss_Anon", 0) + sizes.get("Pss_Shmem", 0)
        files += sizes.get("Pss_File", 0)
    return Memory(private / MB, files / MB)


def run(command: Sequence[str], **environment: str) -> Usage:
    """Run a command in a session of its own; its output is shown only if it fails."""
    start_s, samples = time.perf_counter(), [Memory(0, 0)]
    variables = {**os.environ, **environment}
    with tempfile.TemporaryFile("w+") as output:
        streams = {"stdout": output, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, env=variables, start_new_session=True, **streams)
        while process.poll() is None:
            samples.append(memory_of(process.pid))
            time.sleep(INTERVAL_S)
        wall_s = time.perf_counter() - start_s
        output.seek(0)
        if process.returncode:
            raise SystemExit(output.read())
    private, files = (max(values) for values in zip(*samples, strict=True))
    return Usage(wall_s, Memory(private, files))
