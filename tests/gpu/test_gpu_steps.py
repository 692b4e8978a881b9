"""Steps of each method on a GPU: their values are those of a CPU, and they do not wait for it."""

import pytest
import torch

from spm.base import runs
from spm.fusion import methods
from spm.fusion.losses import contrastive_loss, matching_accuracy, matching_loss, ranking_accuracy
from spm.fusion.settings import RunConfig
from spm.fusion.trainer import Trainer
from spm.learn.device import channels_last
from spm.learn.epoch import Epoch

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU (CUDA)"),
]
TRAINED = sorted({*methods.METHODS} - runs.UNTRAINED)
SETTINGS = {"visual": "mobilenet_v2", "start": "none", "promote": False, "negatives": "all"}
CLIPS = 6


def off_diagonal(size: int) -> torch.Tensor:
    """All pairs but those of a sound with its own frame."""
    return ~torch.eye(size, dtype=torch.bool)


@pytest.mark.parametrize("method", TRAINED)
def test_a_step_does_not_wait_for_the_gpu(method):
    torch.manual_seed(0)
    settings = methods.settings_of(RunConfig(method=method, **SETTINGS))
    network = methods.build(settings).to(DEVICE)
    channels_last(network.visual)
    trainer, epoch = Trainer(network, settings, clips=None), Epoch()
    images = torch.randn(CLIPS * network.views, 3, 96, 96).to(DEVICE)
    sounds, negative = torch.randn(CLIPS, 201, 64).to(DEVICE), off_diagonal(CLIPS).to(DEVICE)

    def step() -> None:
        with trainer.autocast():
            output = network.loss(images, network.audio_features(sounds), negative)
        trainer.optimizer_step(output.loss)
        epoch.add(CLIPS, **output._asdict())

    step()  # the first one makes the optimizer's state
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    epoch.fetch()
    assert torch.tensor(epoch.values).isfinite().all()


@pytest.mark.parametrize("negative", [off_diagonal(4), torch.zeros(4, 4, dtype=torch.bool)])
def test_losses_are_those_of_a_cpu(negative):
    scores = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    functions = (matching_loss, matching_accuracy, ranking_accuracy)
    for function in (*functions, lambda *batch: contrastive_loss(*batch, 1.0)):
        results = []
        for device in ("cpu", DEVICE):
            inputs = scores.to(device).requires_grad_(), negative.to(device)
            value = function(*inputs)
            gradient = torch.zeros_like(scores)
            if value.requires_grad:
                gradient = torch.autograd.grad(value, inputs[0])[0].cpu()
            results.append((value.detach().cpu(), gradient))
        torch.testing.assert_close(*results)
