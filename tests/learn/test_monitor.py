"""What a training shows, and the log that a killed training continues."""

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.learn.test_training import Killed, epoch_learner

VALUES = {"train/loss", "speed/pictures per second", "speed/share of time waiting for the loader"}
OF_EPOCHS = {"epoch/train loss", "epoch/train second loss"}


def scalars(folder, name):
    """Step and value of each point of a curve."""
    log = EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in log.Scalars(name)]


def test_a_killed_training_continues_the_log_without_a_step_twice(tmp_path):
    _, train, _ = epoch_learner(log=tmp_path / "a", minutes=1)
    train(tmp_path / "state-a")
    _, train, _ = epoch_learner(kill_at=17, log=tmp_path / "b", minutes=1)
    with pytest.raises(Killed):
        train(tmp_path / "state-b")
    _, train, _ = epoch_learner(log=tmp_path / "b", minutes=1)
    train(tmp_path / "state-b")
    assert len(list((tmp_path / "b").glob("events.*"))) == 2
    curve = scalars(tmp_path / "b", "train/loss")
    assert [step for step, _ in curve] == [5, 10, 15, 20, 25, 30]
    assert curve == scalars(tmp_path / "a", "train/loss")
    tags = set(EventAccumulator(str(tmp_path / "b")).Reload().Tags()["scalars"])
    assert tags >= VALUES | OF_EPOCHS
    speeds = [json.loads((tmp_path / run / "speed.json").read_text()) for run in ("a", "b")]
    assert [row["epoch"] for row in speeds[0]] == [row["epoch"] for row in speeds[1]] == [0, 1, 2]
    assert {row["pictures"] for row in speeds[1]} == {80}
    assert all(row["pictures_per_s"] > 0 and 0 <= row["wait_share"] <= 1 for row in speeds[1])


def test_a_new_training_begins_a_new_log(tmp_path):
    for name in ("a", "b"):
        _, train, _ = epoch_learner(log=tmp_path / "log", minutes=1)
        train(tmp_path / name)
    assert len(list((tmp_path / "log").glob("events.*"))) == 1
    assert len(json.loads((tmp_path / "log/speed.json").read_text())) == 3


def test_the_progress_line_has_loss_speed_and_waiting(tmp_path, capsys):
    _, train, _ = epoch_learner(minutes=1)
    train(tmp_path)
    last = capsys.readouterr().err.splitlines()[-1]
    for part in ("3.00/3 epochs", "train loss=", "pictures/s=", "waiting=", "train second loss="):
        assert part in last
