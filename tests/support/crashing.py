"""A helper of spm.corpus.media.forks whose processes end as the name of the file says."""

import os
import signal
import time
from pathlib import Path

from spm.corpus.media import forks


def end(path: str) -> str:
    """Die of the signal that the file is named after, hang, compute, use memory, or raise."""
    name = Path(path).stem
    if name.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[name])
    if name == "hang":
        time.sleep(987)
    while name == "busy":
        pass
    if name == "memory":
        return str(len(bytes(8 << 30)))
    raise KeyError(name)


if __name__ == "__main__":
    forks.serve(end)
