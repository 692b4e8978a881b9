"""Where ffmpeg is: the one named by SPM_FFMPEG, the system's, or the one that pip installed."""

import os
import shutil
from functools import cache

from imageio_ffmpeg import get_ffmpeg_exe


@cache
def binary() -> str:
    """Path of an ffmpeg executable."""
    return os.environ.get("SPM_FFMPEG") or shutil.which("ffmpeg") or get_ffmpeg_exe()
