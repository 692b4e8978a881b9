import math

import pytest
import torch
from torch import nn

from spm.base import tables
from spm.base.config import UserError
from spm.learn import training, weights
from spm.learn.dataloading import make_generator


class Killed(Exception):
    """The end of a process, for a test."""


def learner(best_by=None, curve=(3.0, 1.0, 2.0, 4.0), kill_at=None, split="val"):
    """A network that learns noise; its loss follows a curve; it may be killed at an epoch."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(network.parameters())

    def epoch(number):
        if number == kill_at:
            raise Killed
        for _ in range(3):
            optimizer.zero_grad()
            network(torch.randn(8, 3, generator=make_generator(number))).square().mean().backward()
            optimizer.step()
        return {(split, "loss"): curve[number]}

    def go(state):
        return training.train(
            network, optimizer, epoch, 4, state=state, what="test", best_by=best_by
        )

    return network, go


@pytest.mark.parametrize("best_by", [None, ("val", "loss")])
@pytest.mark.parametrize("kill_at", [0, 1, 3])
def test_a_killed_training_goes_on_to_the_same_weights_and_history(tmp_path, best_by, kill_at):
    undisturbed, go = learner(best_by)
    history = go(tmp_path / "a")
    _, go = learner(best_by, kill_at=kill_at)
    with pytest.raises(Killed):
        go(tmp_path / "b")
    resumed, go = learner(best_by)
    assert go(tmp_path / "b") == history
    for name, tensor in undisturbed.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


def test_the_best_epoch_is_kept(tmp_path):
    short, go = learner(curve=(3.0, 1.0, 9.0, 9.0), kill_at=2)
    with pytest.raises(Killed):
        go(tmp_path / "a")
    best, go = learner(("val", "loss"))
    go(tmp_path / "b")
    assert all(
        torch.equal(a, b)
        for a, b in zip(short.state_dict().values(), best.state_dict().values(), strict=True)
    )


def test_only_the_last_checkpoint_is_kept_and_none_when_all_is_done(tmp_path):
    _, go = learner()
    history = go(tmp_path / "state" / "x")
    assert sorted(path.name for path in (tmp_path / "state" / "x").iterdir()) == [
        "00003.json",
        "00003.safetensors",
    ]
    training.finish(history, tmp_path / "history.parquet", tmp_path / "state")
    assert not (tmp_path / "state").exists()
    assert tables.read(tmp_path / "history.parquet")["value"].to_pylist() == [3.0, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_said_and_the_last_good_epoch_kept(tmp_path, loss):
    _, go = learner(curve=(3.0, loss, 2.0, 4.0), split="train")
    with pytest.raises(
        UserError, match=f"test, epoch 2: the loss is {loss}, and so are the weights"
    ):
        go(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.json", "00000.safetensors"]


def test_the_fingerprint_follows_content_and_settings(tmp_path):
    table = tmp_path / "t.parquet"
    tables.write_rows(table, tables.HISTORY, [{"epoch": 1, "value": 1.0}])
    first = training.fingerprint([table], "{}")
    assert training.fingerprint([table], "{}") == first
    assert training.fingerprint([table], '{"lr": 1}') != first
    tables.write_rows(table, tables.HISTORY, [{"epoch": 1, "value": 2.0}])
    assert training.fingerprint([table], "{}") != first


def test_weights_are_read_as_written_and_broken_ones_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    weights.save(path, {"a": torch.arange(6.0).view(2, 3).T}, {"k": 1})
    tensors, about = weights.load(path)
    assert torch.equal(tensors["a"], torch.arange(6.0).view(2, 3).T)
    assert about == {"k": 1}
    whole = path.read_bytes()
    for half in (whole[:-4], whole[:20], b""):
        path.write_bytes(half)
        with pytest.raises(
            UserError, match=r"no whole weights at .*w\.safetensors.*delete both and run again"
        ):
            weights.load(path)


def test_weights_that_are_not_those_of_their_json_are_named(tmp_path):
    path, other = tmp_path / "w.safetensors", tmp_path / "other.safetensors"
    for each, value in ((path, 1.0), (other, 2.0)):
        weights.save(each, {"a": torch.full((3,), value)}, {"k": 1})
    path.write_bytes(other.read_bytes())  # as when a kill falls between the two, or a bit
    with pytest.raises(UserError, match=r"w\.safetensors is not what w\.json beside it is about"):
        weights.load(path)


def test_a_checkpoint_cut_short_is_named_and_not_learnt_over(tmp_path):
    _, go = learner(kill_at=2)
    with pytest.raises(Killed):
        go(tmp_path)
    (checkpoint,) = tmp_path.glob("*.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-4])
    with pytest.raises(UserError, match=f"no whole weights at {checkpoint}"):
        learner()[1](tmp_path)


def test_foreign_weights_are_loaded_only_with_their_sha256(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="expected 00: not loaded"):
        weights.load_foreign(tmp_path / "w.pt", "00")
