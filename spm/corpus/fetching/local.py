"""Videos that are local files: the manifest gives a path, and the file stays at its place."""

from dataclasses import replace
from pathlib import Path

from spm.base.file_digest import file_digest
from spm.base.statuses import FetchStatus
from spm.corpus.fetching.errors import REASON_CHARS
from spm.corpus.fetching.media_check import NotMedia, NotRead, check_media
from spm.corpus.fetching.store import MediaRecord


def local_record(name: str, path: Path) -> MediaRecord:
    """The outcome for a local file: `ok`, `gone` when there is no such file, `bad` or `retry`."""
    record = MediaRecord(name, str(path), "", FetchStatus.BAD, "", extractor="local")
    shown = str(path)[-REASON_CHARS:]
    try:
        size = path.stat().st_size
        if size and path.is_file():
            check_media(path)
            return replace(record, status=FetchStatus.OK, sha256=file_digest(path), bytes=size)
        reason = f"{shown}: {'an empty file' if path.is_file() else 'not a file'}"
    except (NotMedia, NotRead) as error:
        return replace(record, status=error.status, reason=str(error))
    except FileNotFoundError:
        record = replace(record, status=FetchStatus.GONE)
        reason = f"{shown}: no such file"
    except OSError as error:
        reason = f"{shown}: {error.strerror}"
    return replace(record, reason=reason)
