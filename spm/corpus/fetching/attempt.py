"""One attempt to download a video, in a process of its own that holds the video's lock.

A web page may keep an extractor busy for hours or make it use all memory, and such a process can
only be ended from outside. All that changes the store's files of a video happens here.
"""

import errno
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import Timeout
from yt_dlp import YoutubeDL

from spm.base.errors import UserError
from spm.base.locks import locked
from spm.base.printable import printable
from spm.base.statuses import FetchStatus
from spm.corpus.fetching import media_check, plugins
from spm.corpus.fetching.downloader import BoundedYoutubeDL
from spm.corpus.fetching.errors import classify_error, reason_of
from spm.corpus.fetching.leftover import OtherFile, remove_unfinished
from spm.corpus.fetching.media_check import check_media, read_header
from spm.corpus.fetching.options import LOG, ydl_options
from spm.corpus.fetching.parts import InFragments, Limits, PartFailed
from spm.corpus.fetching.store import (
    MediaRecord,
    commit,
    discard,
    lock_path,
    look_up,
    part_name,
    partial_folder,
    save,
)
from spm.corpus.fetching.task import RESULT, TASK, Result, Task
from spm.corpus.media import forks
from spm.corpus.media.contents import Unusable
from spm.corpus.media.probe import contents, probe_in_subprocess
from spm.corpus.windows import Window

HELPER = "spm.corpus.fetching.attempt"  # main module of the process that forks the attempts
# Faults of this machine: no space left, quota exceeded, file too large, read-only file system.
MACHINE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
FINAL_FAILURES = (FetchStatus.GONE, FetchStatus.BLOCKED, FetchStatus.BAD)
MOST_LATE_S = 0.05  # that a part may start after its window
READ_PAGES_S = 300  # for the pages of one video, before its media are requested


def attempt(request: Any) -> Any:
    """Try to download a video once; `TASK` reads the request, and `RESULT` the result."""
    task: Task = TASK.validate_python(request)
    try:
        with locked(lock_path(task.store, task.record.video_id)):
            result = _attempt(task)
    except Timeout:
        result = Result(busy=True)
    except UserError as error:
        result = Result(fault=str(error))
    except OSError as error:
        result = Result(
            fault=f"store {task.store}: {error}: expected a writable folder with free space"
        )
    return RESULT.dump_python(result, mode="json")


def _attempt(task: Task) -> Result:
    """Use what another process has downloaded meanwhile, and download the rest."""
    stored = look_up(task.store, task.record, task.parts)
    if stored.complete:
        return Result(tuple(stored.records))
    result = _download(task, stored.missing)
    failed = next((record for record in result.records if record.status != FetchStatus.OK), None)
    if failed and failed.status in FINAL_FAILURES:
        discard(task.store, failed.video_id)
    if failed:
        save(task.store, failed)
    return result._replace(records=(*stored.records, *result.records))


def _download(task: Task, wanted: Sequence[Window]) -> Result:
    """Download the parts of a video, or all of it.

    Raises
    ------
    UserError
        When this machine can't store the media (no space, no permission).
    """
    record = task.record
    try:
        info = _request(task, wanted)
        return Result(tuple(_commit(task, info, wanted)))
    except PartFailed as error:
        extractors = (error.extractor,) if isinstance(error, InFragments) else ()
        return _download(task, ())._replace(in_fragments=extractors)
    except Exception as error:  # noqa: BLE001 (one of yt-dlp's extractors may raise anything)
        _check_machine(error, task.store)
        outcome = classify_error(error)
        failed = replace(record, status=outcome.status, reason=reason_of(error))
        return Result((failed,), outcome.throttled)


def _request(task: Task, wanted: Sequence[Window]) -> dict[str, Any]:
    """Extract and download; a left-over part of another file is removed, and not continued."""
    folder = partial_folder(task.store, task.record.video_id)
    config = task.config
    bounds = Limits(config.max_mb, config.give_up_s, config.timeout_s)
    remove_unfinished(folder)
    for _ in range(2):
        with (
            suppress(OtherFile),
            BoundedYoutubeDL(ydl_options(task, folder, wanted), bounds) as ydl,
        ):
            with _limited_extraction():
                found: dict[str, Any] = ydl.extract_info(task.record.address)
            return found
        discard(task.store, task.record.video_id)
    raise OtherFile


@contextmanager
def _limited_extraction() -> Iterator[None]:
    """End this process by a signal when it reads pages for too long.

    `BoundedYoutubeDL.dl` stops the clock when a download begins.
    """
    signal.alarm(READ_PAGES_S)
    try:
        yield
    finally:
        signal.alarm(0)


def _commit(task: Task, info: Mapping[str, Any], wanted: Sequence[Window]) -> list[MediaRecord]:
    """Check what was downloaded, and move it to its place in the store."""
    complete = replace(
        task.record,
        status=FetchStatus.OK,
        reason="",
        extractor=printable(info["extractor"].lower()),
    )
    downloads = info["requested_downloads"]
    if downloads[0].get("section_end") is None:
        path = Path(downloads[0]["filepath"])
        check_media(path, read_header)
        return [commit(task.store, complete, path)]
    found = [_part(complete, file, wanted[file["section_number"]]) for file in downloads]
    records = [commit(task.store, *pair) for pair in found]
    discard(task.store, task.record.video_id)
    return records


def _part(record: MediaRecord, file: Mapping[str, Any], part: Window) -> tuple[MediaRecord, Path]:
    """The record of a part, and its file, after a check that the part covers its window."""
    path = Path(file["filepath"])
    try:
        media = probe_in_subprocess(path, media_check.BOUNDS, contents)
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
    if isinstance(error, UserError):
        raise error
    message = str(error)
    for number in MACHINE_ERRORS:
        text = os.strerror(number)
        if f"[Errno {number}]" in message or text in message:
            raise UserError(f"store {folder}: {text}: expected space for the media") from error


def warm_up() -> None:
    """Prepare what each attempt would prepare anew: yt-dlp's extractors and their patterns."""
    plugins.load(())
    with YoutubeDL({"logger": LOG}) as ydl:
        for extractor in ydl._ies.values():
            extractor.suitable("https://localhost/")
        ydl.get_info_extractor("Generic")


if __name__ == "__main__":
    warm_up()
    forks.serve(attempt)
