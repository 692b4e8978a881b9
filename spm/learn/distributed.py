"""One training in several processes: torchrun starts one process per GPU, on one or more nodes.

Every process draws the same batches, and decodes and computes only its own part of each
(`own_part`). `wrap` shares a trunk among the processes: it takes a part, and gives the outputs of
the whole batch. So the loss sees the whole batch with all its negatives, for every method, as on
one GPU with that batch. DistributedDataParallel adds up the gradients of the trunk's parts.

Where gradients are off, as in validation, a tensor is the whole batch: every process computes all
of it, without communication.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.nn.functional import pad
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parameters_to_vector, vector_to_parameters

Value = TypeVar("Value")
# Longer than a process needs to prepare a large corpus, or to write the results.
TIMEOUT = timedelta(hours=3)


def world_size() -> int:
    """Number of processes of the training."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main_process() -> bool:
    """Whether this process writes the checkpoints and the results."""
    return not dist.is_initialized() or dist.get_rank() == 0


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that torchrun started, if any; each uses the GPU of its local rank."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield
    finally:
        dist.destroy_process_group()


def from_main_process(value: Value) -> Value:
    """The value that the main process passed, in every process."""
    values = [value]
    if world_size() > 1:
        dist.broadcast_object_list(values, src=0)
    return values[0]


def own_part(batch: int) -> slice:
    """Rows of a batch that this process computes; the parts differ by one row at most.

    Without gradients, these are all rows.
    """
    if world_size() == 1 or not torch.is_grad_enabled():
        return slice(0, batch)
    rows, larger = divmod(batch, world_size())
    rank = dist.get_rank()
    start = rank * rows + min(rank, larger)
    return slice(start, start + rows + (rank < larger))


def gather(part: Tensor) -> Tensor:
    """Rows of all processes, in the order of the processes: (b, …) → (B, …).

    Every process must compute the same loss from them, because the gradient of a part is the sum
    over the losses of all processes. Without gradients, the tensor is returned as it is.
    """
    if not dist.is_initialized() or not torch.is_grad_enabled():
        return part
    # Imported only here: it takes as long as half of torch, and most stages run in one process.
    from torch.distributed.tensor import DTensor, Partial, Shard

    lengths = _all_lengths(part)
    longest = max(lengths)
    padded = pad(part, [0] * (2 * part.dim() - 1) + [longest - len(part)])
    mesh = _mesh(part.device.type)
    rows = DTensor.from_local(padded, mesh, [Shard(0)]).full_tensor(grad_placements=[Partial()])
    parts = rows.split(longest)
    return torch.cat([each[:length] for each, length in zip(parts, lengths, strict=True)])


def _all_lengths(part: Tensor) -> list[int]:
    """Number of rows of each process."""
    lengths = list(torch.empty(world_size(), 1, dtype=torch.int64))
    dist.all_gather(lengths, torch.tensor([len(part)]))  # on CPUs, so that no GPU is waited for
    return torch.cat(lengths).tolist()


@cache
def _mesh(device_type: str) -> DeviceMesh:
    """All processes of the training, as DTensor names them."""
    return init_device_mesh(device_type, (world_size(),))


class _Trunk(nn.Module):
    """A trunk and its computation, as a module of its own."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk, self.compute = trunk, trunk.forward

    def forward(self, part: Tensor) -> Tensor:
        return self.compute(part)  # type: ignore[no-any-return]


def wrap(trunk: nn.Module) -> None:
    """Share a trunk among the processes: (b, …) of this process → outputs of the whole batch.

    Names of weights stay as they are. On GPUs, the statistics of BatchNorm are those of the whole
    batch. Compile a trunk before this.
    """
    if not dist.is_initialized():
        return
    if next(trunk.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(trunk)
    compute = alone = trunk.forward
    if any(parameter.requires_grad for parameter in trunk.parameters()):
        compute = DistributedDataParallel(_Trunk(trunk))
        compute.broadcast_buffers = False  # a trunk may run twice before the backward pass

    def forward(part: Tensor) -> Tensor:
        return gather(compute(part)) if torch.is_grad_enabled() else alone(part)

    trunk.forward = forward


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes.

    The gradients of what follows the trunks are already equal, except for rounding on GPUs.
    """
    gradients = [part.grad for part in parameters if part.grad is not None]
    if world_size() > 1 and gradients:
        vector = parameters_to_vector(gradients)
        dist.all_reduce(vector)
        vector_to_parameters(vector / world_size(), gradients)
