import platform
import resource
import shutil

import pytest
import torch

from spm.base.errors import UserError
from spm.learn.device import (
    COMPILE_STEPS,
    autocast,
    compiles,
    is_fused,
    make_scaler,
    pick_device,
)


def test_auto_is_the_gpu_if_there_is_one():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_an_error_with_the_remedy():
    with pytest.raises(UserError, match=r"device: 'cuda', but torch finds no GPU.*auto or cpu"):
        pick_device("cuda")
    with pytest.raises(UserError, match=r"device: 'mps', but torch finds no GPU"):
        pick_device("mps")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:first", "0.5"])
def test_another_word_is_an_error_with_the_words_that_are_known(name):
    with pytest.raises(UserError, match=r"expected one of auto, cpu, cuda, mps|torch finds no GPU"):
        pick_device(name)


def test_auto_is_the_gpu_of_a_mac(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto").type == "mps"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library is left unchanged")
def test_a_stage_keeps_the_memory_of_freed_tensors():
    pick_device("cpu", torch.get_num_threads())
    faults = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        layers = [torch.ones(2**23) for _ in range(8)]  # 32 MB each: 65,536 pages in all
        del layers
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    assert min(faults) < 1000


@pytest.mark.parametrize("half", [True, False])
def test_a_cpu_computes_with_float32_and_does_not_scale_the_loss(half):
    cpu = torch.device("cpu")
    with autocast(cpu, half):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32
    assert not make_scaler(cpu, half).is_enabled()
    assert is_fused(cpu) is None


@pytest.mark.parametrize(("has_bfloat16", "scales"), [(True, False), (False, True)])
def test_only_float16_needs_a_scaled_loss(monkeypatch, has_bfloat16, scales):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bfloat16)
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device, enabled: (device, enabled))
    cuda = torch.device("cuda")
    assert make_scaler(cuda) == ("cuda", scales)
    assert make_scaler(cuda, half=False) == ("cuda", False)


def test_auto_compiles_long_trainings_on_a_gpu_with_a_c_compiler(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert compiles("auto", cuda, COMPILE_STEPS)
    assert not compiles("auto", cuda, COMPILE_STEPS - 1)
    assert not compiles("auto", cpu, COMPILE_STEPS)
    assert compiles(True, cpu, 1)
    assert not compiles(False, cuda, COMPILE_STEPS)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert not compiles("auto", cuda, COMPILE_STEPS)
