"""Checkpoints of a training: saved after each epoch, and loaded to resume after a kill."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from spm.learn import distributed, weights

FOOTER_BYTES = 65_536  # read at the end of each file


@dataclass(frozen=True)
class HistoryRow:
    """One value of one epoch."""

    epoch: int
    split: str
    name: str
    value: float


def fingerprint(files: Sequence[Path], *texts: str) -> str:
    """Digest of the files and texts that a training depends on.

    Of a file only the name, the size and the end are read: the footer of a Parquet file, which has
    the sizes and statistics of all its columns.
    """
    digest = hashlib.sha256("\0".join(texts).encode())
    for path in sorted(files):
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - FOOTER_BYTES))
            digest.update(f"{path.name}\0{size}\0".encode() + file.read())
    return digest.hexdigest()[:16]


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    tensors = {}
    for number, slot in optimizer.state_dict()["state"].items():
        for name, tensor in slot.items():
            tensors[f"optimizer.{number}.{name}"] = tensor
    return tensors


def save(
    folder: Path,
    network: nn.Module,
    best: Mapping[str, Tensor],
    optimizer: Optimizer,
    history: Sequence[HistoryRow],
    scaler: GradScaler | None = None,
) -> None:
    """Write the checkpoint of the last epoch, then delete those of earlier epochs.

    `best` holds the weights of the best epoch so far; it is empty if the last epoch is kept. The
    state of `scaler` is saved if the training has one.
    """
    if not distributed.is_main_process():
        return
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"best.{name}": tensor.clone() for name, tensor in best.items()}
    tensors |= _optimizer_tensors(optimizer)
    current = folder / f"{history[-1].epoch:05d}.safetensors"
    about = {
        "history": [asdict(row) for row in history],
        "scaler": scaler.state_dict() if scaler else {},  # {} also if the scaler is disabled
    }
    weights.save(current, tensors, about)
    for old in folder.glob("*.safetensors"):
        if old.stem < current.stem:
            old.unlink()
            old.with_suffix(".json").unlink(missing_ok=True)


def _select(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names start with `prefix`, by the rest of their names."""
    selected = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            selected[name.removeprefix(prefix)] = tensor
    return selected


def resume(
    folder: Path, network: nn.Module, optimizer: Optimizer, scaler: GradScaler | None = None
) -> tuple[dict[str, Tensor], list[HistoryRow]]:
    """Load the last checkpoint into network, optimizer and scaler; without one, nothing changes.

    A checkpoint without the state of a scaler leaves the scaler as it is.

    Returns
    -------
    best : dict
        The weights of the best epoch so far, as they were saved.
    history : list of HistoryRow
        The values of the epochs so far.
    """
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        return {}, []
    tensors, about = weights.load(paths[-1])
    network.load_state_dict(_select(tensors, "network."))
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in _select(tensors, "optimizer.").items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    if scaler and about.get("scaler"):
        scaler.load_state_dict(about["scaler"])
    return _select(tensors, "best."), [HistoryRow(**row) for row in about["history"]]
