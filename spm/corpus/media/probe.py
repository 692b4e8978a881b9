"""The contents of a media file, read by PyAV without decoding (pip's ffmpeg has no ffprobe).

python -m spm.corpus.media.probe film.mp4

prints them as JSON. A file that crashes libav or exhausts memory ends only this process.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from spm.base.errors import UserError
from spm.base.statuses import VideoStatus
from spm.corpus.media import limits

ROOT = Path(__file__).parents[3]
STOP_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TS_DISCONT = 0x0200  # libavformat's AVFMT_TS_DISCONT
AnyStream = TypeVar("AnyStream", AudioStream, VideoStream)


class Unusable(Exception):
    """A file without usable media: its status in the table of videos, and the reason."""

    def __init__(self, status: VideoStatus, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Pictures:
    """The video track that is used."""

    stream: int  # its number in the file
    width: int  # px, as stored: before rotation
    height: int
    fps: float | None  # mean rate
    rotation_deg: int  # counter-clockwise, as players apply it


@dataclass(frozen=True)
class Sound:
    """The audio track that is used."""

    stream: int
    rate_hz: int
    channels: int


@dataclass(frozen=True)
class Media:
    """The clock of a file and its two tracks; None for a track that is missing."""

    start_s: float  # the earliest time stamp of the used tracks
    jumps: bool  # a broadcast format, whose clock starts at any time and may be reset
    length_s: float | None  # as stated by the container
    pictures: Pictures | None
    sound: Sound | None


def probe_in_subprocess(path: Path, bounds: limits.Bounds) -> Media:
    """Probe a file in a separate process with limits.

    Raises
    ------
    Unusable
        As `probe` does, and with the status `unreadable` when the file crashes the process.
    UserError
        When the file exists but can't be opened, or somebody stopped the process.
    """
    _check(path)
    command = [sys.executable, "-m", "spm.corpus.media.probe", str(path.absolute())]
    try:
        done = limits.run_limited(command, bounds, {**os.environ, "PYTHONPATH": str(ROOT)})
    except limits.Timeout as error:
        raise Unusable(VideoStatus.UNREADABLE, f"reading its header {error}") from error
    if -done.returncode in STOP_SIGNALS:
        raise UserError(
            f"{path}: the process that read its header was stopped from outside: run again; if it"
            " happens again, with more memory"
        )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise Unusable(VideoStatus.UNREADABLE, f"its header crashes libav ({name})")
    if done.returncode:
        raise RuntimeError(f"{path}: {done.stderr.decode(errors='replace')}")
    return _media(json.loads(done.stdout))


def _media(fields: dict[str, Any]) -> Media:
    """Read the JSON that `main` prints."""
    if "status" in fields:
        raise Unusable(VideoStatus(fields["status"]), fields["reason"])
    pictures, sound = fields.pop("pictures"), fields.pop("sound")
    return Media(
        **fields,
        pictures=Pictures(**pictures) if pictures else None,
        sound=Sound(**sound) if sound else None,
    )


def probe(path: Path) -> Media:
    """Read a file's header, and its first picture for the rotation.

    Raises
    ------
    Unusable
        With the status `missing`, `empty` or `unreadable`.
    UserError
        When the file exists but can't be opened.
    """
    _check(path)
    try:
        # A playlist named like a video could otherwise make ffmpeg open other files or addresses.
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
            media = _describe(container)
    except av.FFmpegError as error:
        raise Unusable(VideoStatus.UNREADABLE, str(error.strerror)) from error
    except MemoryError as error:
        reason = "its header needs more memory than is allowed"
        raise Unusable(VideoStatus.UNREADABLE, reason) from error
    except (ArithmeticError, ValueError) as error:  # numbers out of range, names that are not text
        raise Unusable(VideoStatus.UNREADABLE, f"its header: {error}") from error
    if not (media.pictures or media.sound):
        raise Unusable(VideoStatus.UNREADABLE, "contains neither pictures nor sound")
    return media


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


def _describe(container: InputContainer) -> Media:
    covers = Disposition.attached_pic  # album covers are stored as video tracks
    films = [s for s in container.streams.video if not s.disposition & covers]
    video, audio = _choose(films, "pictures"), _choose(container.streams.audio, "sound")
    return Media(
        start_s=(container.start_time or 0) / av.time_base,
        jumps=bool(container.format.flags & TS_DISCONT),
        length_s=container.duration / av.time_base if container.duration else None,
        pictures=_pictures(container, video) if video else None,
        sound=_sound(audio) if audio else None,
    )


def _choose(streams: Sequence[AnyStream], name: str) -> AnyStream | None:
    """The track that is marked as default, or else the first."""
    decodable = [stream for stream in streams if stream.codec_context]
    if streams and not decodable:
        raise Unusable(VideoStatus.UNREADABLE, f"no decoder for its {name}")
    default = Disposition.default
    return min(decodable, key=lambda s: (not s.disposition & default, s.index), default=None)


def _pictures(container: InputContainer, stream: VideoStream) -> Pictures:
    return Pictures(
        stream=stream.index,
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        fps=float(stream.average_rate) if stream.average_rate else None,
        rotation_deg=_rotation(container, stream),
    )


def _sound(stream: AudioStream) -> Sound:
    return Sound(stream.index, stream.codec_context.sample_rate, stream.codec_context.channels)


def _rotation(container: InputContainer, stream: VideoStream) -> int:
    stream.codec_context.thread_count = 1
    try:
        return next((frame.rotation for frame in container.decode(stream)), 0)
    except av.FFmpegError:
        return 0  # ffmpeg will report the damage, and may still decode later pictures


def main(path: Path) -> None:
    """Print the contents of a file, or why it is not usable."""
    try:
        fields = asdict(probe(path))
    except Unusable as error:
        fields = {"status": error.status, "reason": error.reason}
    print(json.dumps(fields))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
