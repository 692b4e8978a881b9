"""Weights as safetensors with JSON beside them: no pickles, and what made them is readable."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor

from spm.base.config import UserError
from spm.base.tables import whole


def save(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write `path` and, beside it, `path` with the suffix .json; each is whole or not there."""
    with whole(path.with_suffix(".json")) as part:
        part.write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    with whole(path) as part:
        part.write_bytes(serialised({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote: the tensors, on the CPU, and what is said about them.

    Raises
    ------
    UserError
        When either file is missing or not whole.
    """
    try:
        return load_file(path), json.loads(path.with_suffix(".json").read_text())
    except (FileNotFoundError, SafetensorError, json.JSONDecodeError) as error:
        raise UserError(f"no whole weights at {path} with .json beside them: {error}") from error


def load_foreign(path: Path, sha256: str) -> dict[str, Tensor]:
    """Read a state dict that others saved with torch, after checking that it is the one that was looked at."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise UserError(f"{path} has sha256 {found}, expected {sha256}: not loaded")
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors
