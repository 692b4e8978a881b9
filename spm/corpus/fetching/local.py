"""Videos that are local files: the manifest gives a path, and the file stays at its place."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from spm.base.statuses import FetchStatus
from spm.corpus.fetching.downloader import NotMedia
from spm.corpus.fetching.errors import REASON_CHARS
from spm.corpus.fetching.store import MediaRecord, digest_of, ledger_row
from spm.corpus.media.limits import Bounds
from spm.corpus.media.probe import Unusable, probe_in_subprocess

PROBE_BOUNDS = Bounds(memory_mb=3000, time_s=60)


def check_media(path: Path) -> None:
    """Raise `NotMedia` when a file has no media, or `OSError` when it can't be read."""
    with path.open("rb") as file:
        file.read(1)
    try:
        probe_in_subprocess(path, PROBE_BOUNDS)
    except Unusable as error:
        raise NotMedia(f"not media: {error.reason}") from error


def local_row(video_id: str, path: Path) -> dict[str, Any]:
    """The ledger's row of a local file: `ok`, `gone` when there is no such file, or `bad`."""
    record = MediaRecord(video_id, str(path), "", FetchStatus.BAD, "", extractor="local")
    shown = str(path)[-REASON_CHARS:]
    try:
        size = path.stat().st_size
        if size and path.is_file():
            check_media(path)
            complete = replace(record, status=FetchStatus.OK, sha256=digest_of(path), bytes=size)
            return ledger_row(complete, path)
        reason = f"{shown}: {'an empty file' if path.is_file() else 'not a file'}"
    except NotMedia as error:
        reason = str(error)
    except FileNotFoundError:
        record = replace(record, status=FetchStatus.GONE)
        reason = f"{shown}: no such file"
    except OSError as error:
        reason = f"{shown}: {error.strerror}"
    return ledger_row(replace(record, reason=reason), None)
