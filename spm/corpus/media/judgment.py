"""The status of a decoded video: what was decoded, compared with what the file states."""

from typing import Any, NamedTuple

from spm.base.constants import SAMPLE_RATE_HZ
from spm.base.statuses import VideoStatus
from spm.corpus.media.contents import Sound
from spm.corpus.media.decode import Extent
from spm.corpus.media.temporary import Measured

SHORTFALL_S = 1.0  # a file that ends this much before its stated end is incomplete
OFF_S = 1.0  # by which a decoded track may be shorter or longer than its time stamps say


class Lengths(NamedTuple):
    """Lengths in s, as a file states them; 0 where it states none."""

    stated_s: float  # by the container
    pictures_s: float  # by the time stamps
    sound_s: float

    def within(self, part: Extent) -> "Lengths":
        """The lengths of what the part has of each track."""
        rest = (max(length_s - part.start_s, 0.0) for length_s in self)
        return Lengths(*(min(length_s, part.length_s or length_s) for length_s in rest))


def judge(facts: dict[str, Any], lengths: Lengths, code: int, message: str) -> dict[str, str]:
    """The status of a decoded video.

    Parameters
    ----------
    facts : dict
        The result of decoding: `video_s`, `audio_s` and `clips`.
    lengths : Lengths
        What the file states.
    code : int
        ffmpeg's exit status.
    message : str
        The first line of ffmpeg's messages; or, after a success, what is wrong with a track.

    Returns
    -------
    dict
        `status` (ok, partial, short or unreadable) and `reason`.
    """
    video_s, audio_s = facts["video_s"], facts["audio_s"]
    status, reason = VideoStatus.OK, ""
    if code:
        status = VideoStatus.PARTIAL if facts["clips"] else VideoStatus.UNREADABLE
        reason = message
    elif not (video_s and audio_s):
        status = VideoStatus.UNREADABLE
        reason = f"no {'sound' if video_s else 'picture'} could be decoded"
    elif not facts["clips"]:
        status = VideoStatus.SHORT
        reason = f"{video_s:.2f} s of pictures, {audio_s:.2f} s of sound"
    elif reason := _mismatch(video_s, audio_s, lengths) or message:
        status = VideoStatus.PARTIAL
    return {"status": status, "reason": reason}


def _mismatch(video_s: float, audio_s: float, lengths: Lengths) -> str:
    """How the decoded tracks differ from what the file states; empty where they do not."""
    if (length_s := max(video_s, audio_s)) < lengths.stated_s - SHORTFALL_S:
        return f"ends after {length_s:.2f} s of the stated {lengths.stated_s:.2f} s"
    tracks = (("pictures", video_s, lengths.pictures_s), ("sound", audio_s, lengths.sound_s))
    for name, decoded_s, stamped_s in tracks:
        if stamped_s and abs(decoded_s - stamped_s) > OFF_S:
            return (
                f"{decoded_s:.2f} s of {name} were decoded; their time stamps say {stamped_s:.2f} s"
            )
    return ""


def silenced(sound: Sound, measured: Measured, part: Extent) -> str:
    """How much sound could not be decoded, in a file that is used as a whole; empty for none."""
    played_s = measured.played / SAMPLE_RATE_HZ
    whole = not part.start_s and (part.length_s is None or sound.length_s < part.length_s)
    expected_s = min(sound.packets_s, sound.length_s)
    if not whole or sound.pieces or played_s > expected_s - OFF_S:
        return ""
    return f"{played_s:.2f} s of its {expected_s:.2f} s of sound were decoded"
