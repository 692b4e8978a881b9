"""One download: attempts, what each attempt ended with, and the record of the outcome."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

from yt_dlp.utils import YoutubeDLError

from spm.base.errors import UserError
from spm.base.statuses import FetchStatus
from spm.corpus.fetching import media_check
from spm.corpus.fetching.downloader import BoundedYoutubeDL
from spm.corpus.fetching.errors import classify_error, reason_of
from spm.corpus.fetching.leftover import OtherFile
from spm.corpus.fetching.local import check_media
from spm.corpus.fetching.parts import InFragments, PartFailed
from spm.corpus.fetching.session import Session, ydl_options
from spm.corpus.fetching.settings import Fetch
from spm.corpus.fetching.sources import part_name
from spm.corpus.fetching.store import MediaRecord, commit, discard, partial_folder, save
from spm.corpus.media.contents import Unusable
from spm.corpus.media.probe import probe_in_subprocess
from spm.corpus.windows import Window

# Faults of this machine: no space left, quota exceeded, file too large, read-only file system.
MACHINE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# A page that an extractor can't read may raise any of these.
EXTRACTION_ERRORS = (
    YoutubeDLError, HTTPException, OSError, LookupError, ValueError, TypeError, AttributeError,
)  # fmt: skip
FINAL_FAILURES = (FetchStatus.GONE, FetchStatus.BLOCKED, FetchStatus.BAD)
MOST_LATE_S = 0.05  # that a part may start after its window


def download(
    record: MediaRecord, session: Session, wanted: Sequence[Window] = ()
) -> list[MediaRecord]:
    """Download a video, with repeated attempts, and store the outcome.

    It ends with a final outcome, after `fetch.retries` attempts, when the site refuses automatic
    access, or at the end of the run.

    Parameters
    ----------
    record : MediaRecord
        As `Session.new_record` gives it.
    session : Session
        The settings and the shared state.
    wanted : sequence of Window
        Parts of the video that suffice; none: all of it.

    Returns
    -------
    list of MediaRecord
        One of the whole video or of its failure, or one per part.
    """
    session.pause()
    records = [record]
    for pause_s in _pauses_s(session.config):
        session.stop.wait(pause_s)
        if session.throttled or session.stop.is_set():
            break
        records = attempt(record, session, wanted)
        if records[0].status is not FetchStatus.RETRY:
            break
    last = records[0]
    if last.status in FINAL_FAILURES:
        discard(session.store, record.video_id)
    if last.status is not FetchStatus.OK:
        save(session.store, last)
    return records


def _pauses_s(config: Fetch) -> Iterator[float]:
    """The wait before each attempt."""
    yield 0
    for n in range(config.retries - 1):
        yield config.backoff_s * 2**n


def attempt(
    record: MediaRecord, session: Session, wanted: Sequence[Window] = ()
) -> list[MediaRecord]:
    """Try to download a video once; parameters and result as those of `download`.

    Raises
    ------
    UserError
        When this machine can't store the media (no space, no permission).
    """
    try:
        info = _request(record, session, wanted)
        records = _commit(record, info, session, wanted)
    except PartFailed as error:
        if isinstance(error, InFragments):
            session.in_fragments.add(error.extractor)
        return attempt(record, session)
    except EXTRACTION_ERRORS as error:
        _check_machine(error, session.store)
        outcome = classify_error(error)
        session.count_refusal(throttled=outcome.throttled)
        return [replace(record, status=outcome.status, reason=reason_of(error))]
    session.count_refusal(throttled=False)
    return records


def _request(record: MediaRecord, session: Session, wanted: Sequence[Window]) -> dict[str, Any]:
    """Extract and download; a left-over part of another file is removed, and not continued."""
    folder = partial_folder(session.store, record.video_id)
    for _ in range(2):
        options = ydl_options(session, folder, wanted)
        with suppress(OtherFile), BoundedYoutubeDL(options, session.limits) as ydl:
            found: dict[str, Any] = ydl.extract_info(record.address)
            return found
        discard(session.store, record.video_id)
    raise OtherFile


def _commit(
    record: MediaRecord, info: Mapping[str, Any], session: Session, wanted: Sequence[Window]
) -> list[MediaRecord]:
    """Check what was downloaded, and move it to its place in the store."""
    complete = replace(
        record, status=FetchStatus.OK, reason="", extractor=info["extractor"].lower()
    )
    downloads = info["requested_downloads"]
    if downloads[0].get("section_end") is None:
        path = Path(downloads[0]["filepath"])
        check_media(path)
        return [commit(session.store, complete, path)]
    found = [_part(complete, file, wanted[file["section_number"]]) for file in downloads]
    records = [commit(session.store, *pair) for pair in found]
    discard(session.store, record.video_id)
    return records


def _part(record: MediaRecord, file: Mapping[str, Any], part: Window) -> tuple[MediaRecord, Path]:
    """The record of a part, and its file, after a check that the part covers its window."""
    path = Path(file["filepath"])
    try:
        media = probe_in_subprocess(path, media_check.BOUNDS)
    except Unusable as error:
        raise PartFailed(error.reason) from error
    if not (media.pictures and media.sound) or media.start_s > part.start_s + MOST_LATE_S:
        raise PartFailed("the part lacks a track, or its start")
    name = part_name(record.video_id, part)
    in_matroska = path.with_suffix(".mkv")
    path.replace(in_matroska)
    start_s = max(media.start_s, 0.0)
    return replace(record, video_id=name, offset_s=start_s, part=tuple(part)), in_matroska


def _check_machine(error: Exception, folder: Path) -> None:
    """Raise a `UserError` where this machine is at fault. yt-dlp keeps only the message."""
    message = str(error)
    for number in MACHINE_ERRORS:
        text = os.strerror(number)
        if f"[Errno {number}]" in message or text in message:
            raise UserError(f"store {folder}: {text}: expected space for the media") from error
