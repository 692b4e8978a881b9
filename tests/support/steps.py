"""Two training steps, with trunks distributed over the processes that torchrun started.

torchrun --nproc-per-node 2 -m tests.support.steps FOLDER METHOD…

Each process writes the losses and gradients of each method to FOLDER, with its rank in the name of
the file, or `alone` without torchrun.
"""

import os
import sys
from pathlib import Path

import torch
from torch import nn

from spm.fusion import methods
from spm.fusion.dataset import ClipDataset
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.settings import RunConfig
from spm.learn import distributed

COUNT = 5  # clips; odd, so that the two processes get parts of different sizes
FRAMES = 24  # of a log-mel (120 ms): whole ones would take eight times as long
NEGATIVE = ~torch.eye(COUNT, dtype=torch.bool)
SETTINGS = {
    "visual": "mobilenet_v2",
    "start": "none",
    "standardize": True,
    "promote": False,
    "negatives": "all",
    "projection_lr": 1e-2,
}
SMALLER = {"sspl": {"width": 64, "projected": 256}}  # the defaults take most of the time


def fix_batch_norm(
    network: LocalizationNetwork, images: torch.Tensor, log_mels: torch.Tensor
) -> None:
    """Fix the statistics of every BatchNorm to those of the whole batch.

    On the CPU, each process would use those of its own part. On GPUs, SyncBatchNorm uses those of
    the whole batch.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        network.loss(images, network.audio_features(log_mels), NEGATIVE)
    network.eval()


def two_steps(method: str) -> dict[str, object]:
    """Losses of two training steps, and the gradients of the first one."""
    torch.manual_seed(0)
    settings = methods.settings_of(RunConfig(method=method, **SETTINGS, **SMALLER.get(method, {})))
    network = methods.build(settings)
    images = torch.randn(network.views, COUNT, 3, 48, 48)
    log_mels = 20 * torch.randn(COUNT, FRAMES, 64)
    fix_batch_norm(network, images.flatten(0, 1), log_mels)
    own = distributed.own_part(COUNT)
    images, log_mels = images[:, own].flatten(0, 1), log_mels[own]
    network.distribute()
    empty = ClipDataset([], torch.empty(0), torch.empty(0), None)
    trainer = methods.trainer_class(settings)(network, settings, empty)
    losses, gradients = [], []
    for _ in range(2):
        step = network.loss(images, network.audio_features(log_mels), NEGATIVE)
        trainer.optimizer_step(step.loss)
        losses.append(step.loss.item())
        gradients.append({})
        for name, parameter in network.trainable_parameters():
            if parameter.grad is not None:
                gradients[-1][name] = parameter.grad.to(torch.float32)
    return {"losses": losses, "gradients": gradients[0]}


def main(folder: Path, *names: str) -> None:
    # With 32 bits, rounding alone changes the losses by a thousandth.
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    for method in names:
        torch.save(two_steps(method), folder / f"{method}-{os.environ.get('RANK', 'alone')}.pt")


if __name__ == "__main__":
    with distributed.process_group():
        main(Path(sys.argv[1]), *sys.argv[2:])
