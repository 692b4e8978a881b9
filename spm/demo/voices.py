"""Voices of the eleven instruments, their melodies, and the gestures that follow the notes."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Floats = NDArray[np.float64]

SCALES = (  # in semitones
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 4, 7, 9),
    (0, 3, 5, 7, 10),
)
SHORT_REST = 0.02  # share of the notes with a rest behind them
LONG_REST = 0.05  # share of the scenes whose second half is silent


class Note(NamedTuple):
    """One tone of a melody."""

    start_s: float
    duration_s: float
    pitch: float  # MIDI number: 69 is a' at 440 Hz
    loudness: float  # 0..1


class Voice(NamedTuple):
    """The sound of one instrument, and the range of its melodies."""

    family: Literal["sustained", "plucked", "struck"]
    low: int  # MIDI numbers of the range it plays in
    high: int
    beat_s: tuple[float, float]  # shortest and longest unit of its melodies
    rolloff: float = 1.0  # the amplitude of partial k is proportional to k^−rolloff
    even: float = 1.0  # factor of the even partials
    formants: tuple[tuple[float, float, float], ...] = ()  # centre in Hz, width in Hz, gain
    floor: float = 0.3  # factor of the spectrum outside the formants
    attack_s: float = 0.04
    release_s: float = 0.08
    vibrato: tuple[float, float] = (0, 0)  # Hz, cents
    slide: float = 0  # a note begins so many semitones too low
    growl: tuple[float, float] = (0, 0)  # Hz and depth of a modulation of the loudness
    breath: float = 0  # level of noise, relative to the tone
    breath_hz: float = 3000  # centre of that noise
    brightness: float = 0.5  # full loudness reduces the rolloff by this
    chord: tuple[int, ...] = (0,)  # intervals in semitones that sound together
    detune_cents: float = 0  # between the two reeds of a note


VOICES = {
    "accordion": Voice(
        "sustained",
        low=57,
        high=69,
        beat_s=(0.45, 0.8),
        rolloff=0.25,
        even=0.9,
        formants=((900, 500, 0.8), (2600, 900, 0.9), (5600, 2000, 1.2)),
        floor=0.3,
        release_s=0.02,
        growl=(5.5, 0.2),
        brightness=0.1,
        chord=(-12, 0, 4, 7),
        detune_cents=11,
    ),
    "acoustic_guitar": Voice("plucked", low=40, high=64, beat_s=(0.18, 0.35)),
    "cello": Voice(
        "sustained",
        low=36,
        high=52,
        beat_s=(0.3, 0.7),
        rolloff=0.8,
        formants=((240, 130, 1.0), (480, 180, 0.9), (900, 250, 0.35)),
        floor=0.02,
        attack_s=0.08,
        release_s=0.1,
        vibrato=(5, 22),
        breath=0.036,
        breath_hz=1000,
        brightness=0.3,
    ),
    "clarinet": Voice(
        "sustained",
        low=60,
        high=77,
        beat_s=(0.16, 0.5),
        rolloff=0.5,
        even=0.02,
        formants=((600, 400, 0.5), (1600, 450, 1.0)),
        floor=0.02,
        attack_s=0.03,
        release_s=0.05,
        breath=0.006,
        brightness=0.3,
    ),
    "erhu": Voice(
        "sustained",
        low=62,
        high=74,
        beat_s=(0.3, 0.7),
        rolloff=0.2,
        formants=((1250, 220, 1.6), (2500, 200, 0.35)),
        floor=0.012,
        attack_s=0.06,
        release_s=0.1,
        vibrato=(6.5, 60),
        slide=2.0,
        breath=0.012,
        breath_hz=1500,
        brightness=0.3,
    ),
    "flute": Voice(
        "sustained",
        low=79,
        high=96,
        beat_s=(0.15, 0.5),
        rolloff=3.0,
        even=0.6,
        formants=(),
        floor=1.0,
        attack_s=0.05,
        release_s=0.07,
        vibrato=(5, 14),
        breath=0.045,
        breath_hz=2500,
        brightness=0.2,
    ),
    "saxophone": Voice(
        "sustained",
        low=53,
        high=69,
        beat_s=(0.18, 0.5),
        rolloff=0.4,
        formants=((720, 200, 1.2), (1350, 350, 1.2), (2800, 400, 0.25)),
        floor=0.02,
        attack_s=0.03,
        release_s=0.05,
        vibrato=(4.5, 28),
        slide=0.7,
        growl=(31, 0.45),
        breath=0.03,
        breath_hz=2600,
        brightness=0.3,
    ),
    "trumpet": Voice(
        "sustained",
        low=62,
        high=79,
        beat_s=(0.15, 0.45),
        rolloff=0.3,
        formants=((1500, 600, 0.9), (2900, 1000, 1.3)),
        floor=0.05,
        attack_s=0.025,
        release_s=0.04,
        vibrato=(5, 8),
        brightness=0.8,
    ),
    "tuba": Voice(
        "sustained",
        low=29,
        high=44,
        beat_s=(0.25, 0.6),
        rolloff=1.1,
        formants=((150, 130, 1.4),),
        floor=0.012,
        attack_s=0.06,
        release_s=0.08,
        breath=0.012,
        breath_hz=300,
        brightness=0.25,
    ),
    "violin": Voice(
        "sustained",
        low=72,
        high=90,
        beat_s=(0.14, 0.45),
        rolloff=0.3,
        formants=((1200, 400, 0.5), (3200, 900, 1.3), (6000, 1800, 1.3)),
        floor=0.15,
        attack_s=0.05,
        release_s=0.06,
        vibrato=(6, 30),
        breath=0.09,
        breath_hz=6500,
        brightness=0.2,
    ),
    "xylophone": Voice("struck", low=76, high=100, beat_s=(0.11, 0.22)),
}


def melody(voice: Voice, rng: Rng, length_s: float) -> list[Note]:
    """Make a melody: a random walk on a scale at one tempo, with rests.

    No note lasts longer than the scene.
    """
    scale = SCALES[rng.integers(len(SCALES))]
    tonic, beat_s = int(rng.integers(12)), rng.uniform(*voice.beat_s)
    ladder = [pitch for pitch in range(voice.low, voice.high + 1) if (pitch - tonic) % 12 in scale]
    step, time_s = int(rng.integers(len(ladder))), float(rng.uniform(0, 0.08))
    notes: list[Note] = []
    end_s = length_s if rng.random() > LONG_REST else length_s / 2
    while time_s + 0.12 < end_s:
        duration_s = float(min(beat_s * rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1]), end_s - time_s))
        notes.append(Note(time_s, duration_s, ladder[step], float(rng.uniform(0.55, 1))))
        step = int(np.clip(step + rng.integers(-2, 3), 0, len(ladder) - 1))
        time_s += duration_s + (beat_s if rng.random() < SHORT_REST else 0)
    return notes


def sounding(notes: Sequence[Note], start_s: float, end_s: float) -> bool:
    """Whether a tone sounds for at least a tenth of a second between two times."""
    return any(
        min(end_s, note.start_s + note.duration_s) - max(start_s, note.start_s) >= 0.1
        for note in notes
    )


def level(notes: Sequence[Note], time_s: Floats) -> Floats:
    """Loudness of the notes that sound at each time, 0..1."""
    loudness = np.zeros(len(time_s))
    for note in notes:
        since = time_s - note.start_s
        held = np.clip(np.minimum(since, note.duration_s - since) / 0.05, 0, 1)
        loudness = np.maximum(loudness, note.loudness * held)
    return loudness


def hits(notes: Sequence[Note], time_s: Floats) -> Floats:
    """Motion of a mallet or hand at each time: 1 at the onset of a note, then decaying.

    Every second note moves to the other side.
    """
    swing = np.zeros(len(time_s))
    for number, note in enumerate(notes):
        since = time_s - note.start_s
        decay = np.where(since >= 0, np.exp(-since.clip(0) / 0.12), 0)
        swing += decay * note.loudness * (-1) ** number
    return swing.clip(-1, 1)


def strokes(notes: Sequence[Note], time_s: Floats) -> Floats:
    """Position of a bow, or of bellows, at each time, in [−1, 1]; it turns at the end of a note."""
    turns = [0.0, *(note.start_s + note.duration_s for note in notes)]
    return np.interp(time_s, turns, [(-1.0) ** number for number in range(len(turns))])
