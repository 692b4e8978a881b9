"""Two steps of a training whose trunks are spread over however many processes torchrun has started.

torchrun --nproc-per-node 2 -m tests.support.steps METHOD FOLDER
"""

import os
import sys
from pathlib import Path

import torch
from torch import nn

from spm.fusion import methods
from spm.fusion.dataset import ClipDataset
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.settings import Row
from spm.fusion.train import optimizers
from spm.fusion.trainer import Trainer
from spm.learn import distributed

COUNT = 5  # clips: no even number


def settle(network: LocalizationNetwork, images: torch.Tensor, sounds: torch.Tensor) -> None:
    """Hold each BatchNorm to the batch's statistics: of half a batch they are others.

    On GPUs SyncBatchNorm takes those of the whole.
    """
    for part in network.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.momentum = 1.0
    with torch.no_grad():
        network.loss(images, network.sound(sounds), ~torch.eye(COUNT, dtype=torch.bool))
    network.eval()


def main(method: str, folder: Path) -> None:
    torch.manual_seed(0)
    light = {
        "visual": "mobilenet_v2",
        "start": "none",
        "standardize": True,
        "promote": False,
        "projection_lr": 1e-2,
    }
    settings = methods.settings_of(Row(method=method, negatives="all", **light))
    network = methods.build(settings)
    images, sounds = torch.randn(COUNT, 3, 64, 64), 20 * torch.randn(COUNT, 201, 64)
    settle(network, images, sounds)
    network.spread()
    lesson = Trainer(
        network,
        *optimizers(network, settings),
        settings,
        ClipDataset([], *[torch.empty(0)] * 2, None),
        {},
    )
    losses, gradients = [], []
    for _ in range(2):
        step = network.loss(images, network.sound(sounds), ~torch.eye(COUNT, dtype=torch.bool))
        lesson.descend(step.loss)
        losses.append(step.loss.item())
        gradients.append(
            {name: part.grad.clone() for name, part in network.learnt() if part.grad is not None}
        )
    torch.save(
        {"losses": losses, "gradients": gradients[0]},
        folder / f"{os.environ.get('RANK', 'alone')}.pt",
    )


if __name__ == "__main__":
    with distributed.process_group():
        main(sys.argv[1], Path(sys.argv[2]))
