"""How many clips a second become log-mels, beside librosa clip by clip, with the same result.

python -m benchmarks.spectrograms [--clips 2048] [--rounds 5] [--threads 1]

Prints the rate of librosa's computation of the `dsol` preset, one clip at a time as DSOL published it; of `log_mel` on
batches as large as the stage's, exact and not; and of the whole stage, which reads the clips' table and writes that of
the spectrograms. They take turns; each figure is a median. Time is that of the processor with one thread, so that
neighbors on the machine do not count, and that of the clock with several. Also the largest deviation from librosa, of
noise, chords and near silence, in decibels. Target: 10 times librosa where config.yaml's float16 is stored.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import librosa
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from spm.base import schemas, tables
from spm.base.constants import HOP_SAMPLES, N_MELS, PCM_SCALE, SAMPLE_RATE_HZ
from spm.corpus.spectrograms import PRESETS, Spectrograms, log_mel, run

TARGET = 10
TOLERANCE_DB = {"exact": 1e-3, "float16": 0.05}
BATCH = 256  # rows that the stage reads at once


def published(pcm: np.ndarray) -> np.ndarray:
    """DSOL's preparation of one clip, (16000,) to (201, 64), with the calls that it makes."""
    n_fft, window, _, top_db = PRESETS["dsol"]
    spectrum = np.abs(
        librosa.stft(pcm, n_fft=n_fft, win_length=window, hop_length=HOP_SAMPLES, pad_mode="constant")
    )
    mel = librosa.feature.melspectrogram(S=spectrum, sr=SAMPLE_RATE_HZ, n_mels=N_MELS)
    return librosa.power_to_db(mel, top_db=top_db).T


def sounds(count: int) -> np.ndarray:
    """Noise, chords and near silence as 16-bit samples: (count, 16000)."""
    random = np.random.default_rng(0)
    time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    hertz = random.uniform(60, 7000, (count, 3, 1))
    chords = np.sin(2 * np.pi * hertz * time_s).mean(1)
    level = 10 ** random.uniform(-4, -0.5, (count, 1))
    noisy = level * (
        chords + random.uniform(0, 1, (count, 1)) * random.normal(size=(count, SAMPLE_RATE_HZ))
    )
    return (noisy.clip(-1, 1) * 32767).astype("<i2")


def write_clips(path: Path, pcm: np.ndarray) -> Path:
    """A clips table with these sounds and no pictures."""
    rows = [
        {"clip_id": f"v_{n:07d}", "video_id": "v", "pcm": sound.tobytes()}
        for n, sound in enumerate(pcm)
    ]
    tables.write_rows(path, schemas.CLIPS, rows)
    return path


def take_turns(
    works: Sequence[Callable[[], object]], clock: Callable[[], float], rounds: int
) -> list[list[float]]:
    """Seconds of each work in each round, after one round that doesn't count: (rounds, works)."""
    turns = [[_seconds(work, clock) for work in works] for _ in range(rounds + 1)]
    return turns[1:]


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start_s = clock()
    work()
    return clock() - start_s


def main() -> None:
    """Compare the rates, then the values."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=8 * BATCH)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    warnings.filterwarnings(
        "ignore", message="(?s).*(Empty filters|all zero values)"
    )  # two, as published
    torch.set_num_threads(given.threads)
    pcm = sounds(given.clips)
    floats = pcm * np.float32(PCM_SCALE)
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(given.threads):
        clips = write_clips(Path(scratch, "clips.parquet"), pcm)
        config = Spectrograms(dtype="float16")
        works = {
            "librosa, clip by clip": lambda: sum(len(published(clip)) for clip in floats),
            "log_mel, exact": lambda: sum(
                len(log_mel(part)) for part in torch.from_numpy(floats).split(BATCH)
            ),
            "log_mel, for float16": lambda: sum(
                len(log_mel(part, exact=False)) for part in torch.from_numpy(floats).split(BATCH)
            ),
            "the stage, to float16": lambda: run(
                config, clips=clips, out=Path(scratch, "out.parquet")
            ),
        }
        clock = time.process_time if given.threads == 1 else time.perf_counter
        turns = take_turns(list(works.values()), clock, given.rounds)
        wanted = np.stack([published(clip) for clip in floats])
    print(f"{given.clips} clips of 1 s, {given.rounds} rounds, {given.threads} thread(s)")
    for n, name in enumerate(works):
        took_s, ratio = (
            median(turn[n] for turn in turns),
            median(turn[0] / turn[n] for turn in turns),
        )
        print(f"{name:<24} {given.clips / took_s:8.0f} clips/s   {ratio:5.1f} × librosa")
    print(f"target: {TARGET} × for float16")
    for name, most in TOLERANCE_DB.items():
        off_db = np.abs(
            log_mel(torch.from_numpy(floats), exact=name == "exact").numpy() - wanted
        ).max()
        print(f"largest deviation, {name}: {off_db:.1e} dB of at most {most} dB")
        if off_db > most:
            raise SystemExit("the spectrograms are not those of librosa")


if __name__ == "__main__":
    main()
