import numpy as np
import pytest
import torch

from spm.learn import efficientnet, pretrained
from spm.learn.backbones import visual_trunk
from spm.learn.transforms import normalize
from tests.conftest import SHARED
from tests.learn.freeze_efficientnet import FILE, image
from tests.support.recordings import read_frame


@pytest.fixture(scope="module", autouse=True)
def weights():
    """The published weights, on this machine."""
    if pretrained.find(efficientnet.PART) is None:
        pytest.skip(pretrained.PARTS[efficientnet.PART].source.remedy)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """A made image, as trunks take it."""
    return normalize(torch.from_numpy(image())[None])


@torch.inference_mode()
def test_the_logits_are_those_of_the_weights_own_implementation(images):
    logits = efficientnet.EfficientNetLite0(stride=32)(images)[0]
    assert logits.numpy() == pytest.approx(np.load(FILE)["logits"], abs=1e-4)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("size", [(224, 224), (224, 160)])
def test_at_stride_16_every_second_position_has_the_published_features(size):
    made = torch.from_numpy(image())[None, :, : size[0], : size[1]]
    published = efficientnet.EfficientNetLite0(stride=32).features(normalize(made))
    features = efficientnet.EfficientNetLite0().features(normalize(made))
    assert features.shape == (1, 1280, size[0] // 16, size[1] // 16)
    assert torch.allclose(features[:, :, 1::2, 1::2], published, atol=1e-5)


@torch.inference_mode()
def test_the_trunk_is_a_visual_network_of_the_methods(images):
    trunk = visual_trunk("efficientnet_lite0", "imagenet").eval()
    network = efficientnet.EfficientNetLite0()
    assert torch.equal(trunk(images), network.trunk(images))
    assert trunk[1].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
def test_a_step_of_training_changes_every_layer_of_the_trunk(images):
    trunk = visual_trunk("efficientnet_lite0", "imagenet").train()
    trunk(images.repeat(2, 1, 1, 1)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in trunk.parameters())


def test_the_trunk_needs_no_weights_to_start_at_random(images, monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "find", lambda name: None)
    visual_trunk("efficientnet_lite0", "none")


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize(
    ("video", "time_s", "expected"),
    [
        ("real/videos/violin-01.mp4", 8.08, "violin"),
        ("real/videos/cello-02.mp4", 29.64, "cello"),
        ("wild/videos/harp-w1.mp4", 3.0, "harp"),
    ],
)
def test_a_real_frame_is_recognized(video, time_s, expected):
    if not (SHARED / video).is_file():
        pytest.skip(f"there is no {SHARED / video}")
    frame = read_frame(SHARED / video, time_s)[None].float()
    size = (efficientnet.INPUT_PX, efficientnet.INPUT_PX)
    resized = torch.nn.functional.interpolate(frame, size, mode="bilinear", antialias=True)
    top = efficientnet.EfficientNetLite0()(normalize(resized))[0].topk(5).indices
    assert expected in [efficientnet.class_names()[index] for index in top]
