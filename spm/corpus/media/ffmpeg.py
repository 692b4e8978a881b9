"""Where ffmpeg is: the one named by SPM_FFMPEG, the system's, or the one that pip installed."""

import os
import shutil
from functools import cache


@cache
def binary() -> str:
    """Path of an ffmpeg executable."""
    found = os.environ.get("SPM_FFMPEG") or shutil.which("ffmpeg")
    if found:
        return found
    from imageio_ffmpeg import (
        get_ffmpeg_exe,  # only here: an environment with ffmpeg does without it
    )

    return str(get_ffmpeg_exe())
