"""Items that worker processes make while the training computes, in a fixed order."""

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from multiprocessing import active_children
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from spm.base.errors import UserError
from spm.learn.clip_files import Sounds
from spm.learn.slots import Plan, Slots

Item = TypeVar("Item")
Finished = TypeVar("Finished")
AHEAD = 2  # messages that each worker makes ahead
SWITCH_S = 0.0005  # between two offers of Python's lock to other threads of a worker
USED = 4  # items that are in use, or wait for it, while the workers make others


class _Items(Dataset[Any]):
    """Makes an item of each plan; an error of the user is returned, so that it stays one line."""

    def __init__(self, make: Callable[[Any], Any], slots: Slots) -> None:
        self.make, self.slots = make, slots

    def __getitem__(self, slot_and_plan: tuple[int | None, Any]) -> Any:
        slot, plan = slot_and_plan
        self.slots.begin(slot)
        try:
            return self.slots.pack(self.make(plan))
        except UserError as error:
            return error


def worker_count() -> int:
    """Number of worker processes: the threads of the job, less the one that computes.

    Snakemake sets OMP_NUM_THREADS to the threads of the job; without it, all cores count. The
    processes that torchrun started on this machine share them.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    return max(threads // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1, 0)


def load(
    plans: Iterable[Plan],
    make: Callable[[Plan], Item],
    *,
    device: torch.device,
    workers: int | None = None,
) -> Iterator[Item]:
    """Make an item of each plan, in the order of the plans; parameters as in `finished_items`."""
    return finished_items(plans, make, _unchanged, device=device, workers=workers)


def finished_items(
    plans: Iterable[Plan],
    make: Callable[[Plan], Item],
    finish: Callable[[Item], Finished],
    *,
    device: torch.device,
    workers: int | None = None,
    per_message: int = 1,
) -> Iterator[Finished]:
    """Make an item of each plan, in the order of the plans, and finish it.

    Parameters
    ----------
    plans : iterable
        What each item is made of. Random numbers are part of the plans, so that the items do not
        depend on the number of workers. Plans are drawn ahead, in the calling process; arrays of
        NumPy reach the workers faster than tensors.
    make : callable
        Makes an item; it runs in the workers, which are forks of the calling process.
    finish : callable
        Finishes an item when it is asked for, in the calling thread: copies it to the GPU, for
        instance. A caller that did this itself would compete for Python's lock with the thread that
        gets the next item.
    device : torch.device
        Where the items will be used: for CUDA, their tensors are pinned.
    workers : int, optional
        Number of worker processes; None: `worker_count()`; 0: the calling process makes each item
        when it is asked for.
    per_message : int
        Items that a worker makes for one message. A message costs the calling process as much time
        as the rest of its work for a small item.

    Yields
    ------
    object
        What `finish` returns.

    Raises
    ------
    UserError
        The first that `make` raises.
    """
    count = worker_count() if workers is None else workers
    slots = Slots((count * AHEAD + 1) * per_message + USED - 1 if count else 0)
    items = _Items(make, slots)
    if not count:
        made = map(_on_one_thread(items), slots.assign(plans))
        yield from map(finish, _unpacked(made, slots, device))
        return
    loader = DataLoader(
        items,
        batch_size=per_message,
        sampler=slots.assign(plans),
        num_workers=count,
        collate_fn=_unchanged,
        generator=torch.Generator(),  # leaves torch's global random numbers as they are
        multiprocessing_context="fork",
        prefetch_factor=AHEAD,
        worker_init_fn=_prepare_worker,
    )
    _end_workers_at_exit()
    yield from _one_ahead(_unpacked(chain.from_iterable(loader), slots, device), finish)


def _on_one_thread(items: _Items) -> Callable[[Any], Any]:
    """Make each item on one thread, as a worker does: sums depend on the number of threads."""

    def make(plan: Any) -> Any:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return items[plan]
        finally:
            torch.set_num_threads(threads)

    return make


def _unpacked(items: Iterator[Any], slots: Slots, device: torch.device) -> Iterator[Any]:
    """The items with tensors of their own; an error of the user is raised."""
    for item in items:
        if isinstance(item, UserError):
            raise item
        yield slots.unpack(item, device)


def _one_ahead(items: Iterator[Item], finish: Callable[[Item], Finished]) -> Iterator[Finished]:
    """The finished items; a thread gets the next item while the last one is used."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, items, end)
        while (item := future.result()) is not end:
            finished = finish(item)  # type: ignore[arg-type]
            future = pool.submit(next, items, end)
            yield finished


def _prepare_worker(_: int) -> None:
    """In a worker: leave SIGTERM to the main process, and send finished items soon.

    When a job is stopped, all its processes get the signal. The main process then needs its workers
    until it has saved a checkpoint; they end with it.

    A thread of the worker sends the items. While the worker decodes, this thread would get Python's
    lock only every 5 ms.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_S)


@cache
def _end_workers_at_exit() -> None:
    """Make the process end although its workers ignore SIGTERM."""
    atexit.register(_end_workers)


def _end_workers() -> None:
    """Before `multiprocessing` would send SIGTERM to the workers and wait for them."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler reports killed workers
    for child in active_children():
        if child.daemon:
            child.kill()


def _unchanged(item: Item) -> Item:
    return item


def sound_batches(
    sounds: Sounds,
    size: int,
    *,
    device: torch.device,
    indices: Tensor | None = None,
    workers: int | None = None,
) -> Iterator[Tensor]:
    """The sounds of all clips in their order, or of `indices`: (`size`, …) per tensor, on the CPU.

    For networks that are not trained: `sounds` are read by worker processes while a network
    computes.
    """
    chosen = torch.arange(len(sounds)) if indices is None else indices
    plans = (part.numpy() for part in chosen.split(size) if len(part))
    return load(plans, sounds.sounds, device=device, workers=workers)
