"""Speed and accuracy of log-mel spectrograms, compared with librosa, one clip at a time.

python -m benchmarks.spectrograms [--clips 2048] [--rounds 12]

Librosa: the preset `dsol`, one clip per call, with the calls that DSOL published. Ours: `log_mel`
on batches of the stage's size, exact and for float16, and the whole stage, which reads the table of
clips and writes the table of spectrograms. They run in turn. Printed: the median clips per second
of CPU time and of wall time, and their ratios to librosa's with quartiles. The stage has two
threads: one computes, the other reads and writes. Librosa has one, and its spectrograms are not
stored; so the tables are in memory (/dev/shm), because a disk of 100 MB/s takes longer for 20 kB
per clip than the stage computes. Target: the stage, with the float16 of config.yaml, is 5 times as
fast as librosa in wall time, on two cores that nothing else uses.

Also printed: the largest deviation from librosa, in dB, on noise, chords and near silence. It is an
error if this is above 1e-3 dB (exact) or 0.05 dB (float16).
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import pyarrow as pa
import torch
from threadpoolctl import threadpool_limits

from benchmarks.corpus import GROUP_ROWS
from benchmarks.timing import Turns, print_ratio, rate, spread
from spm.base import schemas, tables
from spm.base.constants import HOP_SAMPLES, N_MELS, PCM_SCALE, SAMPLE_RATE_HZ
from spm.corpus.spectrograms import BATCH_CLIPS, PRESETS, Spectrograms, log_mel, run

TARGET = 5
STAGE, LIBROSA = "the stage, to float16", "librosa, clip by clip"
MEMORY = Path("/dev/shm")  # files in memory (Linux)
Step = Callable[[], int]  # number of clips
TOLERANCE_DB = {"exact": 1e-3, "float16": 0.05}


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
    """Write a table of clips with these sounds and no images, as the stage `clips` does."""
    with tables.writer(path, schemas.CLIPS) as write:
        for start in range(0, len(pcm), GROUP_ROWS):
            rows = []
            for number, sound in enumerate(pcm[start : start + GROUP_ROWS], start):
                rows.append({"clip_id": f"v_{number:07d}", "video_id": "v", "pcm": sound.tobytes()})
            columns = pa.Table.from_pylist(rows, schemas.CLIPS.schema)
            write(**dict(zip(columns.column_names, columns.columns, strict=True)))


def librosa_mels(sounds: np.ndarray) -> Iterator[np.ndarray]:
    """Spectrograms by librosa, one clip at a time: (201, 64)."""
    for sound in sounds:
        yield published(sound)


def our_mels(sounds: np.ndarray, *, exact: bool) -> Iterator[np.ndarray]:
    """Spectrograms by `log_mel`, in batches: (64, 201, 64)."""
    for batch in torch.from_numpy(sounds).split(BATCH_CLIPS):
        yield log_mel(batch, exact=exact).numpy()


def timed(mels: Callable[[np.ndarray], Iterator[np.ndarray]], sounds: np.ndarray) -> Step:
    """A step that computes the spectrograms, and keeps none of them."""

    def step() -> int:
        for _ in mels(sounds):
            pass
        return len(sounds)

    return step


def timed_stage(sounds: np.ndarray, folder: Path) -> Step:
    """A step that runs the stage, to float16."""
    clips = folder / "clips.parquet"
    write_clips(clips, sounds)

    def step() -> int:
        run(Spectrograms(), clips=clips, out=folder / "out.parquet")
        return len(sounds)

    return step


def print_speeds(sounds: np.ndarray, rounds: int) -> None:
    """Time librosa and our functions in turn; print their speeds."""
    floats = sounds * np.float32(PCM_SCALE)
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        steps = {
            "log_mel, exact": timed(partial(our_mels, exact=True), floats),
            "log_mel, for float16": timed(partial(our_mels, exact=False), floats),
            STAGE: timed_stage(sounds, Path(scratch)),
            LIBROSA: timed(librosa_mels, floats[:: len(sounds) // 128 or 1]),
        }
        print(f"{len(sounds)} clips of 1 s, {rounds} rounds; clips/s and ratio to librosa")
        for title, clock in (("CPU time", time.process_time), ("wall time", time.perf_counter)):
            turns = Turns(
                {name: partial(rate, step, 0, clock) for name, step in steps.items()}, rounds
            )
            print(title)
            for name in steps:
                print(
                    f"  {name:<24} {turns.rate(name):8.0f}  {spread(turns.ratios(name, LIBROSA))}"
                )
        print_ratio("the stage / librosa, wall time", turns.ratios(STAGE, LIBROSA), TARGET)


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
    parser.add_argument("--clips", type=int, default=2_048)
    parser.add_argument("--rounds", type=int, default=12)
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
