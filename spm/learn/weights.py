"""Weights as safetensors, with a JSON file that says how they were made; no pickles."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as deserialize
from safetensors.torch import save as serialize
from torch import Tensor

from spm.base import file_kinds, json_file
from spm.base.errors import UserError
from spm.base.files import atomic_write

DIGEST_KEY = "sha256"  # of the weights, in the JSON file
REMEDY = "delete both files and run again"


def save(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write the weights to `path`, and `about` to the same path with the suffix .json.

    Each file is complete or absent, and the JSON file has the digest of the weights.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write(path, serialize(on_cpu), about)


def write(path: Path, content: bytes, about: Mapping[str, Any]) -> None:
    """Write the content of a safetensors file to `path`, and `about` beside it, as `save` does."""
    digest = hashlib.sha256(content).hexdigest()
    json_file.write(path.with_suffix(".json"), {**about, DIGEST_KEY: digest})
    with atomic_write(path) as part:
        part.write_bytes(content)


def load_about(path: Path) -> dict[str, Any]:
    """Read what the JSON file beside the weights says of them; the weights are not read.

    Raises
    ------
    UserError
        If the JSON file is missing or damaged.
    """
    about = path.with_suffix(".json")
    if not about.is_file():
        raise UserError(
            f"no complete weights at {path}: {about.name}, which describes them, is not beside it:"
            " copy both files, or run again"
        )
    try:
        return json_file.read(about, signed=False)  # weights may be a user's
    except UserError as error:
        raise _incomplete(path, error) from error


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the files that `save` wrote: the tensors, on the CPU, and `about`.

    Raises
    ------
    UserError
        If one of the two files is missing or damaged, or they do not belong together.
    """
    try:
        content = path.read_bytes()
        tensors: dict[str, Tensor] = deserialize(content)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"no weights at {path}: {error.strerror}: run again") from error
    except SafetensorError as error:
        kind = file_kinds.kind_of(content)
        if kind and kind != file_kinds.SAFETENSORS:
            raise UserError(f"{path}: {kind}; expected weights in a safetensors file") from error
        raise _incomplete(path, error) from error
    about = load_about(path)
    expected = about.pop(DIGEST_KEY, None)  # weights from elsewhere may have none
    if expected not in (None, hashlib.sha256(content).hexdigest()):
        raise UserError(
            f"{path} does not belong to {path.with_suffix('.json').name}: its SHA-256 differs from"
            f" the one there; {REMEDY}"
        )
    return tensors, about


def _incomplete(path: Path, error: Exception) -> UserError:
    return UserError(f"no complete weights at {path} and its .json file ({error}): {REMEDY}")
