"""Synthesis of the sounds of the embedded corpus, by family of instruments.

Sustained tones (bowed, blown, reeds) read a table of one period. Its spectrum is shaped by the
formants of the body and becomes brighter with loudness. Plucked tones are Karplus–Strong strings
(Computer Music Journal 7(2), 1983). Struck tones are decaying modes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spm.demo.voices import Note, Voice, level

Rng = np.random.Generator
Floats = NDArray[np.float64]

TABLE = 2048  # samples of one period
DECAY_S = 0.2  # decay of a plucked string, in addition to the loss of its brightness
RING_S = 0.6  # a plucked string sounds for this time after its note
PLUCK_SMOOTHINGS = 24  # times that the first displacement of a string is smoothed
NYQUIST_SHARE = 0.42  # of the sample rate: highest frequency of a partial


def hertz(pitch: float) -> float:
    """Frequency of a MIDI number, in Hz."""
    return float(440 * 2 ** ((pitch - 69) / 12))


def _spectrum(voice: Voice, pitch_hz: float, rolloff: float, rate: int) -> Floats:
    """Amplitudes of the partials 1, 2, … of a tone, shaped by the formants of the body."""
    k = np.arange(1, min(TABLE // 2 - 1, max(2, int(NYQUIST_SHARE * rate / pitch_hz))))
    body = voice.floor + np.zeros(len(k))
    for centre_hz, width_hz, gain in voice.formants:
        body += gain * np.exp(-(((k * pitch_hz - centre_hz) / width_hz) ** 2))
    return np.asarray(k**-rolloff * body * np.where(k % 2, 1, voice.even))


def _table(amplitudes: Floats) -> Floats:
    """One period of a tone of unit level, from the amplitudes of its partials."""
    bins = np.zeros(TABLE // 2 + 1, complex)
    phases = np.pi * np.arange(len(amplitudes)) ** 2 / len(amplitudes)  # Schroeder's: a low peak
    bins[1 : len(amplitudes) + 1] = amplitudes * np.exp(1j * phases)
    wave = np.fft.irfft(bins, TABLE)
    return np.asarray(wave / np.sqrt((wave**2).mean()))


def _envelope(note: Note, voice: Voice, time_s: Floats) -> Floats:
    """Loudness of a sustained note: attack, a slow swell, release."""
    rise = np.clip(time_s / voice.attack_s, 0, 1)
    fall = np.clip((note.duration_s - time_s) / voice.release_s, 0, 1)
    swell = 0.8 + 0.2 * np.sin(np.pi * np.clip(time_s / note.duration_s, 0, 1))
    return np.asarray(note.loudness * rise * fall * swell)


def _bend(voice: Voice, time_s: Floats, phase: float) -> Floats:
    """Deviation from a note's pitch in semitones: a slide up to it, then vibrato."""
    rate_hz, depth_cents = voice.vibrato
    wave = np.sin(2 * np.pi * rate_hz * time_s + phase)
    vibrato = depth_cents / 100 * wave * np.clip(time_s / 0.2, 0, 1)
    return np.asarray(vibrato - voice.slide * np.exp(-time_s / 0.05))


def _sustained(note: Note, voice: Voice, rng: Rng, rate: int) -> Floats:
    """Play a bowed or blown tone: two tables, a soft and a bright one, mixed by loudness."""
    time_s = np.arange(int(note.duration_s * rate)) / rate
    envelope, bend = _envelope(note, voice, time_s), _bend(voice, time_s, rng.uniform(0, 2 * np.pi))
    half_cents = voice.detune_cents / 200  # of two reeds: each is half the interval away
    detunes = (-half_cents, half_cents) if voice.detune_cents else (0.0,)
    sound = np.zeros(len(time_s))
    for interval in voice.chord:
        pitch_hz = hertz(note.pitch + interval)
        soft = _table(_spectrum(voice, pitch_hz, voice.rolloff + voice.brightness, rate))
        bright = _table(_spectrum(voice, pitch_hz, voice.rolloff, rate))
        for detune in detunes:
            periods = np.cumsum(pitch_hz * 2 ** ((bend + detune) / 12)) / rate + rng.random()
            indices = (periods * TABLE).astype(np.int64) % TABLE
            sound += soft[indices] + (bright[indices] - soft[indices]) * envelope
    flutter = 1 - voice.growl[1] * (
        0.5 + 0.5 * np.sin(2 * np.pi * (voice.growl[0] * time_s + rng.random()))
    )
    return np.asarray(sound * envelope * flutter)


def _pluck(period: int, rng: Rng) -> Floats:
    """First displacement of a string plucked by a finger at a fifth of its length, (period,)."""
    string = rng.uniform(-1, 1, period)
    for _ in range(PLUCK_SMOOTHINGS):
        string = 0.5 * (string + np.roll(string, 1))
    string -= np.roll(string, max(1, period // 5))
    return np.asarray(string / np.abs(string).max())


def _plucked(note: Note, rng: Rng, rate: int) -> Floats:
    """Play a plucked string: a delay line of one period, with a low-pass filter in the loop."""
    period = round(rate / hertz(note.pitch))
    loss = np.exp(-period / rate / DECAY_S)
    rounds = [note.loudness * _pluck(period, rng)]
    for _ in range(int((note.duration_s + RING_S) * rate) // period):
        rounds.append(loss * 0.5 * (rounds[-1] + np.roll(rounds[-1], 1)))
    return np.concatenate(rounds)


def _struck(note: Note, rng: Rng, rate: int) -> Floats:
    """Play a wooden bar: modes at 1, 3 and 6.1 times the pitch decay fast; the mallet clicks."""
    time_s = np.arange(int(0.45 * rate)) / rate
    pitch_hz = hertz(note.pitch)
    sound = np.zeros(len(time_s))
    for ratio, gain, decay_s in ((1.0, 1.0, 0.16), (3.0, 0.45, 0.06), (6.1, 0.25, 0.03)):
        if ratio * pitch_hz < NYQUIST_SHARE * rate:
            shorter = (pitch_hz + 300) / 1000  # small bars decay faster
            sound += (
                gain
                * np.exp(-time_s * shorter / decay_s)
                * np.sin(2 * np.pi * ratio * pitch_hz * time_s)
            )
    click = 0.5 * rng.normal(size=len(time_s)) * np.exp(-time_s / 0.004)
    return note.loudness * (sound + click)


def _colored(rng: Rng, samples: int, rate: int, centre_hz: float, octaves: float) -> Floats:
    """Noise of unit level around a frequency, `octaves` wide on either side."""
    hz = np.fft.rfftfreq(samples, 1 / rate).clip(20)
    spectrum = np.fft.rfft(rng.normal(size=samples)) * np.exp(
        -0.5 * (np.log2(hz / centre_hz) / octaves) ** 2
    )
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(noise / np.sqrt((noise**2).mean()))


def _tone(note: Note, voice: Voice, rng: Rng, rate: int) -> Floats:
    """Play one note, by the family of the voice; shape (samples,)."""
    if voice.family == "plucked":
        return _plucked(note, rng, rate)
    if voice.family == "struck":
        return _struck(note, rng, rate)
    return _sustained(note, voice, rng, rate)


def play(voice: Voice, notes: Sequence[Note], rng: Rng, rate: int, length_s: float) -> Floats:
    """Play a melody.

    Parameters
    ----------
    voice : Voice
        The instrument.
    notes : sequence of Note
        The melody; tones that last longer than the scene are cut at its end.
    rng : Generator
        Phases and noises.
    rate : int
        Samples per second.
    length_s : float
        Length of the scene.

    Returns
    -------
    Floats, shape (samples,)
        Mono, of any level.
    """
    sound = np.zeros(round(length_s * rate))
    for note in notes:
        tone = _tone(note, voice, rng, rate)
        start = int(note.start_s * rate)
        sound[start : start + len(tone)] += tone[: len(sound) - start]
    if voice.breath:
        held = level(notes, np.arange(len(sound)) / rate)
        sound += voice.breath * held * _colored(rng, len(sound), rate, voice.breath_hz, 0.7)
    return sound


def room(sound: Floats, rng: Rng, rate: int, level_db: float) -> Floats:
    """Add the sound of a room: a short reverberation, some noise, and a level.

    Parameters
    ----------
    sound : Floats, shape (samples,)
        Mono.
    rng : Generator
        Echoes and noise.
    rate : int
        Samples per second.
    level_db : float
        Root mean square of the result, in dB relative to full scale, before a limiter keeps it
        within ±1.
    """
    time_s = np.arange(int(0.3 * rate)) / rate
    tail = rng.normal(size=len(time_s)) * np.exp(-time_s / rng.uniform(0.02, 0.05))
    echo = np.concatenate([[1.0], rng.uniform(0.05, 0.25) * tail[1:] / np.sqrt((tail**2).sum())])
    bins = 1 << (len(sound) + len(echo)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(sound, bins) * np.fft.rfft(echo, bins), bins)[: len(sound)]
    wet /= max(np.sqrt((wet**2).mean()), 1e-9)
    noise = _colored(rng, len(sound), rate, rng.uniform(200, 400), 2.0)
    noise = noise * 10 ** (rng.uniform(-62, -54) / 20)
    return np.asarray(np.tanh((wet + noise) * 10 ** (level_db / 20)))
