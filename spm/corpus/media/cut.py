"""Two streams, pictures and sound, cut into clips of one second; chunks may have any size."""

from collections.abc import Iterable, Iterator

import numpy as np

from spm.base.constants import CLIP_S, PCM_SCALE, SAMPLE_BYTES, SAMPLE_RATE_HZ

CLIP_BYTES = round(CLIP_S * SAMPLE_RATE_HZ) * SAMPLE_BYTES  # of a clip's sound
SILENCE_DB = -120.0  # level of digital silence


def split_pictures(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Split ffmpeg's `mpjpeg` stream into JPEG files.

    Each JPEG has a header with its length. A last, incomplete JPEG is dropped.
    """
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while (header_end := buffer.find(b"\r\n\r\n")) >= 0:
            header = buffer[:header_end].lower()
            start = header_end + 4
            end = start + int(header.split(b"content-length:")[1].split()[0])
            if len(buffer) < end:
                break
            yield bytes(buffer[start:end])
            del buffer[: end + 2]  # also the line break after the JPEG


def place(packets: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Join packets of int16 sound by the numbers of their first samples.

    Gaps become silence. Where packets overlap, the earlier packet is kept.
    """
    end = 0  # sample after the last
    for start, pcm in packets:
        while start > end:
            samples = min(start - end, SAMPLE_RATE_HZ)
            yield bytes(samples * SAMPLE_BYTES)
            end += samples
        if rest := pcm[(end - start) * SAMPLE_BYTES :]:
            yield rest
            end += len(rest) // SAMPLE_BYTES


def split_sound(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Split 16 kHz mono int16 sound into clips; an incomplete one at the end is dropped."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= CLIP_BYTES:
            yield bytes(buffer[:CLIP_BYTES])
            del buffer[:CLIP_BYTES]


def cut(
    pictures: Iterable[bytes], sound: Iterable[bytes], frames_per_clip: int
) -> Iterator[tuple[tuple[bytes, ...], bytes]]:
    """Cut two streams into clips, as long as all frames and all samples of a clip are there.

    Parameters
    ----------
    pictures, sound : iterable of bytes
        Chunks of ffmpeg's `mpjpeg` output and of its `s16le` output.
    frames_per_clip : int
        Number of frames per clip.

    Yields
    ------
    tuple
        The clip's JPEG frames, and its sound: 16,000 samples, int16, little endian.
    """
    frames = split_pictures(pictures)
    groups = zip(*[frames] * frames_per_clip, strict=False)  # one iterator, n frames at a time
    yield from zip(groups, split_sound(sound), strict=False)


def level_db(pcm: bytes) -> float:
    """Level of int16 sound, in dB relative to full scale, at least -120.

    It is 20·log10 of the standard deviation: a constant is not audible.
    """
    power = float(np.var(np.frombuffer(pcm, "<i2") * PCM_SCALE))
    return float(10 * np.log10(max(power, 10 ** (SILENCE_DB / 10))))
