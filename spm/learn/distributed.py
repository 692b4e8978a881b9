"""One training on several GPUs: torchrun starts one process per GPU.

Every process draws the same batches. A wrapped trunk computes its own part of each batch, and the
outputs of all processes are gathered. So the loss sees the whole batch with all its negatives, for
every method, as on one GPU with that batch.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


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
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    """Concatenation of the parts of all processes.

    Each process computes the whole loss, so the gradient of its own part is already complete.
    """

    @staticmethod
    def forward(ctx: Any, part: Tensor, batch: int) -> Tensor:
        rank = dist.get_rank()
        lengths = [len(rows) for rows in torch.arange(batch).tensor_split(world_size())]
        parts = [part.new_empty((length, *part.shape[1:])) for length in lengths]
        parts[rank] = part.contiguous()
        ctx.start, ctx.length = sum(lengths[:rank]), len(part)
        for source, values in enumerate(parts):
            dist.broadcast(values, source)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        own = gradients[0][ctx.start : ctx.start + ctx.length]
        return own * world_size(), None  # all_reduce_gradients divides by the number of processes


def wrap(trunk: nn.Module) -> None:
    """Let each process compute its part of the trunk's batch, and gather the outputs.

    On GPUs, the statistics of BatchNorm are those of the whole batch.
    """
    if world_size() == 1:
        return
    if next(trunk.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(trunk)
    batch_sizes: list[int] = []

    def select_part(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        batch_sizes.append(len(inputs[0]))
        return (inputs[0].tensor_split(world_size())[dist.get_rank()],)

    def gather(_: nn.Module, __: Any, output: Tensor) -> Any:
        return _Gather.apply(output, batch_sizes.pop())

    trunk.register_forward_pre_hook(select_part)
    trunk.register_forward_hook(gather)


def all_reduce_gradients(network: nn.Module) -> None:
    """Replace every gradient by its mean over the processes."""
    gradients = [part.grad for part in network.parameters() if part.grad is not None]
    if world_size() == 1 or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    means = (flat / world_size()).split([gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))
