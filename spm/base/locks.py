"""Locks between processes; a process that is killed releases its locks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


@contextmanager
def locked(path: Path, timeout_s: float = 0.0) -> Iterator[None]:
    """Hold a lock for this process; the file at `path` is there as long as it is held.

    Raises
    ------
    filelock.Timeout
        When another process holds it until the end of the time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path, timeout=timeout_s):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # others that have opened it see that it has no name
