"""Speed and accuracy of log-mel spectrograms, compared with librosa, one clip at a time.

python -m benchmarks.spectrograms [--clips 2048] [--rounds 5]

Librosa: the preset `dsol`, one clip per call, with the calls that DSOL published. Ours: `log_mel`
on batches of the stage's size, exact and for float16, and the whole stage, which reads the table of
clips and writes the table of spectrograms. They run in turn. Printed: the median clips per second
of CPU time and of wall time, and their ratios to librosa's. The stage has two threads: one
computes, the other reads and writes. Target: the stage, with the float16 of config.yaml, is 5 times
as fast as librosa in wall time, on two cores that nothing else uses.

Also printed: the largest deviation from librosa, in dB, on noise, chords and near silence. It is an
error if this is above 1e-3 dB (exact) or 0.05 dB (float16).
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import librosa
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from spm.base import schemas, tables
from spm.base.constants import HOP_SAMPLES, N_MELS, PCM_SCALE, SAMPLE_RATE_HZ
from spm.corpus.spectrograms import PRESETS, Spectrograms, log_mel, run

TARGET = 5
TOLERANCE_DB = {"exact": 1e-3, "float16": 0.05}
BATCH = 256  # rows that the stage reads at once


def published(pcm: np.ndarray) -> np.ndarray:
    """DSOL's preparation of one clip with its own calls: (16000,) → (201, 64)."""
    n_fft, window, _, top_db = PRESETS["dsol"]
    stft = librosa.stft(
        pcm, n_fft=n_fft, win_length=window, hop_length=HOP_SAMPLES, pad_mode="constant"
    )
    mel = librosa.feature.melspectrogram(S=np.abs(stft), sr=SAMPLE_RATE_HZ, n_mels=N_MELS)
    return librosa.power_to_db(mel, top_db=top_db).T


def make_sounds(count: int) -> np.ndarray:
    """Noise, chords and near silence as 16-bit samples: (count, 16000)."""
    rng = np.random.default_rng(0)
    time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    hertz = rng.uniform(60, 7000, (count, 3, 1))
    chords = np.sin(2 * np.pi * hertz * time_s).mean(1)
    level = 10 ** rng.uniform(-4, -0.5, (count, 1))
    noise = rng.uniform(0, 1, (count, 1)) * rng.normal(size=(count, SAMPLE_RATE_HZ))
    return ((level * (chords + noise)).clip(-1, 1) * 32767).astype("<i2")


def write_clips(path: Path, pcm: np.ndarray) -> None:
    """Write a table of clips with these sounds and no images."""
    rows = []
    for number, sound in enumerate(pcm):
        rows.append({"clip_id": f"v_{number:07d}", "video_id": "v", "pcm": sound.tobytes()})
    tables.write_rows(path, schemas.CLIPS, rows)


def librosa_mels(sounds: np.ndarray) -> Iterator[np.ndarray]:
    """Spectrograms by librosa, one clip at a time: (201, 64)."""
    for sound in sounds:
        yield published(sound)


def our_mels(sounds: np.ndarray, *, exact: bool) -> Iterator[np.ndarray]:
    """Spectrograms by `log_mel`, in batches: (256, 201, 64)."""
    for batch in torch.from_numpy(sounds).split(BATCH):
        yield log_mel(batch, exact=exact).numpy()


def compute(mels: Iterator[np.ndarray]) -> None:
    """Compute the spectrograms, and keep none of them."""
    for _ in mels:
        pass


def take_turns(works: Sequence[Callable[[], object]], rounds: int) -> np.ndarray:
    """CPU and wall seconds of each work in each round, after one round that is not counted.

    Shape: (rounds, works, 2).
    """
    turns = []
    for _ in range(rounds + 1):
        turns.append([_time_s(work) for work in works])
    return np.array(turns[1:])


def _time_s(work: Callable[[], object]) -> tuple[float, float]:
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu_s, time.perf_counter() - wall_s


def print_speeds(sounds: np.ndarray, rounds: int) -> None:
    """Time librosa and our functions in turn; print their speeds."""
    with tempfile.TemporaryDirectory() as scratch:
        clips, out = Path(scratch, "clips.parquet"), Path(scratch, "out.parquet")
        write_clips(clips, sounds)
        floats = sounds * np.float32(PCM_SCALE)
        works = {
            "librosa, clip by clip": lambda: compute(librosa_mels(floats)),
            "log_mel, exact": lambda: compute(our_mels(floats, exact=True)),
            "log_mel, for float16": lambda: compute(our_mels(floats, exact=False)),
            "the stage, to float16": lambda: run(Spectrograms(), clips=clips, out=out),
        }
        times_s = take_turns(list(works.values()), rounds)  # (rounds, works, 2)
        per_clip = out.stat().st_size / len(sounds)
    rates = np.median(len(sounds) / times_s, 0)
    ratios = np.median(times_s[:, :1] / times_s, 0)
    print(f"{len(sounds)} clips of 1 s, {rounds} rounds; clips/s and ratio to librosa")
    print(f"{'':<24}  CPU time            wall time")
    for name, rate, ratio in zip(works, rates, ratios, strict=True):
        print(f"{name:<24} {rate[0]:8.0f} {ratio[0]:6.1f} ×   {rate[1]:8.0f} {ratio[1]:6.1f} ×")
    print(f"{per_clip:.0f} bytes per clip; target: the stage {TARGET} × in wall time")


def check_deviations(sounds: np.ndarray) -> None:
    """Print the largest deviations from librosa; too large ones are an error."""
    floats = sounds * np.float32(PCM_SCALE)
    expected = np.stack(list(librosa_mels(floats)))
    for name, tolerance_db in TOLERANCE_DB.items():
        mels = np.concatenate(list(our_mels(floats, exact=name == "exact")))
        deviation_db = np.abs(mels - expected).max()
        print(f"largest deviation, {name}: {deviation_db:.1e} dB (limit: {tolerance_db} dB)")
        if deviation_db > tolerance_db:
            raise SystemExit(f"{name}: the spectrograms differ from librosa's by more than that")


def main() -> None:
    """Compare the speeds, then the values."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=8 * BATCH)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    # two filters of the preset are empty, as published
    warnings.filterwarnings("ignore", message="(?s).*(Empty filters|all zero values)")
    torch.set_num_threads(1)
    sounds = make_sounds(given.clips)
    with threadpool_limits(1):
        print_speeds(sounds, given.rounds)
        check_deviations(sounds)


if __name__ == "__main__":
    main()
