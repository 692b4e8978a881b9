"""The contents of a media file, read by PyAV (pip's ffmpeg has no ffprobe).

python -m spm.corpus.media.probe film.mp4

prints them as JSON. Only first pictures are decoded. A file that crashes libav or exhausts memory
ends only a process that is forked for it.
"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import av

from spm.base.errors import UserError
from spm.base.statuses import VideoStatus
from spm.corpus.media import forks, formats, limits
from spm.corpus.media.contents import Media, Pictures, Sound, Unusable, join
from spm.corpus.media.describe import describe
from spm.corpus.media.edits import Piece
from spm.corpus.media.spans import MOST_SPANS, Span, find_spans

HELPER = "spm.corpus.media.probe"  # main module of the process that forks the readers
# A transport stream keeps a track whose PID changes under way; other formats ignore this option.
MERGE = {"merge_pmt_versions": "1"}


def probe_in_subprocess(
    path: Path, bounds: limits.Bounds, reader: forks.Reader | None = None
) -> Media:
    """Probe a file in a separate process with limits; `reader` may be `contents`.

    Raises
    ------
    Unusable
        As `probe` does, and with the status `unreadable` when the file crashes the process.
    UserError
        When the file exists but can't be opened, somebody stopped the process, or a process with a
        limit of processor time exceeds its limit of elapsed time.
    """
    _check(path)
    output, exit_status, timed_out = forks.ask_about(path, reader or HELPER, bounds)
    if timed_out and bounds.cpu_s:  # the file system does not answer
        raise UserError(
            f"{path}: not read within {bounds.time_s:g} s: expected a file system that answers; run"
            " again"
        )
    if timed_out or -exit_status == signal.SIGXCPU:
        reason = f"reading its header took more than {bounds.cpu_s or bounds.time_s:g} s"
        raise Unusable(VideoStatus.UNREADABLE, reason)
    if exit_status < 0:
        name = signal.Signals(-exit_status).name
        raise Unusable(VideoStatus.UNREADABLE, f"its header crashes libav ({name})")
    return _media(json.loads(output))


def _media(fields: dict[str, Any]) -> Media:
    """Read what `contents` returns."""
    if "status" in fields:
        raise Unusable(VideoStatus(fields["status"]), fields["reason"])
    for track in (fields["pictures"], fields["sound"]):
        if track:
            track["pieces"] = tuple(Piece(*piece) for piece in track["pieces"])
    pictures, sound = fields.pop("pictures"), fields.pop("sound")
    fields["joins_s"] = tuple(fields["joins_s"])
    fields["parts"] = tuple(map(_media, fields["parts"]))
    fields["span"] = fields["span"] and tuple(fields["span"])
    return Media(
        **fields,
        pictures=Pictures(**pictures) if pictures else None,
        sound=Sound(**sound) if sound else None,
    )


@contextmanager
def open_media(path: Path, span: Span | None = None) -> Iterator[av.container.InputContainer]:
    """An open file, or a span of one; each fault of it is `Unusable`, status `unreadable`."""
    try:
        with _open(path, span) as container:
            yield container
    except av.FFmpegError as error:
        raise Unusable(VideoStatus.UNREADABLE, str(error.strerror)) from error
    except MemoryError as error:
        reason = "its header needs more memory than is allowed"
        raise Unusable(VideoStatus.UNREADABLE, reason) from error
    except (ArithmeticError, ValueError) as error:  # numbers out of range, names that are not text
        raise Unusable(VideoStatus.UNREADABLE, f"its header: {error}") from error


def _open(path: Path, span: Span | None) -> av.container.InputContainer:
    name, options = formats.input_of(path, span)
    try:
        return av.open(name, options=options | MERGE)
    except (av.ArgumentError, av.InvalidDataError) as error:
        refused = isinstance(error, av.ArgumentError)  # libav's answer to another format
        reason = formats.describe(path) or (formats.REFUSED if refused else str(error.strerror))
        raise Unusable(VideoStatus.UNREADABLE, reason) from error


def probe(path: Path) -> Media:
    """Read a file's header, the time stamps of its packets, and its first picture.

    Raises
    ------
    Unusable
        With the status `missing`, `empty` or `unreadable`.
    UserError
        When the file exists but can't be opened.
    """
    _check(path)
    with open_media(path) as container:
        media = describe(container, path)
    if len(spans := find_spans(path, media.container)) > 1:
        media = _joined(path, spans, media)
    if not (media.pictures or media.sound):
        raise Unusable(VideoStatus.UNREADABLE, "contains neither pictures nor sound")
    return media


def _joined(path: Path, spans: list[Span], whole: Media) -> Media:
    """A file of several parts, up to the first that can't follow the parts before it.

    Where that is the first one, it is what libav makes of the `whole` file.
    """
    parts: list[Media] = []
    fault = "" if len(spans) <= MOST_SPANS else f"has {len(spans)} parts, of at most {MOST_SPANS}"
    for span in spans[:MOST_SPANS]:
        try:
            with open_media(path, span) as container:
                part = replace(describe(container, path), span=span)
            if end := _not_followed(parts[0] if parts else part, part):
                raise Unusable(VideoStatus.PARTIAL, end)
        except Unusable as error:
            start_s = sum(media.spread_s for media in parts)
            fault = f"its part from {start_s:.2f} s on: {error.reason}"
            break
        parts.append(part)
    return join(parts, fault) if parts else replace(whole, fault=whole.fault or fault)


def _not_followed(first: Media, part: Media) -> str:
    """Why a part can't follow the first one; empty if it can."""
    if not (part.pictures and part.sound):
        return "lacks pictures or sound"
    if first.pictures and first.pictures.colors != part.pictures.colors:
        return "has other colors"
    return ""


def _check(path: Path) -> None:
    """Raise an error when a file is missing, empty, or can't be opened."""
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise Unusable(VideoStatus.EMPTY, "zero bytes")
    except FileNotFoundError as error:
        raise Unusable(VideoStatus.MISSING, "was fetched, but is not in the store now") from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): expected a video file"
        ) from error


def contents(path: str) -> dict[str, Any]:
    """The contents of a file, or why it is not usable, as `_media` reads them."""
    try:
        return asdict(probe(Path(path)))
    except Unusable as error:
        return {"status": error.status, "reason": error.reason}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(contents(sys.argv[1])))
    else:
        forks.serve(contents)
