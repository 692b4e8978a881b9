"""Test frames that are shown with silence, noise and off-screen sounds."""

import numpy as np
import pytest
import torch

from spm.base import tables
from spm.base.statuses import NegativeUse, PlayedSound
from spm.corpus import clip_reader
from spm.fusion import maps, methods, negatives
from spm.fusion.cached_features import CachedSounds
from spm.fusion.negatives import NegativeSets, off_screen_clips
from spm.fusion.other_sounds import NOISE_DB, NegativeSounds, noise
from spm.fusion.settings import RunConfig
from spm.fusion.testsets import ClipFiles
from spm.learn import weights
from tests.support import corpora

EVERY = NegativeSets(sounds=tuple(PlayedSound)[1:], threshold_clips=2)
CROP = 48


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A corpus with four test videos of two clips: two flutes and two cellos."""
    return corpora.write(tmp_path_factory.mktemp("few"), train=1, test=2, seconds=2)


@pytest.fixture(scope="module")
def listed(few, tmp_path_factory):
    out = tmp_path_factory.mktemp("listed") / "solo.parquet"
    negatives.run(EVERY, index=few.index, testset="solo", out=out)
    return out


def clip(clip_id, video, category, start_s=0.0):
    categories = [category] if category else None
    return {"clip_id": clip_id, "video_id": video, "categories": categories, "start_s": start_s}


def test_every_test_clip_is_listed_with_every_sound(few, listed):
    table = tables.read(listed).to_pandas()
    clips = clip_reader.testset_rows(few.index, "solo")["clip_id"].to_pylist()
    test = table[table["use"] == NegativeUse.TEST]
    assert set(test["clip_id"]) == set(clips)
    assert (test.groupby("clip_id")["sound"].nunique() == len(EVERY.sounds)).all()
    others = table[table["use"] == NegativeUse.THRESHOLD]
    assert set(others["clip_id"]).isdisjoint(clips)
    assert others["clip_id"].nunique() == 2


def test_an_off_screen_sound_is_of_another_category(few, listed):
    table = tables.read(listed).to_pandas()
    category = {row["clip_id"]: row["categories"] for row in tables.read(few.index).to_pylist()}
    others = table[table["sound"] == PlayedSound.OFF_SCREEN]
    assert len(others)
    for row in others.to_dict("records"):
        assert category[row["clip_id"]] != category[row["sound_clip_id"]]


def test_successive_clips_have_successive_sounds_of_one_video():
    seen = [clip(f"f{n}", "f", "flute", n) for n in range(3)]
    sounds = [clip(f"c{n}", "c", "cello", n) for n in range(2)]
    assert off_screen_clips(seen, sounds, 0) == {"f0": "c0", "f1": "c1", "f2": "c0"}


@pytest.mark.parametrize("category", ["cello", None])
def test_a_picture_without_a_sound_of_another_category_has_no_off_screen_sound(category):
    assert off_screen_clips([clip("a", "a", category)], [clip("c", "c", "cello")], 0) == {}


def test_the_list_depends_on_the_seed_only(few, listed, tmp_path):
    for name, config in (("same", EVERY), ("other", EVERY.model_copy(update={"seed": 7}))):
        negatives.run(config, index=few.index, testset="solo", out=tmp_path / name)
    assert (tmp_path / "same").read_bytes() == listed.read_bytes()
    assert (tmp_path / "other").read_bytes() != listed.read_bytes()


@pytest.mark.parametrize("testset", ["synthetic", "solo"])
def test_mosaics_and_projects_without_sounds_have_an_empty_list(few, tmp_path, testset):
    sounds = EVERY.sounds if testset == "synthetic" else ()
    config = NegativeSets(sounds=sounds)
    negatives.run(config, index=few.index, testset=testset, out=tmp_path / "none.parquet")
    assert tables.read(tmp_path / "none.parquet").num_rows == 0


@pytest.mark.parametrize("sound", [PlayedSound.WHITE_NOISE, PlayedSound.PINK_NOISE])
def test_noise_has_its_level_and_its_color(sound):
    wave = noise(sound, 3).astype(np.float64) / 32768
    assert 10 * np.log10(np.mean(wave**2)) == pytest.approx(NOISE_DB, abs=0.1)
    power = np.abs(np.fft.rfft(wave)) ** 2
    low, high = power[100:200].sum(), power[4000:4100].sum()
    assert low / high == pytest.approx(1 if sound == PlayedSound.WHITE_NOISE else 27, rel=0.5)


def read_sounds(few, listed, network):
    rows = clip_reader.testset_rows(few.index, "solo")
    testset = ClipFiles(rows, few.clips, few.spectrograms, None)
    shown = NegativeSounds.read(listed, NegativeUse.TEST, few.index, testset, "dsol")
    readers = shown.readers(network, rows)
    return rows, {name: read(range(len(rows))) for name, read in readers.items()}


@pytest.mark.slow
def test_networks_hear_the_sounds_of_the_list(few, listed):
    network = methods.build(methods.settings_of(RunConfig(method="spm", start="none", crop=CROP)))
    rows, sounds = read_sounds(few, listed, network)
    assert set(sounds) == set(EVERY.sounds)
    assert sounds[PlayedSound.SILENCE].unique().tolist() == pytest.approx([-100])
    place = {name: n for n, name in enumerate(rows["clip_id"].to_pylist())}
    own = torch.from_numpy(clip_reader.log_mels(rows, few.spectrograms)).reshape(-1, 201, 64)
    for row in tables.read(listed).to_pylist():
        if row["use"] == NegativeUse.TEST and row["sound"] == PlayedSound.OFF_SCREEN:
            found = sounds[PlayedSound.OFF_SCREEN][place[row["clip_id"]]]
            assert torch.equal(found, own[place[row["sound_clip_id"]]])


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Weights of networks that are not trained, by their method."""
    folder = tmp_path_factory.mktemp("network")

    def write(method):
        path = folder / f"{method}.safetensors"
        config = RunConfig(method=method, visual="mobilenet_v2", start="none", crop=CROP)
        torch.manual_seed(0)
        settings = methods.settings_of(config)
        about = {"config": settings.model_dump(mode="json")}
        weights.save(path, methods.build(settings).state_dict(), about)
        return path

    return write


def compute(few, listed, network, folder):
    files = {"index": few.index, "clips": few.clips, "spectrograms": few.spectrograms}
    config = maps.Maps(batch=3, device="cpu")
    maps.run(config, **files, network=network, testset="solo", out=folder / "alone.parquet")
    more = {"negatives": listed, "out_negatives": folder / "negatives.parquet"}
    maps.run(config, **files, network=network, testset="solo", out=folder / "maps.parquet", **more)
    return tables.read(folder / "negatives.parquet").to_pandas()


@pytest.mark.slow
def test_maps_with_other_sounds_leave_the_maps_of_own_sounds_as_they_are(
    few, listed, network, tmp_path
):
    table = compute(few, listed, network("spm"), tmp_path)
    assert (tmp_path / "maps.parquet").read_bytes() == (tmp_path / "alone.parquet").read_bytes()
    own = tables.read(tmp_path / "alone.parquet").to_pandas()
    same = table[table["sound"] == PlayedSound.OWN].merge(own, on=["clip_id", "frame"])
    assert len(same) == len(own)
    assert np.array_equal(np.stack(same["map_x"]), np.stack(same["map_y"]))
    assert set(table["sound"]) == set(PlayedSound)
    thresholds = table[table["use"] == NegativeUse.THRESHOLD]
    assert PlayedSound.OWN not in set(thresholds["sound"])


@pytest.mark.slow
def test_maps_that_a_method_scales_one_by_one_have_one_scale_here(few, listed, network, tmp_path):
    table = compute(few, listed, network("ez_vsl"), tmp_path)
    own = tables.read(tmp_path / "maps.parquet").to_pandas()
    assert {np.max(cells) for cells in own["map"]} == {1.0}
    maxima = {np.max(cells) for cells in table["map"]}
    assert len(maxima) > len(own)
    assert max(maxima) < 1


def test_equal_sounds_are_computed_once():
    calls = []
    cached = CachedSounds(lambda sounds: (calls.append(len(sounds)), sounds.sum(1))[1])
    sounds = torch.arange(8.0).reshape(4, 2)
    assert torch.equal(cached(sounds), sounds.sum(1))
    assert torch.equal(cached(sounds.flip(0)), sounds.flip(0).sum(1))
    assert torch.equal(cached(torch.ones(3, 2)), torch.full((3,), 2.0))
    assert calls == [4, 1]
