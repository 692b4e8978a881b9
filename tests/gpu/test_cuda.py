"""What only a GPU can show: half precision, NCCL, nvJPEG, resuming and compiling on the card.

python -m pytest tests/gpu -m gpu

benchmarks.gpu runs them first. They need no file of tests/ beside this one.
"""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.optim.optimizer import register_optimizer_step_post_hook
from torchvision.io import ImageReadMode, decode_jpeg

from benchmarks import corpus, trainings
from spm.base import tables
from spm.fusion.trainer import Trainer
from spm.learn import transforms, weights

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU (CUDA)"),
]
SETTINGS = {"device": DEVICE, "crop": 96, "batch": 16, "negatives": "all", "compile": False}


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> corpus.Corpus:
    """Drawn clips with frames of 128 px."""
    sources = corpus.drawn_clips(48, side=128, per_clip=2)
    return corpus.write(tmp_path_factory.mktemp("corpus"), sources, 96, held_out=4)


def make_trainer(clips: corpus.Corpus, **keys: object) -> Trainer:
    torch.manual_seed(0)
    return trainings.make_trainer(clips, trainings.settings(**SETTINGS | keys), None)


def loss_and_gradient(trainer: Trainer) -> tuple[float, torch.Tensor]:
    """Loss of the first batch, and its gradient for all weights of the visual network."""
    batch = next(iter(trainer.batches(trainer.clips, trainer.generator(0))))
    trainer.network.set_train_mode(trainer.config)
    with trainer.autocast():
        features = trainer.audio_features(trainer.clips, batch.sounds)
        loss = trainer.network.loss(batch.images, features, batch.negative).loss
    loss.backward()
    gradients = [part.grad.flatten() for part in trainer.network.visual.parameters()]
    return loss.item(), torch.cat(gradients).float()


def run_training(clips: corpus.Corpus, folder, **keys: object) -> list[float]:
    """Run the stage `train`; the training loss of each epoch."""
    history = trainings.run(clips, trainings.settings(**SETTINGS | keys), folder)
    rows = tables.read(history).to_pylist()
    return [row["value"] for row in rows if (row["split"], row["name"]) == ("train", "loss")]


def test_half_precision_gives_the_loss_and_the_gradient_of_float32(clips):
    half_loss, half_gradient = loss_and_gradient(make_trainer(clips, half=True))
    full_loss, full_gradient = loss_and_gradient(make_trainer(clips, half=False))
    assert half_loss == pytest.approx(full_loss, rel=0.02)
    assert torch.cosine_similarity(half_gradient, full_gradient, dim=0) > 0.95


def test_a_training_with_half_precision_learns_as_one_with_float32(clips, tmp_path):
    settings = {"epochs": 6, "lr": 1e-3, "projection_lr": 1e-3}
    half = run_training(clips, tmp_path / "half", half=True, **settings)
    full = run_training(clips, tmp_path / "full", half=False, **settings)
    assert half[-1] < half[0]
    assert half[-1] == pytest.approx(full[-1], rel=0.25)


def test_the_images_on_the_card_equal_those_on_the_cpu(clips):
    images = {}
    for device in ("cpu", DEVICE):
        trainer = make_trainer(clips, device=device)
        batch = next(iter(trainer.batches(trainer.clips, trainer.generator(0))))
        images[device] = batch.images.float().cpu()
    torch.testing.assert_close(images[DEVICE], images["cpu"], atol=0.02, rtol=0)  # 1 gray level


def test_nccl_with_one_process_gives_the_same_loss_and_gradient(clips, tmp_path):
    loss, gradient = loss_and_gradient(make_trainer(clips, half=False))
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("cpu:gloo,cuda:nccl", rank=0, world_size=1, store=store)
    try:
        wrapped_loss, wrapped_gradient = loss_and_gradient(make_trainer(clips, half=False))
        dist.all_reduce(wrapped_gradient)
    finally:
        dist.destroy_process_group()
    assert wrapped_loss == pytest.approx(loss, rel=1e-3)
    torch.testing.assert_close(wrapped_gradient, gradient, rtol=0.05, atol=1e-3)


def test_the_decoder_of_the_card_gives_the_pictures_of_the_loader(clips):
    jpegs = [jpeg for clip in tables.read(clips.clips / "0000.parquet", ["frames"])["frames"][:8]
             for jpeg in clip.as_py()]  # fmt: skip
    buffers = [torch.frombuffer(bytearray(jpeg), dtype=torch.uint8) for jpeg in jpegs]
    on_card = torch.stack(decode_jpeg(buffers, ImageReadMode.RGB, device=DEVICE)).cpu()
    difference = (on_card.int() - transforms.decode(jpegs).int()).abs().float()
    assert difference.mean() < 2  # gray levels: both interpolate the colors in their own way


class Killed(BaseException):
    """In place of a signal that ends the process."""


def test_a_killed_training_continues_on_the_card(clips, tmp_path, capsys):
    undisturbed = run_training(clips, tmp_path / "undisturbed", epochs=3)
    steps = []

    def kill(*_: object) -> None:
        steps.append(1)
        if len(steps) == 6:  # three steps per epoch: the last one of the second epoch
            raise Killed

    handle = register_optimizer_step_post_hook(kill)
    with pytest.raises(Killed):
        run_training(clips, tmp_path / "killed", epochs=3)
    handle.remove()
    capsys.readouterr()
    continued = run_training(clips, tmp_path / "killed", epochs=3)
    assert "continues" in capsys.readouterr().err
    np.testing.assert_allclose(continued, undisturbed, rtol=0.1)
    state = weights.load(tmp_path / "killed/network.safetensors")[0]
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_steps_do_not_wait_for_the_card(clips):
    trainer, steps = make_trainer(clips), []

    def forbid_waiting(*_: object) -> None:
        steps.append(1)
        torch.cuda.set_sync_debug_mode("error" if len(steps) < 3 else "default")

    handle = register_optimizer_step_post_hook(forbid_waiting)
    try:
        trainer.train_epoch(0)
    finally:
        handle.remove()
        torch.cuda.set_sync_debug_mode("default")
    assert len(steps) > 3


def test_compiled_trunks_give_the_loss_of_the_others(clips):
    compiled_loss, compiled_gradient = loss_and_gradient(make_trainer(clips, compile=True))
    loss, gradient = loss_and_gradient(make_trainer(clips))
    assert compiled_loss == pytest.approx(loss, rel=0.02)
    assert torch.cosine_similarity(compiled_gradient, gradient, dim=0) > 0.95
