"""Where downloaded media lie, and a note beside each of what came of asking for it.

    store/3f/3f9a…e1_jW_AuF6dQYY.mp4     the media, whole: it has its name only when all of it is there
    store/3f/3f9a…e1_jW_AuF6dQYY.json    the note: status, reason, digest
    store/3f/3f9a…e1_jW_AuF6dQYY.part/   an unfinished download, continued by the next run

Names start with a digest of the id: none starts with a hyphen, and ids that differ only by case stay apart on file
systems that ignore it. By its note the next run knows whether to ask again; who deletes a note has its video asked for.
"""

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile

from spm.base import tables
from spm.base.config import UserError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class MediaRecord:
    """What came of asking for one video."""

    video_id: str
    address: str  # where it was asked for
    terms: str  # on which the answer hangs beside the address: format, cookies
    status: str  # ok, gone, blocked, retry, bad
    reason: str
    sha256: str = ""
    bytes: int = 0
    extractor: str = ""
    ext: str = ""  # of the media file, without a dot


def _stem(root: Path, video_id: str) -> Path:
    digest = hashlib.sha256(video_id.encode()).hexdigest()
    return root / digest[:2] / f"{digest[:16]}_{video_id}"


def _beside(root: Path, video_id: str, ending: str) -> Path:
    """A file of a video; an id may hold dots, so its ending is added, not replaced."""
    stem = _stem(root, video_id)
    return stem.with_name(f"{stem.name}.{ending}")


def media_of(root: Path, note: MediaRecord) -> Path:
    """Where the media of an `ok` note is."""
    return _beside(root, note.video_id, note.ext)


def unfinished(root: Path, video_id: str) -> Path:
    """The folder of a video's unfinished download."""
    return _beside(root, video_id, "part")


def usable(root: Path) -> None:
    """Make the store's folder.

    Raises
    ------
    UserError
        When nothing can be written there.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=root).close()
    except OSError as error:
        raise UserError(
            f"store {root}: cannot be written ({error.strerror}): expected a folder of one's own"
        ) from error


def load(root: Path, video_id: str) -> MediaRecord | None:
    """The note of a video; None when there is none, or none that can be read."""
    path = _beside(root, video_id, "json")
    try:
        return MediaRecord(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        LOG.warning("%s: not a note (%s): the video is asked for again", path, error)
        return None


def save(root: Path, note: MediaRecord) -> None:
    """Write the note of a video."""
    with tables.atomic_write(_beside(root, note.video_id, "json")) as part:
        part.write_text(
            json.dumps(asdict(note), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def is_current(root: Path, note: MediaRecord, address: str, terms: str) -> bool:
    """Whether a note still answers for its video, so that nothing is asked again.

    Media that came from this address stand while the file has the size it had. A refusal stands on the same terms: with
    another format or other cookies the answer may be another. What may come back (`retry`) never stands.
    """
    if note.address != address or note.status == "retry":
        return False
    if note.status == "ok":
        media = media_of(root, note)
        return media.is_file() and media.stat().st_size == note.bytes
    return note.terms == terms


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def commit(root: Path, note: MediaRecord, downloaded: Path) -> MediaRecord:
    """Move a finished download to its place; answer its note, complete.

    The note is written first: killed in between, the next run misses the media, and finds them among the unfinished.
    """
    size, ext = downloaded.stat().st_size, downloaded.suffix.lstrip(".")
    complete = replace(note, sha256=digest_of(downloaded), bytes=size, ext=ext)
    save(root, complete)
    downloaded.replace(media_of(root, complete))
    discard(root, note.video_id)
    return complete


def discard(root: Path, video_id: str) -> None:
    """Remove what an unfinished download left."""
    shutil.rmtree(unfinished(root, video_id), ignore_errors=True)
