import warnings

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spm.base import schemas, tables
from spm.base.constants import SAMPLE_RATE_HZ
from spm.corpus.spectrograms import BLOCK_CLIPS, PRESETS, Spectrograms, log_mel, run
from tests.support.media import ffmpeg


def tone(frequency_hz: float) -> torch.Tensor:
    time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    return torch.tensor(np.sin(2 * np.pi * frequency_hz * time_s), dtype=torch.float32)[None]


def noise(seed: int, level: float = 0.1) -> np.ndarray:
    return (
        np.random.default_rng(seed).normal(0, level, SAMPLE_RATE_HZ).clip(-1, 1).astype(np.float32)
    )


def published(pcm: np.ndarray) -> np.ndarray:
    """DSOL's preparation, step by step, with the library that it used."""
    spectrum = np.abs(librosa.stft(pcm, n_fft=160, hop_length=80, pad_mode="constant"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two of its filters are empty
        filters = librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=160, n_mels=64)
    return librosa.power_to_db(filters @ spectrum, top_db=80).T


@pytest.mark.parametrize("preset", PRESETS)
def test_a_second_is_201_frames_of_64_mels(preset):
    assert log_mel(tone(440), preset).shape == (1, 201, 64)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_higher_tone_peaks_in_a_higher_mel(preset):
    peaks = [log_mel(tone(hz), preset).mean(1).argmax().item() for hz in (300, 1000, 3000, 6000)]
    assert peaks == sorted(set(peaks))


def test_a_loud_neighbor_does_not_raise_a_quiet_clips_floor():
    quiet = 1e-3 * tone(440)
    alone, with_neighbor = log_mel(quiet), log_mel(torch.cat([quiet, tone(440)]))[:1]
    torch.testing.assert_close(alone, with_neighbor)


@pytest.mark.parametrize("preset", PRESETS)
def test_many_clips_are_each_as_alone(preset):
    pcm = torch.from_numpy(np.stack([noise(seed) for seed in range(2 * BLOCK_CLIPS + 1)]))
    alone = torch.cat([log_mel(clip[None], preset) for clip in pcm])
    torch.testing.assert_close(log_mel(pcm, preset), alone, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("level", [1.0, 0.1, 1e-3])
def test_dsol_equals_the_published_preparation_to_a_thousandth_of_a_decibel(level):
    for seed in range(5):
        pcm = noise(seed, level)
        ours = log_mel(torch.from_numpy(pcm)[None])[0].numpy()
        np.testing.assert_allclose(ours, published(pcm), atol=1e-3)
    chord = (level * (tone(220) + tone(3000))).clip(
        -1, 1
    )  # most mels lie far below two: where float32 would show
    np.testing.assert_allclose(log_mel(chord)[0].numpy(), published(chord[0].numpy()), atol=1e-3)


@pytest.mark.slow
def test_dsol_equals_the_published_preparation_on_real_music(shared, tmp_path):
    for path in sorted((shared / "real/videos").iterdir())[:3]:
        ffmpeg(
            "-ss",
            5,
            "-i",
            path,
            "-t",
            1,
            "-ac",
            1,
            "-ar",
            SAMPLE_RATE_HZ,
            "-f",
            "s16le",
            "-y",
            tmp_path / "sound",
        )
        pcm = np.fromfile(tmp_path / "sound", "<i2").astype(np.float32) / 32768
        exact, published_db = log_mel(torch.from_numpy(pcm)[None])[0].numpy(), published(pcm)
        np.testing.assert_allclose(exact, published_db, atol=1e-3)
        cheap = log_mel(torch.from_numpy(pcm)[None], exact=False)[0].numpy()
        np.testing.assert_allclose(cheap, published_db, atol=0.04)


def test_clean_has_no_constant_mel_where_dsol_has_two():
    pcm = torch.from_numpy(noise(1))[None]
    constant = {
        preset: (log_mel(pcm, preset)[0].std(0) == 0).nonzero().flatten().tolist()
        for preset in PRESETS
    }
    assert constant == {"dsol": [0, 13], "clean": []}


@settings(max_examples=20)
@given(st.floats(1e-6, 1), st.integers(0, 99))
def test_the_range_is_at_most_80_db_and_silence_is_finite(level, seed):
    for pcm in (noise(seed, level), np.zeros(SAMPLE_RATE_HZ, np.float32)):
        db = log_mel(torch.from_numpy(pcm)[None])
        assert torch.isfinite(db).all()
        assert db.max() - db.min() <= 80.001


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_shard_keeps_its_rows_and_rewrites_to_the_same_bytes(tmp_path, dtype):
    pcm = [(noise(seed) * 32767).astype("<i2") for seed in range(3)]
    rows = [
        {"clip_id": f"v_{n:07d}", "video_id": "v", "start_s": n, "pcm": p.tobytes()}
        for n, p in enumerate(pcm)
    ]
    tables.write_rows(tmp_path / "clips.parquet", schemas.CLIPS, rows)
    for name in ("one", "two"):
        run(Spectrograms(dtype=dtype), clips=tmp_path / "clips.parquet", out=tmp_path / name)
    table = tables.read(tmp_path / "one")
    assert table["clip_id"].to_pylist() == [row["clip_id"] for row in rows]
    assert (
        table.schema.field("log_mel").type
        == schemas.spectrograms(dtype).schema.field("log_mel").type
    )
    expected = log_mel(torch.from_numpy(np.stack(pcm) / np.float32(32768)))
    values = np.frombuffer(b"".join(table["log_mel"].to_pylist()), dtype).reshape(3, 201, 64)
    np.testing.assert_allclose(values, expected, atol=1e-3 if dtype == "float32" else 0.04)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.slow
def test_a_shard_of_several_batches_has_the_spectrogram_of_each_clip(tmp_path):
    pcm = [(noise(seed) * 32767).astype("<i2") for seed in range(7)]
    numbers = np.random.default_rng(0).integers(0, 7, 4 * tables.BATCH_ROWS + 3)
    rows = [
        {"clip_id": f"v_{n:07d}", "video_id": "v", "start_s": n, "pcm": pcm[number].tobytes()}
        for n, number in enumerate(numbers)
    ]
    tables.write_rows(tmp_path / "clips.parquet", schemas.CLIPS, rows)
    run(Spectrograms(), clips=tmp_path / "clips.parquet", out=tmp_path / "out.parquet")
    table = tables.read(tmp_path / "out.parquet")
    assert table["clip_id"].to_pylist() == [row["clip_id"] for row in rows]
    alone = log_mel(torch.from_numpy(np.stack(pcm)), exact=False).numpy()
    values = np.frombuffer(b"".join(table["log_mel"].to_pylist()), "<f2").reshape(-1, 201, 64)
    np.testing.assert_allclose(values, alone[numbers], atol=0.04)


def test_samples_with_16_bits_are_the_sound_in_floating_point():
    pcm = torch.from_numpy(np.stack([noise(seed) * 32767 for seed in range(3)]).astype("<i2"))
    expected = log_mel(pcm.float() / 32768, exact=False).half()
    assert torch.equal(log_mel(pcm, exact=False, dtype=torch.float16), expected)


def test_a_shard_without_clips_is_an_empty_table(tmp_path):
    tables.write_rows(tmp_path / "clips.parquet", schemas.CLIPS, [])
    run(Spectrograms(), clips=tmp_path / "clips.parquet", out=tmp_path / "out.parquet")
    assert tables.read(tmp_path / "out.parquet").num_rows == 0
