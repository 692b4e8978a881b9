import time

import pytest
import torch

from spm.learn.dataloading import make_generator, shuffled_batches
from spm.learn.epoch import Epoch, step_count


@pytest.mark.parametrize(("items", "batch"), [(0, 4), (1, 4), (4, 4), (5, 4), (6, 4), (9, 2)])
def test_the_number_of_steps_is_that_of_the_shuffled_batches(items, batch):
    assert step_count(items, batch) == len([*shuffled_batches(items, batch, make_generator(0))])


def test_the_mean_of_a_value_is_that_of_its_steps_and_not_of_an_earlier_pass():
    epoch = Epoch(3)
    for number in epoch.steps([1.0, 2.0], 2):
        epoch.add(1, loss=torch.tensor(number), other=5.0)
    for number in epoch.steps([3.0, 4.0, 8.0], 3):
        epoch.add(1, loss=torch.tensor(number))
    assert epoch.means("val") == {("val", "loss"): 5.0}
    assert epoch == 3


def test_groups_of_batches_end_with_the_pass():
    epoch = Epoch()
    groups = [epoch.group for _ in epoch.steps("abcde", 5, 2)]
    assert [group.first for group in groups] == [True, False, True, False, True]
    assert [group.last for group in groups] == [False, True, False, True, True]
    assert [group.size for group in groups] == [2, 2, 2, 2, 1]


def test_the_position_is_in_epochs():
    positions = []
    epoch = Epoch(3, lambda epoch: positions.append(epoch.position))
    epoch.parts = 2
    assert len([*epoch.steps("ab", 2), *epoch.steps("abcd", 4)]) == 6
    assert positions == [3.25, 3.5, 3.625, 3.75, 3.875, 4.0]


def test_the_time_of_waiting_is_that_of_the_loader():
    def loader():
        for item in range(3):
            time.sleep(0.05)
            yield item

    epoch = Epoch()
    for _ in epoch.steps(loader(), 3):
        time.sleep(0.02)
        epoch.add(10, loss=0.0)
    assert epoch.speed.pictures == 30
    assert epoch.speed.wait_s >= 0.15
    assert epoch.speed.seconds - epoch.speed.wait_s >= 0.06
    assert epoch.speed.pictures_per_s == pytest.approx(30 / epoch.speed.seconds)
