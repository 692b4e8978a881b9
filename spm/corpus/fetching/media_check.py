"""Whether files are media, by their headers; the stage clips reads the rest.

One process opens the files, one after the other, which takes a millisecond each. A file that
crashes libav, or exhausts memory or time, ends only this process; the next file gets a new one.
"""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from threading import local

import av

from spm.base.errors import UserError
from spm.corpus.media.limits import SHELL

ROOT = Path(__file__).parents[3]
MEMORY_MB = 3000
TIME_S = 60.0  # for one file
OPTIONS = {"protocol_whitelist": "file"}  # a playlist named like a video opens no other file
STOP_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class HeaderReader:
    """A process that opens files; it ends with this object."""

    def __init__(self) -> None:
        limited = ["/bin/sh", "-c", SHELL, "sh", str(MEMORY_MB << 10), "unlimited"]
        self.process = subprocess.Popen(
            [*limited, sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )

    def ask(self, path: Path) -> str | None:
        """Why a file is no media; empty if it is; None when the process has ended."""
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps(str(path.absolute())) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        if not select.select([self.process.stdout], [], [], TIME_S)[0]:
            self.process.kill()
            self.process.wait()
            return f"its header takes more than {TIME_S:.0f} s"
        answer = self.process.stdout.readline()
        return str(json.loads(answer)) if answer else None

    def __del__(self) -> None:
        self.process.kill()
        self.process.communicate()


_of_thread = local()


def fault(path: Path) -> str:
    """Why a file is no media; empty if it is.

    Raises
    ------
    OSError
        When the file can't be read.
    UserError
        When somebody stopped the process that reads it.
    """
    with path.open("rb") as file:
        file.read(1)
    reader: HeaderReader | None = getattr(_of_thread, "reader", None)
    if reader is None or reader.process.poll() is not None:
        reader = _of_thread.reader = HeaderReader()
    reason = reader.ask(path)
    if reason is None:
        number = -reader.process.wait()
        if number in STOP_SIGNALS:
            raise UserError(
                f"{path}: the process that read its header was stopped from outside: run again; if"
                " it happens again, with more memory"
            )
        return f"its header ends the process that reads it ({number})"
    return reason


def read_header(path: str) -> str:
    """Why a file is no media; empty if it has a track of pictures or sound."""
    try:
        with av.open(f"file:{path}", options=OPTIONS) as container:
            tracks = [*container.streams.video, *container.streams.audio]
            if any(track.codec_context for track in tracks):
                return ""
            return "no decoder" if tracks else "contains neither pictures nor sound"
    except av.FFmpegError as error:
        return str(error.strerror)
    except MemoryError:
        return "its header needs more memory than is allowed"
    except (ArithmeticError, ValueError) as error:
        return f"its header: {error}"


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(read_header(json.loads(line))), flush=True)
