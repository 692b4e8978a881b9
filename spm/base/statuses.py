"""Closed lists of values that several stages decide by; tables store the values as text."""

from enum import StrEnum


class FetchStatus(StrEnum):
    """The outcome of fetching a video."""

    OK = "ok"  # the media file is there
    RETRY = "retry"  # a later attempt may succeed
    BLOCKED = "blocked"  # age, country, login or payment is required
    BAD = "bad"  # there is no media file at this address
    GONE = "gone"  # removed or private


class VideoStatus(StrEnum):
    """The outcome of cutting a video into clips."""

    OK = "ok"
    PARTIAL = "partial"  # the file ends early, or decoding stopped; the clips before that are kept
    NO_AUDIO = "no-audio"
    NO_VIDEO = "no-video"
    SHORT = "short"  # no second is complete in both tracks
    UNREADABLE = "unreadable"
    EMPTY = "empty"  # a file of zero bytes
    MISSING = "missing"  # not fetched


class Downmix(StrEnum):
    """How the channels of the sound became one."""

    STANDARD = "standard"  # ffmpeg's weights for the layout
    FIRST = "first channel"  # of ambisonic sound: the sound from all directions
    MEAN = "mean of all channels"  # of an unknown layout
    DIFFERENCE = "left - right"  # of stereo with one channel inverted


class Kind(StrEnum):
    """How many sources of sound a video shows."""

    SOLO = "solo"
    DUET = "duet"
    ENSEMBLE = "ensemble"  # any number, three or more as a rule


class PretrainedBaseline(StrEnum):
    """A network that a run is compared with, and that no run has trained."""

    OBJECT_PRIOR = "object-prior"  # sees the picture only
    ZERO_SHOT = "zero-shot"  # sees the picture and hears the sound


class Split(StrEnum):
    """The use of a video: training, choice of the epoch, or test."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class PlayedSound(StrEnum):
    """The sound with which a test frame is shown to a network."""

    OWN = "own"
    SILENCE = "silence"
    WHITE_NOISE = "white-noise"
    PINK_NOISE = "pink-noise"  # its power falls with 1/f
    OFF_SCREEN = "off-screen"  # of a clip of other categories
    MIXED = "mixed"  # own and off-screen: the only one with a source in the frame besides own

    @property
    def is_negative(self) -> bool:
        """Whether nothing in the frame makes this sound."""
        return self not in (PlayedSound.OWN, PlayedSound.MIXED)


class NegativeUse(StrEnum):
    """What a frame with a negative sound is for."""

    TEST = "test"  # it is scored
    THRESHOLD = "threshold"  # the threshold of the run is chosen on it
