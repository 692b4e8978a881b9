"""The device that a stage computes on: chosen in code, so that one workflow fits every machine."""

import torch

from spm.base.errors import UserError


def pick_device(name: str) -> torch.device:
    """Device of a config's `auto`, `cpu`, `cuda`, `cuda:1`, …; `auto` is the GPU, if there is one.

    Raises
    ------
    UserError
        If the config names a GPU and torch finds none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            f"device: {name!r}, but torch finds no GPU on this machine: set device to auto or cpu"
        )
    return torch.device(name)
