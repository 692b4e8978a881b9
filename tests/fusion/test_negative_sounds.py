"""Negative sounds: silence, noise and off-screen sounds among the sounds of a batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spm.corpus import clip_reader
from spm.corpus.spectrograms import log_mel
from spm.fusion import dataset, methods, negative_sounds
from spm.fusion.batches import batches
from spm.fusion.losses import negative_mask, ranking_accuracy
from spm.fusion.methods import lcbm
from spm.fusion.methods.spm import Settings
from spm.fusion.network import AudioNormalization
from spm.fusion.settings import RunConfig
from spm.learn import distributed
from spm.learn.dataloading import make_generator

CPU = torch.device("cpu")
SHARES = {"offscreen_share": 0.25, "silence_share": 0.05, "noise_share": 0.1}
CONFIG = Settings(crop=32, batch=20, negatives="all", **SHARES)
OFFSCREEN, SILENCE, NOISE = slice(20, 25), slice(25, 26), slice(26, 28)
LARGE_MARGIN = {"margin": 1000}  # no negative is beyond it
SMALL = {
    "attention": LARGE_MARGIN,
    "dmc": LARGE_MARGIN,
    "sspl": {"width": 8, "projected": 8},
    "sound_of_pixels": {"components": 4},
    "lcbm": {"classes": ("cello", "flute")},
}
TRAINED = sorted({*methods.METHODS} - {"object_prior", "zero_shot"})


@pytest.fixture(scope="module")
def clips(squares, tmp_path_factory):
    """The training clips, and silence and noises."""
    rows = clip_reader.select(squares.index, split="train")
    mapped = tmp_path_factory.mktemp("mapped")
    data = dataset.load(rows, squares.clips, squares.spectrograms, mapped=mapped)
    return replace(data, negative_sounds=negative_sounds.prepare(CONFIG, log_mel))


def read(clips, config=CONFIG, **options):
    return list(batches(clips, config, 1, make_generator(0), device=CPU, **options))


def slope(sound: torch.Tensor) -> float:
    """Exponent of the frequency in the power spectrum, from 20 Hz to 8 kHz."""
    power = torch.fft.rfft(sound).abs().square()[20:8000].numpy()
    return float(np.polyfit(np.log(np.arange(20, 8000)), np.log(power), 1)[0])


def test_silence_is_zero_and_noises_are_white_and_pink_at_several_levels():
    sounds = negative_sounds.silence_and_noises(make_generator(1))
    assert sounds.shape == (1 + negative_sounds.NOISES, 16_000)
    assert not sounds[0].any()
    level_db = 10 * sounds[1:].square().mean(1).log10()
    assert -51 < level_db.min() < -40
    assert -20 < level_db.max() < -9
    assert slope(sounds[1]) == pytest.approx(0, abs=0.1)
    assert slope(sounds[2]) == pytest.approx(-1, abs=0.1)
    again = negative_sounds.silence_and_noises(make_generator(1))
    assert torch.equal(again, sounds)


def test_without_negative_sounds_nothing_is_drawn():
    generator = make_generator(0)
    before = generator.get_state()
    assert not len(negative_sounds.sample(96, 32, Settings(), generator))
    assert torch.equal(generator.get_state(), before)
    assert negative_sounds.prepare(Settings(), log_mel) is None


def test_a_batch_has_its_shares_of_negative_sounds_and_no_frame_shows_them(clips):
    for batch in read(clips)[:4]:
        assert batch.images.shape[0] == 20
        assert batch.sounds.shape[0] == 28
        assert batch.negative.shape == (28, 20)
        assert batch.negative[SILENCE].all()
        assert batch.negative[NOISE].all()
        silence = log_mel(torch.zeros(1, 16_000)).to(batch.sounds.dtype)
        assert torch.equal(batch.sounds[SILENCE], silence)
        assert (batch.sounds[NOISE].float().std((1, 2)) > 1).all()


def test_an_offscreen_sound_is_no_negative_of_frames_of_its_own_video(clips):
    batch = read(clips)[0]
    mels = clips.sounds.sounds(range(len(clips)))
    for sound, negative in zip(batch.sounds[OFFSCREEN], batch.negative[OFFSCREEN], strict=True):
        clip = int((mels == sound).all((1, 2)).nonzero()[0, 0])
        assert torch.equal(negative, clips.videos[batch.indices] != clips.videos[clip])


def test_the_clips_and_their_sounds_stay_the_same(clips):
    """The first batch: what is drawn after it has another state of the generator."""
    expected = read(clips, Settings(crop=32, batch=20, negatives="all"))[0]
    batch = read(clips)[0]
    assert torch.equal(batch.images, expected.images)
    assert torch.equal(batch.sounds[:20], expected.sounds)
    assert torch.equal(batch.negative[:20], expected.negative)


def test_batches_with_negative_sounds_do_not_depend_on_workers_and_processes(clips, monkeypatch):
    whole = read(clips, workers=0)
    for batch, other in zip(whole, read(clips, workers=1), strict=True):
        assert all(map(torch.equal, batch, other))
    sounds = []
    for parts in (slice(0, 12), slice(12, 28)):
        monkeypatch.setattr(distributed, "own_part", lambda _, parts=parts: parts)
        sounds.append(read(clips, workers=0)[0].sounds)
    assert torch.equal(torch.cat(sounds), whole[0].sounds)


def test_a_frozen_audio_network_has_features_of_silence_and_noise(clips):
    frozen = replace(
        clips,
        audio_embeddings=torch.arange(96)[:, None],
        negative_embeddings=96 + torch.arange(1 + negative_sounds.NOISES)[:, None],
    )
    sounds = read(frozen)[0].sounds[:, 0]
    assert sounds[OFFSCREEN].max() < 96
    assert sounds[SILENCE].tolist() == [96]
    assert sounds[NOISE].min() > 96


def test_a_negative_sound_has_to_score_less_than_the_frames_own_sound():
    scores = torch.tensor([[2.0, 1.0], [0.0, 0.5], [1.0, 1.0]])
    negative = negative_mask(torch.tensor([0, 1]), torch.tensor([0, 1, -1]))
    assert negative.tolist() == [[False, True], [True, False], [True, True]]
    assert ranking_accuracy(scores, negative) == 3 / 4


def loss_of(network, images, features, negative):
    """The method's loss; that of classification needs labels."""
    if isinstance(network, lcbm.Network):
        labels = torch.eye(2, dtype=torch.bool)[torch.arange(len(images)) % 2]
        return network.classification_loss(images, features, negative, labels).loss
    return network.loss(images, features, negative).loss


@pytest.mark.slow
@pytest.mark.parametrize("method", TRAINED)
def test_every_method_learns_from_negative_sounds_where_no_frame_shows_them(method):
    torch.manual_seed(0)
    settings = {"visual": "mobilenet_v2", "start": "none", "promote": False, "standardize": True}
    config = RunConfig(method=method, **settings, **SMALL.get(method, {}))
    network = methods.build(methods.settings_of(config)).eval()
    images, sounds = torch.randn(3, 320, 4, 4), torch.randn(5, 201, 64)
    features = network.audio_features(sounds).detach().requires_grad_()
    negative = negative_mask(torch.arange(3), torch.tensor([0, 1, 2, -1, -1]))
    loss_of(network, images, features, negative).backward()
    assert (features.grad[3:].flatten(1).abs().sum(1) > 0).all()
    negative[3:] = False
    features.grad = None
    with_others = loss_of(network, images, features, negative)
    with_others.backward()
    assert not features.grad[3:].any()
    without = loss_of(network, images, features[:3], negative[:3])
    torch.testing.assert_close(with_others, without)


def test_negative_sounds_do_not_change_how_the_sounds_of_clips_are_standardized():
    features = torch.randn(8, 3) + 5
    silence = torch.full((2, 3), -100.0)
    plain, layer = AudioNormalization(3), AudioNormalization(3)
    layer.clips = 8
    expected, found = plain(features), layer(torch.cat([features, silence]))
    assert torch.equal(found[:8], expected)
    assert torch.equal(layer.running_mean, plain.running_mean)
    assert torch.equal(layer.running_var, plain.running_var)
    standardized = (silence - features.mean(0)) / features.std(0, False)
    torch.testing.assert_close(found[8:], standardized, rtol=1e-4, atol=1e-4)
