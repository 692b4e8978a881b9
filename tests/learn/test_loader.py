import os
import signal
import subprocess
import sys
import threading
from typing import Any, NamedTuple

import pytest
import torch

from spm.base.errors import UserError
from spm.learn import loader, slots

CPU = torch.device("cpu")


def constant(plan):
    return torch.full((50,), plan)


def square(plan):
    return torch.tensor(plan**2), os.getpid()


@pytest.mark.parametrize(("workers", "per_message"), [(0, 1), (1, 1), (2, 1), (2, 3), (0, 3)])
def test_items_come_in_the_order_of_the_plans_whatever_the_number_of_workers(workers, per_message):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    options = {"device": CPU, "workers": workers, "per_message": per_message}
    items = list(loader.finished_items(iter(range(40)), square, lambda item: item, **options))
    assert [item.item() for item, _ in items] == [n**2 for n in range(40)]
    processes = {process for _, process in items}
    assert processes == {os.getpid()} if workers == 0 else len(processes) == workers
    assert torch.equal(torch.rand(1), expected)  # no global random number was drawn


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_the_user_in_a_worker_stays_one_line(workers):
    def make(plan):
        if plan == 3:
            raise UserError("clip 3 is damaged")
        return plan

    items = loader.load(range(9), make, device=CPU, workers=workers)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UserError, match=r"^clip 3 is damaged$"):
        next(items)


def test_workers_ignore_sigterm_which_the_main_process_may_need_time_for():
    items = loader.load(range(30), square, device=CPU, workers=1)
    _, worker = next(items)
    os.kill(worker, signal.SIGTERM)
    assert [item.item() for item, _ in items] == [n**2 for n in range(1, 30)]


FAILING = """
import torch
from spm.learn import loader

items = loader.load(range(99), float, device=torch.device("cpu"), workers=2)
next(items)
raise ValueError("the training failed")
"""


@pytest.mark.slow
def test_a_process_that_fails_while_its_workers_wait_ends():
    failed = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, timeout=120)
    assert failed.stderr.endswith(b"ValueError: the training failed\n")


@pytest.mark.parametrize("workers", [0, 2])
def test_items_are_made_by_the_workers_and_finished_in_the_calling_thread(workers):
    def finish(made):
        return made[1], os.getpid(), threading.get_ident()

    here = os.getpid(), threading.get_ident()
    items = list(loader.finished_items(range(6), square, finish, device=CPU, workers=workers))
    assert {item[1:] for item in items} == {here}
    assert (os.getpid() in {item[0] for item in items}) is not bool(workers)


@pytest.mark.parametrize("per_message", [1, 4])
def test_plans_are_drawn_a_few_items_ahead(per_message):
    drawn = []

    def plans():
        for number in range(1000):
            drawn.append(number)
            yield number

    next(loader.finished_items(plans(), abs, abs, device=CPU, workers=2, per_message=per_message))
    assert len(drawn) <= (2 * loader.AHEAD + 2) * per_message + slots.GROUP


@pytest.mark.parametrize(
    ("threads", "processes", "expected"), [("8", "1", 7), ("8", "4", 1), ("1", "1", 0)]
)
def test_workers_are_the_threads_of_the_job_less_one(monkeypatch, threads, processes, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert loader.worker_count() == expected


def test_sounds_come_in_batches_in_their_order():
    class Numbers:
        def __len__(self):
            return 10

        def sounds(self, indices):
            return torch.as_tensor(indices) * 2.0

    batches = list(loader.sound_batches(Numbers(), 4, device=CPU, workers=1))
    assert [batch.tolist() for batch in batches] == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]
    few = loader.sound_batches(Numbers(), 4, device=CPU, indices=torch.tensor([7, 1]), workers=0)
    assert [batch.tolist() for batch in few] == [[14, 2]]
    none = loader.sound_batches(Numbers(), 4, device=CPU, indices=torch.tensor([]), workers=0)
    assert list(none) == []


class Named(NamedTuple):
    images: torch.Tensor
    names: list[str]
    nested: dict[str, Any]


def make_named(plan):
    """Tensors of all kinds: in the order of images, in shared memory, empty, not in one piece."""
    images = slots.empty((2, 3, 5, 4), torch.uint8).fill_(plan).permute(0, 3, 1, 2)
    images[0, 1, 2, 3] = 99
    sound = torch.full((3, 2), plan / 2).half()
    column = torch.arange(12.0).view(3, 4)[:, 1] + plan
    column = column.bfloat16() if plan % 2 else column  # a type that NumPy does not have
    nested = {"sound": sound, "column": column.expand(2, 3), "empty": torch.empty(0, 7)}
    return Named(images, [str(plan)], {**nested, "none": None, "pair": (sound + 1, 4)})


def equal(one, two) -> bool:
    """Whether two items are the same, with the order of their tensors in memory."""
    if isinstance(one, torch.Tensor):
        is_image = one.dim() == 4
        return torch.equal(one, two) and (not is_image or one.stride() == two.stride())
    if isinstance(one, dict):
        return list(one) == list(two) and equal(list(one.values()), list(two.values()))
    if isinstance(one, tuple | list):
        return type(one) is type(two) and all(equal(*pair) for pair in zip(one, two, strict=True))
    return one == two


@pytest.mark.parametrize("slot_bytes", [slots.SLOT_BYTES, 200])
def test_items_keep_their_values_after_the_workers_have_made_others(monkeypatch, slot_bytes):
    """Also tensors that do not fit in the shared memory of a worker."""
    monkeypatch.setattr(slots, "SLOT_BYTES", slot_bytes)
    items = list(loader.load(range(20), make_named, device=CPU, workers=2))
    assert all(equal(item, make_named(plan)) for plan, item in enumerate(items))
    assert items[3].images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("per_message", [1, 4])
def test_memory_of_an_item_is_used_again_when_the_item_is_not_used_any_more(
    monkeypatch, per_message
):
    """Also that of an item of which only a view is left; there is always some for the next one."""
    made, new = [], loader.Slots
    monkeypatch.setattr(loader, "Slots", lambda count: made.append(new(count)) or made[0])
    options = {"device": CPU, "workers": 2, "per_message": per_message}
    items = loader.finished_items(range(40), constant, lambda item: item, **options)
    kept = next(items)[3:4]
    for plan, item in enumerate(items, 1):
        assert item.tolist() == [plan] * 50
        assert not item.is_shared()  # no memory of torch
    assert kept.tolist() == [0]
    (slots,) = made
    del item
    assert len(slots.free) == len(slots.memories) - 1
    del kept
    assert len(slots.free) == len(slots.memories)
