import pytest
import torch

from spm.fusion import methods
from spm.fusion.settings import RunConfig
from spm.fusion.trainer import Trainer
from spm.learn.epoch import Group

NEGATIVE = ~torch.eye(3, dtype=torch.bool)


def trainer() -> Trainer:
    """A trainer of what follows the backbones, which need no time."""
    torch.manual_seed(0)
    settings = methods.settings_of(
        RunConfig(method="spm", visual="mobilenet_v2", start="none", promote=False)
    )
    network = methods.build(settings)
    network.visual.requires_grad_(False)
    network.audio.requires_grad_(False)
    return Trainer(network, settings, clips=None)


def gradients(trainer: Trainer) -> torch.Tensor:
    """All gradients, as one vector."""
    parameters = trainer.network.parameters()
    return torch.cat([part.grad.flatten() for part in parameters if part.grad is not None])


def loss(trainer: Trainer, seed: int) -> torch.Tensor:
    """The loss of a batch of random features of frozen networks."""
    generator = torch.Generator().manual_seed(seed)
    visual = torch.randn(3, 320, 4, 4, generator=generator)
    audio = torch.randn(3, 512, generator=generator)
    return trainer.network.loss(visual, audio, NEGATIVE).loss


@pytest.mark.slow
def test_the_weights_change_by_the_mean_gradient_of_a_group_of_batches():
    alone = []
    for seed in (0, 1):
        single = trainer()
        single.optimizer_step(loss(single, seed))
        alone.append(gradients(single))
    group = trainer()
    before = [part.clone() for part in group.network.parameters()]
    group.group = Group(first=True, last=False, size=2)
    group.optimizer_step(loss(group, 0))
    assert all(map(torch.equal, group.network.parameters(), before))
    group.group = Group(first=False, last=True, size=2)
    group.optimizer_step(loss(group, 1))
    assert not all(map(torch.equal, group.network.parameters(), before))
    torch.testing.assert_close(gradients(group), (alone[0] + alone[1]) / 2)
