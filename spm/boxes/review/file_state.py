"""Versions of a file that other programs may write too, and copies of them."""

import os
from itertools import count
from pathlib import Path

Signature = tuple[int, int, int]  # changes whenever the file does: inode, size, time of its change


def signature_of(path: Path) -> Signature | None:
    """What tells two versions of a file apart; None if there is no file."""
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def is_same_file(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """Make the names of the folder's files permanent."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def back_up(path: Path, content: bytes) -> Path:
    """Store an earlier content of a file beside it, as `<name>.bak-<n>` with a new number."""
    for number in count(1):
        backup = path.with_name(f"{path.name}.bak-{number}")
        try:
            with backup.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            continue
        break
    return backup
