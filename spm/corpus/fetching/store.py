"""The folder of downloaded media; a JSON record beside each file says how its download ended.

    store/3f/3f9a…e1_jW_AuF6dQYY.mp4     the media; the name appears only when the file is complete
    store/3f/3f9a…e1_jW_AuF6dQYY.json    the record: status, reason, digest
    store/3f/3f9a…e1_jW_AuF6dQYY.part/   an unfinished download, which the next run continues
    store/3f/3f9a…e1_jW_AuF6dQYY.lock    is locked by the process that downloads the video

Names start with a digest of the name. So no file name starts with a hyphen, and names that differ
only by case get different files on file systems that ignore case. The record tells the next run
whether to request the video again; delete it to have the video requested again.

The name is the id of the video. Windows share the download of their video: its name is made of the
address, and a part of it has its times in its name.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.base.printable import printable
from spm.base.statuses import FetchStatus
from spm.corpus import windows
from spm.corpus.manifest import Video
from spm.corpus.windows import Window

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class MediaRecord:
    """The outcome of fetching one video. The field names are the keys of the JSON file."""

    video_id: str
    address: str  # of the request
    terms: str  # settings on which the outcome depends: format, size limit, hosts
    status: FetchStatus
    reason: str
    sha256: str = ""
    bytes: int = 0
    extractor: str = ""
    ext: str = ""  # of the media file, without a dot
    cookies: str = ""  # digest of the cookies of the request
    part: tuple[float, ...] | None = None  # start and end in the video, in s; None: all of it
    offset_s: float = 0.0  # time in the video at the start of the file

    def serves(self, window: Window | None) -> bool:
        """Whether the file has all of a window, or of the video."""
        if self.part is None:
            return True
        return bool(window and self.part[0] <= window.start_s and window.end_s <= self.part[1])

    @property
    def needs_login(self) -> bool:
        """Whether other cookies may change the outcome."""
        is_private = self.status is FetchStatus.GONE and "private" in self.reason.lower()
        return self.status is FetchStatus.BLOCKED or is_private


def _path(root: Path, video_id: str, ending: str) -> Path:
    """A file of a video. Its ending is appended, not replaced, because an id may contain dots."""
    digest = hashlib.sha256(video_id.encode()).hexdigest()
    return root / digest[:2] / f"{digest[:16]}_{video_id}.{ending}"


def media_path(root: Path, record: MediaRecord) -> Path:
    """The media file of an `ok` record."""
    return _path(root, record.video_id, record.ext)


def partial_folder(root: Path, video_id: str) -> Path:
    """The folder of a video's unfinished download."""
    return _path(root, video_id, "part")


def prepare(root: Path) -> None:
    """Create the store's folder.

    Raises
    ------
    UserError
        When the folder can't be created or written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=root).close()
    except OSError as error:
        raise UserError(
            f"store {root}: cannot be written ({error.strerror}): expected a writable folder"
        ) from error


def load(root: Path, video_id: str) -> MediaRecord | None:
    """The record of a video; None when there is none, or when it can't be read."""
    path = _path(root, video_id, "json")
    try:
        record = MediaRecord(**json.loads(path.read_text(encoding="utf-8")))
        part = record.part and tuple(record.part)
        return replace(record, status=FetchStatus(record.status), part=part)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        LOG.warning("%s: not a record (%s): the video is requested again", path, error)
        return None


def save(root: Path, record: MediaRecord) -> None:
    """Write the record of a video."""
    text = json.dumps(asdict(record), indent=1, ensure_ascii=False)
    with tables.atomic_write(_path(root, record.video_id, "json")) as part:
        part.write_text(f"{text}\n", encoding="utf-8")


def is_current(root: Path, record: MediaRecord, wanted: MediaRecord) -> bool:
    """Whether a record is still valid, so that the `wanted` video is not requested again.

    Downloaded media from the same address are valid while the file has the recorded size. A failure
    is valid for the same terms, as another format may change the outcome; that of a video which
    needs a login is valid for the same cookies. The status `retry` is never valid.
    """
    if record.address != wanted.address or record.status is FetchStatus.RETRY:
        return False
    if record.status is FetchStatus.OK:
        media = media_path(root, record)
        return media.is_file() and media.stat().st_size == record.bytes
    same_login = record.cookies == wanted.cookies or not record.needs_login
    return record.terms == wanted.terms and same_login


class StoredRecords(NamedTuple):
    """What the store has of a video."""

    records: list[MediaRecord]
    missing: list[Window]  # parts of which there is no valid record
    complete: bool  # whether nothing has to be requested


def look_up(root: Path, wanted: MediaRecord, parts: Sequence[Window]) -> StoredRecords:
    """The valid records of a video, or of the `parts` of it that suffice."""
    whole = _current(root, wanted, wanted.video_id)
    if whole and whole.status is FetchStatus.OK:
        return StoredRecords([whole], [], complete=True)
    found = {part: _current(root, wanted, part_name(wanted.video_id, part)) for part in parts}
    records = [record for record in found.values() if record]
    missing = [part for part, record in found.items() if not record]
    if whole:  # a failure
        return StoredRecords([*records, whole], missing, complete=True)
    return StoredRecords(records, missing, complete=bool(records and not missing))


def _current(root: Path, wanted: MediaRecord, name: str) -> MediaRecord | None:
    record = load(root, name)
    return record if record and is_current(root, record, wanted) else None


def part_name(name: str, part: Window) -> str:
    """Name of a part in the store.

    >>> part_name("source-a", Window(30, 40.5))
    'source-a_30000-40500'
    """
    return f"{windows.window_id(name, part.start_s)}-{round(1000 * part.end_s)}"


def lock_path(root: Path, video_id: str) -> Path:
    """The file that is locked by the process that downloads a video."""
    return _path(root, video_id, "lock")


def commit(root: Path, record: MediaRecord, downloaded: Path) -> MediaRecord:
    """Move a finished download to its place in the store; the complete record.

    The record is written first: if the program is killed in between, the next run misses the media
    and finds them in the folder of unfinished downloads.
    """
    size, ext = downloaded.stat().st_size, downloaded.suffix.lstrip(".")
    complete = replace(record, sha256=file_digest(downloaded), bytes=size, ext=ext)
    save(root, complete)
    downloaded.replace(media_path(root, complete))
    discard(root, record.video_id)
    return complete


def discard(root: Path, video_id: str) -> None:
    """Remove a video's unfinished download."""
    shutil.rmtree(partial_folder(root, video_id), ignore_errors=True)


def ledger_row(video: Video, record: MediaRecord, path: Path | None) -> dict[str, Any]:
    """The row of a video in the ledger; without a path there is no media file."""
    facts = {name: getattr(record, name) for name in schemas.LEDGER.names if hasattr(record, name)}
    window = video.window
    return facts | {
        "video_id": video.video_id,
        "reason": printable(record.reason),
        "path": str(path) if path else "",
        "window_start_s": window and window.start_s - record.offset_s,
        "window_end_s": window and window.end_s - record.offset_s,
    }
