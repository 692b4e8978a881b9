"""Where to compute: chosen in code, so that one workflow runs on a laptop, a workstation and a cluster."""

import torch

from spm.base.config import UserError


def pick(device: str) -> torch.device:
    """The device of a config's `auto`, `cpu`, `cuda`, `cuda:1`, …; `auto` is the GPU where there is one.

    Raises
    ------
    UserError
        When a GPU is asked for by name and none is there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            f"device: {device!r}, but this machine has no GPU that torch can use; say auto or cpu"
        )
    return torch.device(device)
