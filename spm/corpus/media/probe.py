"""What a media file holds, asked of PyAV before anything is decoded (pip's ffmpeg brings no ffprobe).

python -m spm.corpus.media.probe film.mp4    as JSON; a file that breaks libav, or eats memory, breaks this process alone
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

from spm.base.config import UserError
from spm.corpus.media import limits

ROOT = Path(__file__).parents[3]
STOPS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TS_DISCONT = 0x0200  # libavformat's AVFMT_TS_DISCONT
AnyStream = TypeVar("AnyStream", AudioStream, VideoStream)


class Unusable(Exception):
    """A file that nothing can be had from: its status in the table of videos, and why."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Pictures:
    """The video track that counts."""

    stream: int  # its number in the file
    width: int  # px, as stored: before rotation
    height: int
    fps: float | None  # mean rate
    rotation_deg: int  # counter-clockwise, as players apply it


@dataclass(frozen=True)
class Sound:
    """The audio track that counts."""

    stream: int
    rate_hz: int
    channels: int


@dataclass(frozen=True)
class Media:
    """A file's clock and its two tracks; None where there is no such track."""

    start_s: float  # the earliest time stamp of what is seen or heard
    jumps: bool  # a format of broadcasts, whose clock starts anywhere and may be set anew
    length_s: float | None  # what the container promises
    pictures: Pictures | None
    sound: Sound | None


def probe_in_subprocess(path: Path, bounds: limits.Bounds) -> Media:
    """Probe a file in a process of its own.

    Raises
    ------
    Unusable
        As `probe` does, or with the status `unreadable` where the file took the process with it.
    UserError
        If the file is there but may not be read, or somebody stopped the process.
    """
    _check(path)
    command = [sys.executable, "-m", "spm.corpus.media.probe", str(path.absolute())]
    try:
        done = limits.run_limited(command, bounds, {**os.environ, "PYTHONPATH": str(ROOT)})
    except limits.Timeout as error:
        raise Unusable("unreadable", f"its header {error}") from error
    if -done.returncode in STOPS:
        raise UserError(
            f"{path}: reading its header was stopped from outside: run again, with more memory?"
        )
    if done.returncode < 0:
        raise Unusable(
            "unreadable", f"its header ends libav ({signal.Signals(-done.returncode).name})"
        )
    if done.returncode:
        raise RuntimeError(f"{path}: {done.stderr.decode(errors='replace')}")
    return _media(json.loads(done.stdout))


def _media(told: dict[str, Any]) -> Media:
    if "status" in told:
        raise Unusable(**told)
    pictures, sound = told.pop("pictures"), told.pop("sound")
    return Media(**told, pictures=pictures and Pictures(**pictures), sound=sound and Sound(**sound))


def probe(path: Path) -> Media:
    """Read a file's header, and its first picture for the rotation.

    Raises
    ------
    Unusable
        With the status `missing`, `empty` or `unreadable`.
    UserError
        If the file is there but may not be read.
    """
    _check(path)
    try:
        # A playlist under a video's name would otherwise send ffmpeg to other files, or to the network.
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
            media = _describe(container)
    except av.FFmpegError as error:
        raise Unusable("unreadable", str(error.strerror)) from error
    except MemoryError as error:
        raise Unusable("unreadable", "its header wants more memory than there is") from error
    except (
        ArithmeticError,
        ValueError,
    ) as error:  # of numbers that fit nowhere, of names that are no text
        raise Unusable("unreadable", f"its header: {error}") from error
    if not (media.pictures or media.sound):
        raise Unusable("unreadable", "holds neither pictures nor sound")
    return media


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise Unusable("empty", "zero bytes")
    except FileNotFoundError as error:
        raise Unusable("missing", "was fetched, but is no longer in the store") from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); expected a video file"
        ) from error


def _describe(container: InputContainer) -> Media:
    films = [
        s for s in container.streams.video if not s.disposition & Disposition.attached_pic
    ]  # no covers
    video, audio = _chosen(films, "pictures"), _chosen(container.streams.audio, "sound")
    return Media(
        start_s=(container.start_time or 0) / av.time_base,
        jumps=bool(container.format.flags & TS_DISCONT),
        length_s=container.duration / av.time_base if container.duration else None,
        pictures=_pictures(container, video) if video else None,
        sound=Sound(audio.index, audio.codec_context.sample_rate, audio.codec_context.channels)
        if audio
        else None,
    )


def _chosen(streams: Sequence[AnyStream], what: str) -> AnyStream | None:
    """Of several tracks, the one marked as default; else the first."""
    known = [s for s in streams if s.codec_context]
    if streams and not known:
        raise Unusable("unreadable", f"no decoder for its {what}")
    return min(
        known, key=lambda s: (not s.disposition & Disposition.default, s.index), default=None
    )


def _pictures(container: InputContainer, stream: VideoStream) -> Pictures:
    return Pictures(
        stream=stream.index,
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        fps=float(stream.average_rate) if stream.average_rate else None,
        rotation_deg=_rotation(container, stream),
    )


def _rotation(container: InputContainer, stream: VideoStream) -> int:
    stream.codec_context.thread_count = 1
    try:
        return next((frame.rotation for frame in container.decode(stream)), 0)
    except av.FFmpegError:
        return (
            0  # ffmpeg will say what is wrong with the pictures, and may still save the later ones
        )


def main(path: Path) -> None:
    """Print what a file holds, or why it is unusable."""
    try:
        told = asdict(probe(path))
    except Unusable as why:
        told = {"status": why.status, "reason": why.reason}
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
