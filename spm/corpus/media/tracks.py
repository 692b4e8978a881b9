"""The track of pictures and the track of sound that a player would choose."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from spm.base.statuses import VideoStatus
from spm.corpus.media.contents import Unusable
from spm.corpus.media.packets import Clock

AnyStream = TypeVar("AnyStream", AudioStream, VideoStream)
Programs = Mapping[int, frozenset[int]]  # PIDs by the number of the programme
COVER = Disposition.attached_pic  # album covers are stored as video tracks
# Tracks that accompany others: commentary, audio description, karaoke; thumbnails, layers.
SECONDARY = (
    Disposition.comment
    | Disposition.karaoke
    | Disposition.lyrics
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.clean_effects
    | Disposition.descriptions
    | Disposition.non_diegetic
    | Disposition.timed_thumbnails
    | Disposition.still_image
    | Disposition.dependent
)
MOST_CANDIDATES = 16  # tracks of a kind that are looked at


def candidates(streams: Sequence[AnyStream], name: str) -> list[AnyStream]:
    """The tracks that can be decoded, the best first.

    The order is: tracks for themselves before those that accompany others, tracks that are marked
    as default before others, and then the order of the file.
    """
    decodable = [stream for stream in streams if stream.codec_context]
    if streams and not decodable:
        raise Unusable(VideoStatus.UNREADABLE, f"no decoder for its {name}")
    return sorted(decodable, key=_rank)[:MOST_CANDIDATES]


def _rank(stream: AnyStream) -> tuple[bool, bool, int]:
    marks = stream.disposition
    return bool(marks & SECONDARY), not marks & Disposition.default, stream.index


def films(container: InputContainer) -> list[VideoStream]:
    """Candidates of the pictures; album covers are none."""
    shown = [stream for stream in container.streams.video if not stream.disposition & COVER]
    return candidates(shown, "pictures")


def choose_moving(streams: Sequence[AnyStream], clocks: Mapping[int, Clock]) -> list[AnyStream]:
    """Without the tracks that have one picture or nothing, where others have more."""
    moving = [stream for stream in streams if clocks[stream.index].packets > 1]
    return moving or list(streams)


def choose(
    videos: Sequence[VideoStream], audios: Sequence[AudioStream], programs: Programs
) -> tuple[VideoStream | None, AudioStream | None, int | None]:
    """The first track of pictures, the first track of sound of its programme, and its number.

    A programme with sound and pictures comes before one with pictures only.
    """
    with_sound = {stream.id for stream in audios}
    video = min(videos, key=lambda s: not with_sound & _fellows(s, programs)[1], default=None)
    if video is None:
        return None, next(iter(audios), None), None
    program, fellows = _fellows(video, programs)
    own = [stream for stream in audios if not fellows or stream.id in fellows]
    return video, next(iter(own), None), program


def _fellows(video: VideoStream, programs: Programs) -> tuple[int | None, frozenset[int]]:
    """Number and PIDs of the programme of a track; without programmes, none."""
    own = (item for item in programs.items() if video.id in item[1])
    return next(own, (None, frozenset()))
