"""One training on several GPUs: torchrun starts a process for each.

Every process draws the same batches. A spread trunk computes its own part of each, and what comes out is gathered: so a
loss sees the whole batch and every negative in it, whatever the method, as on one GPU with that batch.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world_size() -> int:
    """Processes that learn together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main_process() -> bool:
    """Whether this one writes what all have learnt."""
    return not dist.is_initialized() or dist.get_rank() == 0


@contextmanager
def process_group() -> Iterator[None]:
    """Meet the other processes, where torchrun has started some; each has the GPU of its number."""
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


class _Gathered(torch.autograd.Function):
    """The parts of all processes, one after the other; each has the whole loss, so its own part's gradient is whole."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, whole: int) -> Tensor:
        parts = [
            part.new_empty((len(rows), *part.shape[1:]))
            for rows in torch.arange(whole).tensor_split(world_size())
        ]
        ctx.at, ctx.length = sum(map(len, parts[: dist.get_rank()])), len(part)
        parts[dist.get_rank()] = part.contiguous()
        for rank, each in enumerate(parts):
            dist.broadcast(each, rank)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        own = gradients[0][ctx.at : ctx.at + ctx.length]
        return own * world_size(), None  # `agree` takes the mean of all


def wrap(trunk: nn.Module) -> None:
    """Have each process compute its part of what a trunk is given; batch statistics are those of all parts on GPUs."""
    if world_size() == 1:
        return
    if next(trunk.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(trunk)
    lengths: list[int] = []

    def own(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        lengths.append(len(given[0]))
        return (given[0].tensor_split(world_size())[dist.get_rank()],)

    trunk.register_forward_pre_hook(own)
    trunk.register_forward_hook(lambda _, __, out: _Gathered.apply(out, lengths.pop()))


def all_reduce_gradients(network: nn.Module) -> None:
    """Take the mean of all processes' gradients."""
    gradients = [part.grad for part in network.parameters() if part.grad is not None]
    if world_size() == 1 or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, mean in zip(
        gradients, (flat / world_size()).split([len(g.flatten()) for g in gradients]), strict=True
    ):
        gradient.copy_(mean.view_as(gradient))
