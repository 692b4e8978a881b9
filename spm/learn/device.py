"""The device that a stage computes on, and how: chosen in code, so that one workflow fits all."""

import ctypes
import os
import shutil
from contextlib import suppress
from typing import Literal

import torch
from torch import nn
from torch.amp import GradScaler

from spm.base.errors import UserError
from spm.base.words import one_of

DEVICES = ("auto", "cpu", "cuda", "mps")
COMPILE_STEPS = 20_000  # at 10 ms saved per step, the three minutes that compiling takes
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names of the options in glibc's malloc.h


def use_threads(number: int) -> None:
    """Compute with so many threads on a CPU, on any number of cores.

    Sums are split among the threads, so another number gives other last digits. Snakemake sets
    OMP_NUM_THREADS to the cores of a job, which must not change its result. The processes that
    torchrun started on this machine share the threads.
    """
    _keep_freed_memory()
    torch.set_num_threads(max(1, number // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def _keep_freed_memory() -> None:
    """Let this process keep the memory of freed tensors, because the next step needs as much again.

    By default, glibc returns large tensors to Linux, which fills the same memory with zeros for
    each new one: on a CPU, a tenth of the time of a training, and a third of that of heat maps.
    Other C libraries are left unchanged.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def pick_device(name: str, threads: int | None = None) -> torch.device:
    """Device of a config: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

    `auto` is the GPU, if there is one: NVIDIA's, or that of a Mac. `threads` are the setting of the
    stage (`use_threads`); None: as many as torch chooses.

    Raises
    ------
    UserError
        If there is no such device, or torch finds no GPU.
    """
    if threads is not None:
        use_threads(threads)
    has_gpu = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((kind for kind, found in has_gpu.items() if found), "cpu")
    if not has_gpu.get(name.split(":")[0], True):
        raise UserError(
            f"device: {name!r}, but torch finds no GPU on this machine: set device to auto or cpu"
        )
    try:
        return torch.device(name)
    except RuntimeError:
        raise UserError(f"device: {name!r}; {one_of(name, DEVICES)}") from None


def half_type() -> torch.dtype:
    """The 16-bit type of the GPU: bfloat16 if it computes with it, otherwise float16."""
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if has_bfloat16 else torch.float16


def autocast(device: torch.device, half: bool = True) -> torch.autocast:
    """Context in which a GPU computes with `half_type`; on a CPU it changes nothing.

    `half` is the stage's setting; False: the GPU computes with float32 too.
    """
    if half and device.type == "cuda":
        return torch.autocast("cuda", half_type())
    return torch.autocast(device.type, enabled=False)


def make_scaler(device: torch.device, half: bool = True) -> GradScaler:
    """Scaler of the loss, so that small gradients do not become 0 in float16.

    It is disabled where `autocast` does not use float16: bfloat16 has the range of float32.
    """
    scales = half and device.type == "cuda" and half_type() is torch.float16
    return torch.amp.GradScaler(device.type, enabled=scales)


def is_fused(device: torch.device) -> bool | None:
    """Argument `fused` of an optimizer: one kernel for all weights on a GPU; torch's default else.

    With it, the scaler's `step` does not wait for the GPU either.
    """
    return True if device.type == "cuda" else None


def channels_last(network: nn.Module) -> None:
    """On a GPU, store the weights of convolutions with the channels last, as its kernels want."""
    if next(network.parameters()).is_cuda:
        network.to(memory_format=torch.channels_last)


def compiles(setting: Literal["auto"] | bool, device: torch.device, steps: int) -> bool:
    """Whether to compile a network for a training of so many steps; `setting` is the stage's."""
    if setting != "auto":
        return setting
    compilers = filter(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))
    return device.type == "cuda" and steps >= COMPILE_STEPS and any(compilers)
