"""Memory in which worker processes put what they make, and from which the training reads it."""

import math
import mmap
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

Plan = TypeVar("Plan")
GROUP = 8  # plans that are drawn together: one by one takes the processor four times as long
# Memory of one item, reserved but not used: a larger item is sent by torch, which is slower.
SLOT_BYTES = 2**28
ALIGNMENT = 64  # bytes


class _Stored(NamedTuple):
    """Place of a tensor in a slot."""

    start: int  # in bytes
    dtype: str  # of NumPy
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in bytes

    def view(self, slot: np.ndarray) -> Tensor:
        """The tensor in the slot.

        Views of torch would cost more: each lets other threads take Python's lock.
        """
        return torch.from_numpy(np.ndarray(self.shape, self.dtype, slot, self.start, self.strides))


class _Packed(NamedTuple):
    """An item whose tensors are in a slot."""

    item: Any
    slot: int


class Slots:
    """Memory that workers share with the process that started them, and where they put their items.

    Without it, each tensor that a worker sends gets new shared memory, which takes as long as the
    decoding of the images. Nothing is copied: an item that is used is a view of its slot, and the
    slot is free again when no tensor of the item is left.
    """

    def __init__(self, count: int) -> None:
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        self.memories = [mmap.mmap(-1, SLOT_BYTES, flags) for _ in range(count)]
        self.addresses = [np.frombuffer(memory, np.uint8).ctypes.data for memory in self.memories]
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
        size, kind = math.prod(shape) * dtype.itemsize, _numpy_type(dtype)
        start = math.ceil(self.used / ALIGNMENT) * ALIGNMENT
        if self.slot is None or kind is None or not size or start + size > SLOT_BYTES:
            return torch.empty(*shape, dtype=dtype)
        self.used = start + size
        return torch.from_numpy(np.ndarray(shape, kind, self.memories[self.slot], start))

    def pack(self, item: Any) -> Any:
        """In a worker: the item with its tensors in the slot, as far as they fit."""
        if self.slot is None:
            return item
        return _Packed(_map_tensors(item, Tensor, self._store), self.slot)

    def _store(self, tensor: Tensor) -> Any:
        """Place of a tensor in the slot; or the tensor, if it does not fit."""
        if not self._has(tensor):
            copy = self.allocate([tensor.numel()], tensor.dtype).as_strided(
                tensor.shape, _strides(tensor)
            )
            tensor = copy.copy_(tensor)
        if not self._has(tensor):
            return tensor
        array = tensor.numpy()
        return _Stored(self._start(tensor), array.dtype.str, array.shape, array.strides)

    def _start(self, tensor: Tensor) -> int:
        """Where a tensor lies in the slot, in bytes; outside 0 … SLOT_BYTES if it is elsewhere."""
        assert self.slot is not None
        return tensor.data_ptr() - self.addresses[self.slot]

    def _has(self, tensor: Tensor) -> bool:
        return 0 <= self._start(tensor) < SLOT_BYTES

    def unpack(self, item: Any, device: torch.device) -> Any:
        """In the process that uses the item: its tensors, for CUDA in pinned memory."""
        if isinstance(item, _Packed):
            slot = self._lend(item.slot)
            item = _map_tensors(item.item, _Stored, lambda stored: stored.view(slot))
        return _map_tensors(item, Tensor, Tensor.pin_memory) if device.type == "cuda" else item

    def _lend(self, slot: int) -> np.ndarray:
        """The memory of a slot, which is free when no view of it is left."""
        memory = np.frombuffer(self.memories[slot], np.uint8)
        weakref.finalize(memory, self.free.append, slot).atexit = False
        return memory


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor for an item: in a worker, in the memory from which the training reads it."""
    slots = getattr(getattr(get_worker_info(), "dataset", None), "slots", None)
    if not isinstance(slots, Slots):
        return torch.empty(*shape, dtype=dtype)
    return slots.allocate(shape, dtype)


@cache
def _numpy_type(dtype: torch.dtype) -> np.dtype[Any] | None:
    """The same type of NumPy; None if it has none, such as bfloat16."""
    try:
        return torch.empty(0, dtype=dtype).numpy().dtype
    except TypeError:
        return None


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
