"""SHA-256 digests of files, kept as long as the files stay as they are."""

import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from spm.base.files import atomic_write

MUCH_BYTES = 1_000_000_000  # from which the user is told why nothing else happens
RECENT_S = 2.0  # file systems may give two changes within this time the same time stamp
VIRTUAL_BYTES = 1 << 20  # from which a file without any block on a disk is not read
MISSING = "missing"


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Digest of the content of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def known_digests(paths: Iterable[str], cache: Path) -> dict[str, str]:
    """Digests of files; only those that have changed since the last call are read.

    A file counts as unchanged when its inode, its size and both of its times are the same. Programs
    such as `cp -p`, `touch -r` and `rsync` can set the time of the last change of the content, but
    not the time of the last change of the inode (ctime).

    Parameters
    ----------
    paths : iterable of str
        The files; what is no file has a word in place of a digest.
    cache : Path
        JSON file in which the digests are kept.
    """
    states = {path: _state(path) for path in sorted(set(paths))}
    known = _load(cache)
    unread = [path for path, state in states.items() if state and known.get(path, [""])[0] != state]
    size = sum(int(states[path].split()[1]) for path in unread)
    if size > MUCH_BYTES:
        print(f"reading {len(unread)} new or changed files, {size / 1e9:.1f} GB", file=sys.stderr)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(unread, pool.map(_content, unread), strict=True))
    digests = {path: found.get(path) or known[path][1] for path, state in states.items() if state}
    if unread:
        kept = {path: [states[path], digest] for path, digest in digests.items()}
        _store(cache, {path: entry for path, entry in kept.items() if not _is_recent(path)})
    return {path: digests.get(path, MISSING) for path in states}


def _state(path: str) -> str:
    """What changes when a file changes; empty where there is no file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ""
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _is_recent(path: str) -> bool:
    """Whether a file was changed a moment ago, so that another change may not be seen."""
    try:
        return time.time() - os.stat(path).st_ctime < RECENT_S
    except OSError:
        return True


def _content(path: str) -> str:
    """The digest of a file. What is no file, or none on a disk, is not read."""
    try:
        found = os.stat(path)
        is_virtual = found.st_size > VIRTUAL_BYTES and not found.st_blocks
        if not stat.S_ISREG(found.st_mode) or is_virtual:
            return "not a file"
        return file_digest(Path(path)) if found.st_size else "empty"
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _load(cache: Path) -> dict[str, list[str]]:
    with suppress(OSError, ValueError):
        return dict(json.loads(cache.read_text(encoding="utf-8")))
    return {}


def _store(cache: Path, known: dict[str, list[str]]) -> None:
    # Where the folder is read-only, the files are read again next time.
    with suppress(OSError), atomic_write(cache) as part:
        part.write_text(json.dumps(known), encoding="utf-8")
