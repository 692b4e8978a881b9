"""Whether files are media, by their headers; the stage clips reads the rest.

A file that crashes libav, or exhausts memory or time, ends only a process that is forked for it.
"""

import json
import signal
from pathlib import Path

from spm.base.statuses import FetchStatus
from spm.corpus.fetching.errors import FetchError
from spm.corpus.media import forks
from spm.corpus.media.contents import Unusable
from spm.corpus.media.limits import Bounds
from spm.corpus.media.probe import open_media

HELPER = "spm.corpus.fetching.media_check"  # main module of the process that forks the readers
# For one file. A file that needs the processor for so long is at fault; a file system that does not
# answer for so long may do so later.
BOUNDS = Bounds(memory_mb=3000, time_s=600, cpu_s=60)


class NotMedia(FetchError):
    """A file without readable pictures or sound."""


class NotRead(FetchError):
    """A file whose file system is too slow now."""

    status = FetchStatus.RETRY


def check_media(path: Path, reader: forks.Reader | None = None) -> None:
    """Check that a file has media.

    With `read_header` as its `reader`, this process forks; else, a helper does.

    Raises
    ------
    NotMedia
        When it has none.
    NotRead
        When its file system does not answer.
    OSError
        When it can't be read.
    UserError
        When somebody stopped the process that reads it.
    """
    with path.open("rb") as file:
        file.read(1)
    output, exit_status, timed_out = forks.ask_about(path, reader or HELPER, BOUNDS)
    if timed_out:
        raise NotRead(f"its header was not read within {BOUNDS.time_s:g} s")
    if -exit_status == signal.SIGXCPU:
        raise NotMedia(f"not media: its header takes more than {BOUNDS.cpu_s} s to read")
    if exit_status:
        name = signal.Signals(-exit_status).name
        raise NotMedia(f"not media: its header ends the process that reads it ({name})")
    if fault := json.loads(output):
        raise NotMedia(f"not media: {fault}")


def read_header(path: str) -> str:
    """Why a file is no media; empty if it has a track of pictures or sound."""
    try:
        with open_media(Path(path)) as container:
            tracks = [*container.streams.video, *container.streams.audio]
            if any(track.codec_context for track in tracks):
                return ""
            return "no decoder" if tracks else "contains neither pictures nor sound"
    except Unusable as error:
        return error.reason


if __name__ == "__main__":
    forks.serve(read_header)
