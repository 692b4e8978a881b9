import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from spm.fusion.losses import matching_accuracy, matching_loss, negative_mask, sample_one_negative
from spm.fusion.network import FusionConfig, FusionNetwork, all_cosines, potential_objects


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return FusionNetwork(FusionConfig()).eval()


def inputs(count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 224, 224, generator=generator), torch.randn(
        count, 201, 64, generator=generator
    )


@torch.inference_mode()
def test_equation_3_is_a_cosine_at_each_of_14_by_14_positions(network):
    pictures, sounds = inputs()
    located = network(pictures, sounds)
    assert located.cosine.shape == (2, 14, 14)
    visual = network.see(network.visual(pictures))
    heard = network.hear(network.audio(sounds)[:, :, None, None]).flatten(1)
    by_hand = torch.cosine_similarity(heard[1], visual[1, :, 3, 9], dim=0)
    torch.testing.assert_close(located.cosine[1, 3, 9], by_hand)


@torch.inference_mode()
def test_equation_4_has_the_papers_constants(network):
    located = network(*inputs())
    torch.testing.assert_close(located.logit, (located.cosine - 0.65) / 0.03)
    assert not network.epsilon.requires_grad
    assert not network.scale.requires_grad


@torch.inference_mode()
def test_equation_5_averages_masked_features_over_all_positions(network):
    pictures, sounds = inputs()
    located, visual = network(pictures, sounds), network.visual(pictures)
    expected = torch.stack(
        [(v * m).sum((1, 2)) / 196 for v, m in zip(visual, located.logit.sigmoid(), strict=True)]
    )
    torch.testing.assert_close(located.objects, expected)
    assert located.objects.shape == (2, 512)
    everything = torch.full((2, 14, 14), 50.0)
    torch.testing.assert_close(potential_objects(visual, everything), visual.mean((2, 3)))


@torch.inference_mode()
def test_every_sound_meets_every_picture_as_it_meets_its_own(network):
    pictures, sounds = inputs(3)
    crossed = all_cosines(network.listen(network.audio(sounds)), network.look(pictures))
    torch.testing.assert_close(
        crossed[1, 2], network(pictures[2:3], sounds[1:2]).cosine[0], atol=1e-5, rtol=1e-4
    )


def test_learnt_scales_start_at_the_constants_and_move():
    network = FusionNetwork(FusionConfig(learn_scale=True, epsilon=0.0, tau=0.2))
    network.logits(torch.tensor([0.5])).sum().backward()
    assert (network.scale.item(), network.epsilon.item()) == pytest.approx((5, 0))
    assert network.scale.grad.item() == pytest.approx(0.5)
    assert network.epsilon.grad.item() == pytest.approx(-5)


def test_standardized_sounds_are_told_apart_before_anything_is_learnt():
    torch.manual_seed(0)
    features = 5 + 0.5 * torch.randn(
        64, 512
    )  # as rectified maxima are: far from 0, and close to each other
    cosine = {}
    for standardize in (False, True):
        network = FusionNetwork(FusionConfig(standardize=standardize))
        heard = network.listen(features)
        cosine[standardize] = (heard @ heard.T)[~torch.eye(64, dtype=torch.bool)].mean().item()
    assert cosine[False] > 0.9
    assert cosine[True] < 0.5


def test_features_can_be_compared_without_projections_where_they_have_one_width():
    assert FusionNetwork(FusionConfig(projection=0)).look(torch.zeros(1, 3, 64, 64)).shape == (
        1,
        512,
        4,
        4,
    )
    with pytest.raises(ValueError, match="use resnet18"):
        FusionNetwork(FusionConfig(visual="mobilenet_v2", projection=0))


def test_the_loss_is_dsols_on_one_positive_and_one_negative_each():
    scores = torch.tensor([[0.3, -1.0], [0.4, 2.0]])
    negative = torch.tensor([[False, True], [True, False]])
    pairs = torch.tensor(
        [0.3, -1.0, 2.0, 0.4]
    ).sigmoid()  # interleaved: each sound's picture, then a stranger
    torch.testing.assert_close(
        matching_loss(scores, negative), binary_cross_entropy(pairs, torch.tensor([1.0, 0, 1, 0]))
    )


def test_the_loss_of_an_untrained_network_has_a_gradient_in_half_precision():
    cosine = torch.zeros(2, 2, dtype=torch.float16, requires_grad=True)
    logit = (cosine - 0.65) / 0.03
    assert logit.sigmoid().max() < 1e-6
    matching_loss(logit.float(), ~torch.eye(2, dtype=torch.bool)).backward()
    assert cosine.grad.diagonal().abs().min() > 1


def test_pairs_of_one_video_are_never_negatives():
    pairs = negative_mask(torch.tensor([4, 4, 7]))
    assert pairs.tolist() == [[False, False, True], [False, False, True], [True, True, False]]
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        kept = sample_one_negative(pairs, generator)
        assert kept.sum(1).tolist() == [1, 1, 1]
        assert not (kept & ~pairs).any()
    assert not sample_one_negative(negative_mask(torch.tensor([1, 1])), generator).any()


def test_a_batch_of_one_video_has_a_loss_of_its_positives_alone():
    scores = torch.zeros(2, 2)
    assert matching_loss(scores, negative_mask(torch.tensor([1, 1]))).item() == pytest.approx(
        torch.tensor(2.0).log().item()
    )


def test_accuracy_weighs_positives_and_negatives_alike():
    scores = torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [1.0, 1.0, -1.0]])
    assert matching_accuracy(scores, ~torch.eye(3, dtype=torch.bool)) == pytest.approx(
        (2 / 3 + 4 / 6) / 2
    )
