"""Items that worker processes make while the training computes, in a fixed order."""

import atexit
import math
import mmap
import os
import signal
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from multiprocessing import active_children
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from spm.base.errors import UserError
from spm.learn.clip_files import Sounds

Plan = TypeVar("Plan")
Item = TypeVar("Item")
AHEAD = 2  # items that each worker makes ahead
GROUP = 8  # plans that are drawn together: one by one takes the processor four times as long
SWITCH_S = 0.0005  # between two offers of Python's lock to other threads of a worker
USED = 3  # items that are in use, or wait for it, while the workers make others
# Memory of one item, reserved but not used: a larger item is sent by torch, which is slower.
SLOT_BYTES = 2**28
ALIGNMENT = 64  # bytes


class _Stored(NamedTuple):
    """Place of a tensor in a slot."""

    start: int  # in bytes
    dtype: torch.dtype
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def view(self, slot: Tensor) -> Tensor:
        """The tensor in the slot."""
        count = 1 + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        values = slot[self.start : self.start + count * self.dtype.itemsize].view(self.dtype)
        return values.as_strided(self.size, self.stride)


class _Packed(NamedTuple):
    """An item whose tensors are in a slot."""

    item: Any
    slot: int


class _Slots:
    """Memory that workers share with the process that started them, and where they put their items.

    Without it, each tensor that a worker sends gets new shared memory, which takes as long as the
    decoding of the images. Nothing is copied: an item that is used is a view of its slot, and the
    slot is free again when no tensor of the item is left.
    """

    def __init__(self, count: int) -> None:
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        self.memories = [mmap.mmap(-1, SLOT_BYTES, flags) for _ in range(count)]
        self.free = deque(range(count))  # in the process that started the workers
        self.slot: int | None = None  # in a worker: where it puts its item
        self.used = 0  # bytes of it

    def assign(self, plans: Iterable[Plan]) -> Iterator[tuple[int | None, Plan]]:
        """Each plan with a slot for its item; without one while the items in use have them all."""
        plans = iter(plans)
        while drawn := list(islice(plans, GROUP)):
            for plan in drawn:
                yield self.free.pop() if self.free else None, plan

    def begin(self, slot: int | None) -> None:
        """In a worker: choose the slot of the next item."""
        self.slot, self.used = slot, 0

    def allocate(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """In a worker: a tensor in the slot, or elsewhere if it does not fit."""
        size = math.prod(shape) * dtype.itemsize
        start = math.ceil(self.used / ALIGNMENT) * ALIGNMENT
        if self.slot is None or not size or start + size > SLOT_BYTES:
            return torch.empty(*shape, dtype=dtype)
        self.used = start + size
        return self._view(self.slot)[start : self.used].view(dtype).view(*shape)

    def _view(self, slot: int) -> Tensor:
        return torch.frombuffer(self.memories[slot], dtype=torch.uint8)

    def pack(self, item: Any) -> Any:
        """In a worker: the item with its tensors in the slot, as far as they fit."""
        if self.slot is None:
            return item
        return _Packed(_map_tensors(item, Tensor, self._store), self.slot)

    def _store(self, tensor: Tensor) -> Any:
        """Place of a tensor in the slot; or the tensor, if it does not fit."""
        assert self.slot is not None
        slot = self._view(self.slot)
        if not _is_in(tensor, slot):
            copy = self.allocate([tensor.numel()], tensor.dtype).as_strided(
                tensor.shape, _strides(tensor)
            )
            tensor = copy.copy_(tensor)
        if not _is_in(tensor, slot):
            return tensor
        start = tensor.data_ptr() - slot.data_ptr()
        return _Stored(start, tensor.dtype, tuple(tensor.shape), tensor.stride())

    def unpack(self, item: Any, device: torch.device) -> Any:
        """In the process that uses the item: its tensors, for CUDA in pinned memory."""
        if isinstance(item, _Packed):
            slot = self._lend(item.slot)
            item = _map_tensors(item.item, _Stored, lambda stored: stored.view(slot))
        return _map_tensors(item, Tensor, Tensor.pin_memory) if device.type == "cuda" else item

    def _lend(self, slot: int) -> Tensor:
        """The memory of a slot, which is free when no view of it is left."""
        memory = np.frombuffer(self.memories[slot], np.uint8)
        weakref.finalize(memory, self.free.append, slot).atexit = False
        return torch.from_numpy(memory)


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor for an item: in a worker, in the memory from which the training reads it."""
    info = get_worker_info()
    if info is None or not isinstance(info.dataset, _Items):
        return torch.empty(*shape, dtype=dtype)
    return info.dataset.slots.allocate(shape, dtype)


def _is_in(tensor: Tensor, slot: Tensor) -> bool:
    return tensor.untyped_storage().data_ptr() == slot.untyped_storage().data_ptr()


def _strides(tensor: Tensor) -> tuple[int, ...]:
    """Strides of a copy: those of the tensor, if its values lie in one piece of memory."""
    is_images = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    if tensor.is_contiguous() or is_images:
        return tensor.stride()
    return torch.empty(tensor.shape, device="meta").stride()


def _map_tensors(item: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """The same item, with `function` of each object of a kind inside tuples, lists and dicts."""
    if isinstance(item, kind):
        return function(item)
    if isinstance(item, dict):
        return {key: _map_tensors(value, kind, function) for key, value in item.items()}
    if not isinstance(item, tuple | list):
        return item
    values = [_map_tensors(value, kind, function) for value in item]
    return type(item)(*values) if hasattr(item, "_fields") else type(item)(values)


class _Items(Dataset[Any]):
    """Makes an item of each plan; an error of the user is returned, so that it stays one line."""

    def __init__(self, make: Callable[[Any], Any], slots: _Slots) -> None:
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
    """Make an item of each plan, in the order of the plans.

    Parameters
    ----------
    plans : iterable
        What each item is made of. Random numbers are part of the plans, so that the items do not
        depend on the number of workers. Plans are drawn ahead, in the calling process; arrays of
        NumPy reach the workers faster than tensors.
    make : callable
        Makes an item; it runs in the workers, which are forks of the calling process.
    device : torch.device
        Where the items will be used: for CUDA, their tensors are pinned.
    workers : int, optional
        Number of worker processes; None: `worker_count()`; 0: the calling process makes each item
        when it is asked for.

    Yields
    ------
    Item

    Raises
    ------
    UserError
        The first that `make` raises.
    """
    count = worker_count() if workers is None else workers
    slots = _Slots(count * AHEAD + USED if count else 0)
    items = _Items(make, slots)
    if not count:
        yield from _finished(map(_on_one_thread(items), slots.assign(plans)), slots, device)
        return
    loader = DataLoader(
        items,
        batch_size=None,
        sampler=slots.assign(plans),
        num_workers=count,
        collate_fn=_unchanged,
        generator=torch.Generator(),  # leaves torch's global random numbers as they are
        multiprocessing_context="fork",
        prefetch_factor=AHEAD,
        worker_init_fn=_prepare_worker,
    )
    _end_workers_at_exit()
    yield from _one_ahead(_finished(iter(loader), slots, device))


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


def _finished(items: Iterator[Any], slots: _Slots, device: torch.device) -> Iterator[Any]:
    """The items with tensors of their own; an error of the user is raised."""
    for item in items:
        if isinstance(item, UserError):
            raise item
        yield slots.unpack(item, device)


def _one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items; a thread gets the next one while the last one is used."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, items, end)
        while (item := future.result()) is not end:
            future = pool.submit(next, items, end)
            yield item  # type: ignore[misc]


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
