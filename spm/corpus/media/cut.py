"""Two streams, pictures and sound, cut into clips of one second; pure, whatever pieces the streams come in."""

from collections.abc import Iterable, Iterator

import numpy as np

RATE_HZ = 16_000
SECOND_BYTES = 2 * RATE_HZ  # int16
SILENCE_DB = -120.0  # the level of digital silence


def split_pictures(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Split ffmpeg's `mpjpeg` stream into JPEG pictures, by the lengths it states; an unfinished one is dropped."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while (head := held.find(b"\r\n\r\n")) >= 0:
            end = head + 4 + int(held[:head].lower().split(b"content-length:")[1].split()[0])
            if len(held) < end:
                break
            yield bytes(held[head + 4 : end])
            del held[: end + 2]  # and the line break behind it


def split_sound(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Split 16 kHz mono int16 sound into whole seconds; what is left at the end is dropped."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= SECOND_BYTES:
            yield bytes(held[:SECOND_BYTES])
            del held[:SECOND_BYTES]


def cut(
    pictures: Iterable[bytes], sound: Iterable[bytes], frames_per_clip: int
) -> Iterator[tuple[tuple[bytes, ...], bytes]]:
    """Cut two streams of any chunking into clips: as many as have all their frames and all their samples.

    Parameters
    ----------
    pictures, sound : iterable of bytes
        Chunks of ffmpeg's `mpjpeg` and of its `s16le` output.
    frames_per_clip : int
        How many pictures make a clip.

    Yields
    ------
    tuple
        The clip's JPEG frames, and its sound: 16,000 samples, int16 little endian.
    """
    frames = split_pictures(pictures)
    yield from zip(zip(*[frames] * frames_per_clip, strict=False), split_sound(sound), strict=False)


def level_db(pcm: bytes) -> float:
    """Level of int16 sound: 20·log10 of its root mean square, in dB re full scale, at least -120."""
    power = float(np.mean(np.square(np.frombuffer(pcm, "<i2") / 32768)))
    return float(10 * np.log10(max(power, 10 ** (SILENCE_DB / 10))))
