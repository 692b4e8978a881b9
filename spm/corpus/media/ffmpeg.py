"""ffmpeg: its executable, and a run of it that separates two kinds of failures.

A failure may be the video's (a row of the table), or the machine's (an error of the job).
"""

import errno
import os
import re
import shutil
import signal
from collections.abc import Sequence
from functools import cache

from spm.base.errors import UserError
from spm.corpus.media import limits

STOPPED = -1  # in place of an exit status: we stopped ffmpeg at its time limit
NOT_STARTED = {126, 127}  # exit statuses of the shell
KILLED = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
# ffmpeg ends with 255 after a signal, and also after EPERM, which its log mentions.
SIGNALED = 255
MACHINE_ERRORS = re.compile(
    "No space left|quota exceeded|File too large|Permission denied|Read-only file", re.IGNORECASE
)


@cache
def binary() -> str:
    """Path of an ffmpeg executable: SPM_FFMPEG, the system's, or the one installed by pip."""
    # Relative folders of PATH, such as the current one, may have files of strangers.
    folders = filter(os.path.isabs, os.get_exec_path())
    path = os.environ.get("SPM_FFMPEG") or shutil.which("ffmpeg", path=os.pathsep.join(folders))
    if path:
        return path
    # Imported here, because an environment with ffmpeg does not need the package.
    from imageio_ffmpeg import get_ffmpeg_exe

    return str(get_ffmpeg_exe())


def run_ffmpeg(
    arguments: Sequence[str], bounds: limits.Bounds, path: str, video_id: str
) -> tuple[int, str]:
    """Run ffmpeg on one video within limits.

    Parameters
    ----------
    arguments : sequence of str
        The command line.
    bounds : Bounds
        Limits of memory and time.
    path : str
        The input, as the command line names it; it is removed from messages.
    video_id : str
        The video, for errors.

    Returns
    -------
    tuple
        ffmpeg's exit status (STOPPED at the time limit), and the first line of its messages.

    Raises
    ------
    UserError
        When the machine is at fault: ffmpeg can't start or write, or somebody stopped it.
    """
    try:
        done = limits.run_limited(arguments, bounds)
    except limits.Timeout as error:
        return STOPPED, str(error)
    status, log = done.returncode, done.stderr.decode(errors="replace")
    if status in NOT_STARTED:
        raise UserError(
            f"ffmpeg {arguments[0]} does not start ({log.strip()}): expected an executable; set"
            " SPM_FFMPEG to another one"
        )
    if status in KILLED or (status == SIGNALED and os.strerror(errno.EPERM) not in log):
        raise UserError(
            f"ffmpeg was stopped from outside while it decoded {video_id}: run again; if it"
            " happens again, with more memory"
        )
    if status and (fault := MACHINE_ERRORS.search(log)):
        raise UserError(
            f"ffmpeg could not write the decoded data of {video_id}: {fault[0]}: expected free"
            " space and permission"
        )
    return status, _first_line(log, path)


def _first_line(log: str, path: str) -> str:
    """The first message of ffmpeg, without memory addresses and paths, which differ by machine."""
    text = re.sub(r"\[[^\[\]]* @ 0x[0-9a-f]+\] *", "", log).replace(f"file:{path}", "input")
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line), "ffmpeg failed without a message")
