"""Whether files are media, by their headers; the stage clips reads the rest.

A file that crashes libav, or exhausts memory or time, ends only a process that is forked for it.
"""

import json
from pathlib import Path

from spm.corpus.media import forks
from spm.corpus.media.contents import Unusable
from spm.corpus.media.limits import Bounds
from spm.corpus.media.probe import open_media

HELPER = "spm.corpus.fetching.media_check"  # main module of the process that forks the readers
BOUNDS = Bounds(memory_mb=3000, time_s=60)  # for one file


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
    output, exit_status, timed_out = forks.ask_about(path, HELPER, BOUNDS)
    if timed_out:
        return f"its header takes more than {BOUNDS.time_s} s"
    if exit_status:
        return f"its header ends the process that reads it ({-exit_status})"
    return str(json.loads(output))


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
