"""Methods without training: zero_shot and object_prior, with their real pretrained networks."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from spm.base import runs, tables
from spm.fusion import maps, methods, train
from spm.fusion.maps import Maps
from spm.fusion.methods import object_prior, zero_shot
from spm.fusion.settings import RunConfig, Train
from spm.fusion.untrained import FRAMES, UntrainedNetwork
from spm.learn import weights, yamnet
from spm.learn.sounding_things import match, things

PX = 128
WEIGHT_NAMES = {
    "object_prior": {"visual"},
    "zero_shot": {"visual", "head", "classifier", "tagger"},
}


def settings(method: str, **changes) -> Train:
    return methods.settings_of(RunConfig(method=method, **changes))


@pytest.fixture(scope="module")
def network(parts) -> zero_shot.Network:
    return zero_shot.pretrained_network()


@pytest.fixture(scope="module")
def frames() -> Tensor:
    """Frames of 3 clips, 4 each: (3, 4, 3, PX, PX)."""
    return torch.randn(3, 4, 3, PX, PX, generator=torch.Generator().manual_seed(0))


def sounds_of(network: zero_shot.Network, **scores: float) -> Tensor:
    """A prepared sound in which classes of AudioSet have these scores, as loud as speech."""
    sound = torch.zeros(1, yamnet.CLASSES + 1)
    for name, score in scores.items():
        sound[0, yamnet.class_names().index(name.replace("_", " "))] = score
    sound[0, yamnet.CLASSES] = -20.0
    return sound


def test_the_methods_without_training_are_those_that_the_workflow_knows():
    epochs = {method: settings(method).total_epochs for method in methods.METHODS}
    assert {method for method, count in epochs.items() if count == 0} == runs.UNTRAINED


@pytest.mark.parametrize("method", sorted(runs.UNTRAINED))
@pytest.mark.parametrize("change", [{"promote": True}, {"visual": "resnet18"}])
def test_settings_that_ask_for_another_network_are_an_error(method, change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        settings(method, **change)


@pytest.mark.parametrize("method", WEIGHT_NAMES)
def test_the_names_of_the_weights_are_fixed(method):
    state = methods.build(settings(method, start="none")).state_dict()
    assert {name.split(".")[0] for name in state} == WEIGHT_NAMES[method]


@pytest.mark.slow
@torch.inference_mode()
def test_the_object_prior_does_not_depend_on_the_sound(parts, frames):
    network = object_prior.Network(settings("object_prior")).eval()
    heat = network.heat_maps(frames, torch.zeros(3, 201, 64)).sounding
    assert heat.shape == (3, 4, PX // 32, PX // 32)
    assert torch.equal(heat.amax((2, 3)), torch.ones(3, 4))
    assert torch.equal(heat, network.heat_maps(frames, torch.rand(3, 201, 64)).sounding)


@pytest.mark.slow
@torch.inference_mode()
def test_every_frame_has_its_own_map_whatever_the_batch_is(network, frames):
    assert frames[:, :, 0, 0, 0].numel() > FRAMES
    sounds = torch.cat([sounds_of(network, Dog=0.9), sounds_of(network, Harp=0.5)])
    sounds = torch.cat([sounds, sounds_of(network, Speech=0.7)])
    whole_batch = network.heat_maps(frames, sounds)
    for clip in range(3):
        for frame in range(4):
            single = network.heat_maps(frames[clip, frame][None, None], sounds[clip, None])
            for part, alone in zip(whole_batch, single, strict=True):
                assert torch.allclose(part[clip, frame], alone[0, 0], atol=1e-4)


@pytest.mark.slow
@torch.inference_mode()
def test_maps_are_in_0_to_1_and_the_last_one_is_the_object_prior(network, frames):
    heat = network.heat_maps(frames[:1], sounds_of(network, Dog=0.9))
    assert heat.clusters.shape == (1, 4, len(things()) + 1, PX // 32, PX // 32)
    assert 0 <= heat.sounding.min() <= heat.sounding.max() <= 1
    assert 0 <= heat.clusters.min() <= heat.clusters.max() <= 1
    prior = object_prior.Network(settings("object_prior")).eval()
    expected = prior.heat_maps(frames[:1], torch.zeros(1, 201, 64)).sounding
    last = heat.clusters[:, :, -1]
    assert torch.allclose(last / last.amax((2, 3), keepdim=True), expected, atol=1e-4)


@torch.inference_mode()
def test_a_silent_clip_is_cold_and_keeps_the_shape_of_its_map(network, frames):
    sound = sounds_of(network)
    silent = sound.clone()
    silent[0, yamnet.CLASSES] = -70.0
    loud = sounds_of(network, Harp=0.9, Dog=0.9)
    quiet_loud = loud.clone()
    quiet_loud[0, yamnet.CLASSES] = -70.0
    cold = network.heat_maps(frames[:1], silent).sounding
    assert torch.equal(cold, network.heat_maps(frames[:1], quiet_loud).sounding)
    assert 0 < cold.max() < 0.01
    assert cold.amin((2, 3)).lt(cold.amax((2, 3))).all()


def test_silence_and_noise_are_heard_as_nothing(network):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4, 16_000, generator=generator)
    pcm = torch.cat([torch.zeros(1, 16_000), 1e-4 * noise, 0.02 * noise])
    certainty = network.hear_things(network.prepare_sound(pcm)).certainty.amax(1)
    assert certainty[:5].max() < 0.01
    assert certainty[5:].max() < 0.35


def test_the_scores_are_yamnets_and_the_level_is_in_db(network):
    time_s = torch.arange(16_000) / 16_000
    pcm = 0.5 * torch.sin(2 * torch.pi * 440 * time_s)[None]
    sounds = network.prepare_sound(pcm)
    with torch.inference_mode():
        expected = yamnet.load()(yamnet.log_mel_patches(pcm)[:, 0]).logits.sigmoid()
    assert torch.allclose(network.audio_scores(sounds), expected)
    assert sounds[0, yamnet.CLASSES].item() == pytest.approx(-9.03, abs=0.01)


def test_smoothing_keeps_the_level_of_each_clip(network):
    sounds = torch.cat([sounds_of(network, Dog=0.9), sounds_of(network, Dog=0.3)])
    sounds[1, yamnet.CLASSES] = -40.0
    smoothed = network.smooth_sounds(sounds, ["a", "a"], [0.0, 1.0])
    dog = yamnet.class_names().index("Dog")
    assert smoothed[:, dog].tolist() == pytest.approx([0.6, 0.6])
    assert smoothed[:, yamnet.CLASSES].tolist() == [-20.0, -40.0]


@torch.inference_mode()
def test_a_thing_that_is_not_seen_has_less_heat_than_one_that_is(network, frames):
    """Of random pixels, the network is more certain of some things than of others."""
    probabilities = network.see(frames[0, :1]).probabilities[0]
    shown = network.seen[probabilities.argmax()].item()
    names = {thing.name: number for number, thing in enumerate(things())}
    seen = max(
        (number for number in names.values() if shown in things()[number].imagenet), default=0
    )
    linked = network.links.float() @ probabilities
    unseen = int(torch.where(network.links.any(1), linked, 1.0).argmin())
    heat = []
    for number in (seen, unseen):
        sound = sounds_of(network)
        sound[0, list(things()[number].audioset)] = 0.9
        heat.append(float(network.heat_maps(frames[:1, :1], sound).sounding.max()))
    assert heat[0] > 2 * heat[1]


def test_categories_have_the_map_of_their_thing_or_the_object_prior(network):
    categories = network.match_categories(["violin", "dog", "cough", "carpet"])
    assert categories["violin"] == match("violin")
    assert things()[categories["cough"]].name == "person"
    assert categories["carpet"] == len(things())
    assert UntrainedNetwork().match_categories(["violin"]) == {}


@pytest.mark.slow
@pytest.mark.parametrize("method", WEIGHT_NAMES)
def test_the_stage_train_writes_the_pretrained_weights_and_maps_uses_them(
    parts, squares, tmp_path, method
):
    out, history = tmp_path / "network.safetensors", tmp_path / "history.parquet"
    train.run(
        RunConfig(method=method, crop=PX),
        index=squares.index,
        clips=squares.clips,
        spectrograms=squares.spectrograms,
        mosaics=None,
        pretrained=None,
        out=out,
        history=history,
        state=tmp_path / "state",
    )
    assert tables.read(history).num_rows == 0
    state = methods.build(settings(method)).state_dict()
    written = weights.load(out)[0]
    assert written.keys() == state.keys()
    assert all(torch.equal(written[name], state[name]) for name in state)
    rows = compute_maps(squares, out, tmp_path / "maps.parquet")
    expected = {None, "cello", "flute"} if method == "zero_shot" else {None}
    assert set(rows["category"].to_pylist()) == expected
    assert set(rows["height"].to_pylist()) == {PX // 32}


def compute_maps(corpus, network, out):
    maps.run(
        Maps(device="cpu", batch=5),
        network=network,
        index=corpus.index,
        clips=corpus.clips,
        spectrograms=corpus.spectrograms,
        testset="solo",
        out=out,
    )
    return tables.read(out)
