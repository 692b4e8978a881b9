"""Weights as safetensors with JSON beside them: no pickles, and what made them is readable."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as deserialized
from safetensors.torch import save as serialized
from torch import Tensor

from spm.base.config import UserError
from spm.base.tables import atomic_write

DIGEST = "sha256"  # of the weights, among what is said about them
AGAIN = "delete both and run again"


def save(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write `path` and, beside it, `path` with the suffix .json; each is whole or not there, and names the other."""
    content = serialized(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    )
    with atomic_write(path.with_suffix(".json")) as part:
        named = {**about, DIGEST: hashlib.sha256(content).hexdigest()}
        part.write_text(json.dumps(named, indent=1, sort_keys=True) + "\n")
    with atomic_write(path) as part:
        part.write_bytes(content)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote: the tensors, on the CPU, and what is said about them.

    Raises
    ------
    UserError
        When either file is missing or not whole, or the two do not belong together.
    """
    try:
        content, about = path.read_bytes(), json.loads(path.with_suffix(".json").read_text())
        tensors: dict[str, Tensor] = deserialized(content)
    except (FileNotFoundError, SafetensorError, json.JSONDecodeError) as error:
        raise UserError(
            f"no whole weights at {path} with .json beside them ({error}): {AGAIN}"
        ) from error
    digest = about.pop(DIGEST, None)  # others' weights may have none
    if digest not in (None, hashlib.sha256(content).hexdigest()):
        raise UserError(
            f"{path} is not what {path.with_suffix('.json').name} beside it is about: {AGAIN}"
        )
    return tensors, about


def load_foreign(path: Path, sha256: str) -> dict[str, Tensor]:
    """Read a state dict that others saved with torch, after checking that it is the one that was looked at."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise UserError(f"{path} has sha256 {found}, expected {sha256}: not loaded")
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors
