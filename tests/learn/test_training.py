import json
import math
import os
import signal
from itertools import count

import pytest
import torch
from torch import nn

from spm.base import json_file, tables
from spm.base.errors import UserError
from spm.learn import training
from spm.learn.dataloading import make_generator

OVERFLOW = 2.0**127  # a scale of the loss whose first steps overflow, and are skipped


class Killed(Exception):
    """The end of a process, for a test."""


def learner(best_by=None, curve=(3.0, 1.0, 2.0, 4.0), kill_at=None, split="val", half=False):
    """A network that is trained on noise, with given losses; it may be killed at an epoch."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(network.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=OVERFLOW, growth_interval=2, enabled=half)

    def train_epoch(epoch):
        if epoch == kill_at:
            raise Killed
        for _ in range(3):
            optimizer.zero_grad()
            noise = torch.randn(8, 3, generator=make_generator(epoch))
            scaler.scale(64 * network(noise).square().mean()).backward()
            scaler.step(optimizer)
            scaler.update()
        return {(split, "loss"): curve[epoch]}

    def train(state):
        return training.train(
            network,
            optimizer,
            train_epoch,
            4,
            state=state,
            title="test",
            best_by=best_by,
            scaler=scaler,
        )

    return network, train


class Steps:
    """A network with dropout, which is trained in epochs of two passes with 5 steps each.

    It may be killed in a step, counted from 0. The second pass of an epoch can't be continued.
    """

    def __init__(self, kill_at, accumulate, factor):
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        self.optimizer = torch.optim.Adam(self.network.parameters())
        self.kill_at, self.accumulate, self.factor = kill_at, accumulate, factor
        self.asked, self.done = [], count()

    def batches(self, epoch, number, skip=0):
        generator = make_generator(epoch, number)
        for step in range(5):
            batch = torch.randn(8, 3, generator=generator)
            if step >= skip:
                self.asked.append((int(epoch), number, step))
                yield batch

    def train_pass(self, epoch, batches):
        for batch in epoch.steps(batches, 5, self.accumulate):
            if next(self.done) == self.kill_at:
                raise Killed
            if epoch.group.first:
                self.optimizer.zero_grad()
            loss = self.factor * self.network(batch).square().mean()
            (loss / epoch.group.size).backward()
            if epoch.group.last:
                self.optimizer.step()
            epoch.add(len(batch), loss=loss, constant=0.5)
        return epoch.means()

    def train_epoch(self, epoch):
        torch.manual_seed(int(epoch))  # of the dropout
        epoch.parts = 2
        values = self.train_pass(epoch, self.batches(epoch, 0, epoch.skip))
        epoch.resumable = False
        second = self.train_pass(epoch, self.batches(epoch, 1))
        return {**values, ("train", "second loss"): second["train", "loss"]}


def epoch_learner(kill_at=None, accumulate=1, log=None, minutes=1e-9, factor=1.0):
    """A network, what trains it for three epochs, and the batches that it asked for."""
    steps = Steps(kill_at, accumulate, factor)

    def train(state):
        return training.train(
            steps.network, steps.optimizer, steps.train_epoch, 3, state=state, title="test",
            log=log, checkpoint_minutes=minutes,
        )  # fmt: skip

    return steps.network, train, steps.asked


def equal(one: nn.Module, two: nn.Module) -> bool:
    """Whether two networks have the same weights."""
    states = one.state_dict(), two.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("best_by", [None, ("val", "loss")])
@pytest.mark.parametrize("kill_at", [0, 1, 3])
def test_a_killed_training_resumes_to_the_same_weights_history_and_scale(
    tmp_path, capsys, half, best_by, kill_at
):
    undisturbed, train = learner(best_by, half=half)
    history = train(tmp_path / "a")
    _, train = learner(best_by, kill_at=kill_at, half=half)
    with pytest.raises(Killed):
        train(tmp_path / "b")
    capsys.readouterr()
    resumed, train = learner(best_by, half=half)
    assert train(tmp_path / "b") == history
    assert equal(resumed, undisturbed)
    assert (f"test: continues at epoch {kill_at + 1} of 4" in capsys.readouterr().err) == (
        kill_at > 0
    )
    about = [(tmp_path / run / "00004-0000000.json").read_text() for run in ("a", "b")]
    assert about[0] == about[1]  # the digest of all tensors, the history, and the scaler's state
    assert bool(json.loads(about[0])["scaler"]) == half


@pytest.mark.parametrize(("half_before", "half_after"), [(True, False), (False, True)])
def test_a_checkpoint_resumes_with_and_without_the_state_of_a_scaler(
    tmp_path, half_before, half_after
):
    """A training may go on another device, and older checkpoints have no scaler."""
    _, train = learner(kill_at=2, half=half_before)
    with pytest.raises(Killed):
        train(tmp_path)
    path = tmp_path / "00002-0000000.json"
    about = json_file.read(path)
    if not half_before:
        del about["scaler"]
    json_file.write(path, about)
    _, train = learner(half=half_after)
    assert [row.epoch for row in train(tmp_path)] == [0, 1, 2, 3]


def test_the_best_epoch_is_kept(tmp_path):
    short, train = learner(curve=(3.0, 1.0, 9.0, 9.0), kill_at=2)
    with pytest.raises(Killed):
        train(tmp_path / "a")
    best, train = learner(("val", "loss"))
    train(tmp_path / "b")
    assert equal(short, best)


def test_only_the_last_checkpoint_is_kept_and_none_after_the_training(tmp_path):
    _, train = learner()
    history = train(tmp_path / "state" / "x")
    names = sorted(path.name for path in (tmp_path / "state" / "x").iterdir())
    assert names == ["00004-0000000.json", "00004-0000000.safetensors"]
    training.finish(history, tmp_path / "history.parquet", tmp_path / "state")
    assert not (tmp_path / "state").exists()
    assert tables.read(tmp_path / "history.parquet")["value"].to_pylist() == [3.0, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_training_after_the_last_good_checkpoint(
    tmp_path, loss
):
    _, train = learner(curve=(3.0, loss, 2.0, 4.0), split="train")
    with pytest.raises(UserError, match=f"test, epoch 2: the loss is {loss}, so the weights are"):
        train(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["00001-0000000.json", "00001-0000000.safetensors"]


def test_an_incomplete_checkpoint_is_an_error_and_not_overwritten(tmp_path):
    _, train = learner(kill_at=2)
    with pytest.raises(Killed):
        train(tmp_path)
    (checkpoint,) = tmp_path.glob("*.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-4])
    with pytest.raises(UserError, match=f"no complete weights at {checkpoint}"):
        learner()[1](tmp_path)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("kill_at", [3, 10, 14, 17])
def test_a_training_continues_inside_an_epoch_to_the_same_weights_and_history(
    tmp_path, kill_at, accumulate
):
    undisturbed, train, _ = epoch_learner(accumulate=accumulate)
    history = train(tmp_path / "a")
    _, train, _ = epoch_learner(kill_at, accumulate)
    with pytest.raises(Killed):
        train(tmp_path / "b")
    resumed, train, asked = epoch_learner(accumulate=accumulate)
    assert train(tmp_path / "b") == history
    assert equal(resumed, undisturbed)
    # In the second pass of an epoch, all steps of the first pass are in the checkpoint.
    epoch, step = kill_at // 10, min(kill_at % 10, 5)
    step -= step % accumulate if step < 5 else 0
    assert asked[0] == ((epoch, 0, step) if step < 5 else (epoch, 1, 0))


def test_weights_change_after_each_group_of_batches(tmp_path):
    one, train, _ = epoch_learner(accumulate=5)
    train(tmp_path / "a")
    two, train, _ = epoch_learner(accumulate=1)
    train(tmp_path / "b")
    assert not equal(one, two)


def test_without_the_interval_there_is_no_checkpoint_inside_an_epoch(tmp_path):
    _, train, _ = epoch_learner(kill_at=13, minutes=1)
    with pytest.raises(Killed):
        train(tmp_path)
    assert [path.stem for path in tmp_path.glob("*.safetensors")] == ["00001-0000000"]


def test_a_loss_that_is_not_finite_stops_the_training_inside_the_epoch(tmp_path):
    _, train, asked = epoch_learner(factor=math.nan)
    with pytest.raises(UserError, match="test, epoch 1: the loss is nan"):
        train(tmp_path)
    assert len(asked) < 10
    assert not list(tmp_path.iterdir())


def test_sigterm_saves_after_the_step_and_ends_the_process(tmp_path, capsys):
    before = signal.getsignal(signal.SIGTERM)
    undisturbed, train, _ = epoch_learner(minutes=1)
    history = train(tmp_path / "a")
    network, train, _ = epoch_learner(minutes=1)
    network.register_forward_hook(lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path / "b")
    assert stopped.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert "test: stopped by SIGTERM in epoch 1, after step 1 of 5" in capsys.readouterr().err
    resumed, train, asked = epoch_learner(minutes=1)
    assert train(tmp_path / "b") == history
    assert "test: continues at epoch 1 of 3, after step 1" in capsys.readouterr().err
    assert asked[0] == (0, 0, 1)
    assert equal(resumed, undisturbed)
