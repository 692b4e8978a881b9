import pytest
import torch

from spm.fusion.localization_network import min_max
from spm.fusion.network import FusionConfig, FusionNetwork, all_cosines, potential_objects


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return FusionNetwork(FusionConfig()).eval()


def inputs(count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images and log-mels."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, 224, 224, generator=generator)
    return images, torch.randn(count, 201, 64, generator=generator)


@pytest.mark.slow
@torch.inference_mode()
def test_equation_3_is_a_cosine_at_each_of_14_by_14_positions(network):
    images, log_mels = inputs()
    cosine = network.cosines(images[:, None], log_mels)
    assert cosine.shape == (2, 1, 14, 14)
    visual = network.visual_proj(network.visual(images))
    audio = network.audio_proj(network.audio(log_mels)[:, :, None, None]).flatten(1)
    expected = torch.cosine_similarity(audio[1], visual[1, :, 3, 9], dim=0)
    torch.testing.assert_close(cosine[1, 0, 3, 9], expected)


@pytest.mark.slow
@torch.inference_mode()
def test_equation_4_has_the_constants_of_the_paper(network):
    images, log_mels = inputs()
    cosine = network.cosines(images[:, None], log_mels)
    mask = network.heat_maps(images[:, None], log_mels).sounding
    torch.testing.assert_close(mask, torch.sigmoid((cosine - 0.65) / 0.03))
    assert not network.epsilon.requires_grad
    assert not network.scale.requires_grad


def test_equation_5_averages_masked_features_over_all_positions():
    visual, mask = torch.randn(2, 512, 14, 14), torch.rand(2, 14, 14)
    objects = potential_objects(visual, mask)
    assert objects.shape == (2, 512)
    expected = (visual[1] * mask[1]).sum((1, 2)) / 196
    torch.testing.assert_close(objects[1], expected)
    torch.testing.assert_close(
        potential_objects(visual, torch.ones(2, 14, 14)), visual.mean((2, 3))
    )


@pytest.mark.slow
@torch.inference_mode()
def test_a_sound_has_the_same_cosines_with_a_frame_in_a_batch_and_alone(network):
    images, log_mels = inputs(3)
    audio = network.embed_audio(network.audio(log_mels))
    crossed = all_cosines(audio, network.embed_image(images))
    alone = network.cosines(images[None, 2:3], log_mels[1:2])[0, 0]
    torch.testing.assert_close(crossed[1, 2], alone, atol=1e-5, rtol=1e-4)


def test_learned_scales_start_at_the_constants_and_have_gradients():
    network = FusionNetwork(FusionConfig(learn_scale=True, epsilon=0.0, tau=0.2))
    network.logits(torch.tensor([0.5])).sum().backward()
    assert (network.scale.item(), network.epsilon.item()) == pytest.approx((5, 0))
    assert network.scale.grad.item() == pytest.approx(0.5)
    assert network.epsilon.grad.item() == pytest.approx(-5)


@pytest.mark.slow
def test_standardized_sounds_differ_before_any_training():
    torch.manual_seed(0)
    # As maxima of rectified features are: far from 0, and close to each other.
    features = 5 + 0.5 * torch.randn(64, 512)
    mean_cosine = {}
    for standardize in (False, True):
        network = FusionNetwork(FusionConfig(standardize=standardize))
        audio = network.embed_audio(features)
        pairs = (audio @ audio.T)[~torch.eye(64, dtype=torch.bool)]
        mean_cosine[standardize] = pairs.mean().item()
    assert mean_cosine[False] > 0.9
    assert mean_cosine[True] < 0.5


@pytest.mark.slow
def test_features_of_equal_width_can_be_compared_without_projections():
    network = FusionNetwork(FusionConfig(projection=0))
    assert network.embed_image(torch.zeros(1, 3, 64, 64)).shape == (1, 512, 4, 4)
    with pytest.raises(ValueError, match="use resnet18"):
        FusionNetwork(FusionConfig(visual="mobilenet_v2", projection=0))


def test_min_max_scales_each_map_to_0_to_1_and_a_flat_map_to_0():
    maps = min_max(torch.stack([torch.ones(2, 2), torch.arange(4.0).view(2, 2)]))
    assert maps[0].max() == 0
    assert maps[1].flatten().tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
