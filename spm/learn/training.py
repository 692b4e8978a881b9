"""The loop that every training stage shares: epochs, history, which epoch to keep, resuming after a kill."""

import hashlib
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from spm.base import tables
from spm.base.config import UserError
from spm.base.progress import progress
from spm.learn import distributed, weights

Figures = Mapping[tuple[str, str], float]  # (split, name) → value, of one epoch


@dataclass(frozen=True)
class Row:
    """One figure of one epoch."""

    epoch: int
    split: str
    name: str
    value: float


def fingerprint(files: Sequence[Path], *texts: str) -> str:
    """Digest of what a training depends on; of a Parquet file its footer is read, which holds sizes and statistics."""
    digest = hashlib.sha256("\0".join(texts).encode())
    for path in sorted(files):
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 65_536))
            digest.update(f"{path.name}\0{size}\0".encode() + file.read())
    return digest.hexdigest()[:16]


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{n}.{name}": tensor
        for n, slot in state.items()
        for name, tensor in slot.items()
    }


def _save(
    folder: Path,
    network: nn.Module,
    best: Mapping[str, Tensor],
    optimizer: Optimizer,
    history: list[Row],
) -> None:
    if not distributed.is_main_process():
        return
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {
        f"best.{name}": tensor.clone() for name, tensor in best.items()
    } | _optimizer_tensors(optimizer)
    epoch = history[-1].epoch
    weights.save(
        folder / f"{epoch:05d}.safetensors", tensors, {"history": [asdict(row) for row in history]}
    )
    for old in folder.glob("*.safetensors"):
        if old.stem < f"{epoch:05d}":
            old.unlink()
            old.with_suffix(".json").unlink(missing_ok=True)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _resume(
    folder: Path, network: nn.Module, optimizer: Optimizer
) -> tuple[dict[str, Tensor], list[Row]]:
    """Put network and optimizer back to the last whole checkpoint; none: nothing is changed."""
    for path in sorted(folder.glob("*.safetensors"), reverse=True):
        tensors, about = weights.load(path)
        network.load_state_dict(_part(tensors, "network."))
        slots: dict[int, dict[str, Any]] = {}
        for name, tensor in _part(tensors, "optimizer.").items():
            number, key = name.split(".", 1)
            slots.setdefault(int(number), {})[key] = tensor
        optimizer.load_state_dict(
            {"state": slots, "param_groups": optimizer.state_dict()["param_groups"]}
        )
        return _part(tensors, "best."), [Row(**row) for row in about["history"]]
    return {}, []


def _check(figures: Figures, where: str) -> None:
    """Refuse to go on, or to keep a checkpoint, once a loss is no number."""
    for (split, name), value in figures.items():
        if split == "train" and name.endswith("loss") and not math.isfinite(value):
            raise UserError(
                f"{where}: the {name} is {value}, and so are the weights: a smaller lr, half: false, or more clips that"
                " differ may help; the last good epoch's checkpoint is kept"
            )


def train(
    network: nn.Module,
    optimizer: Optimizer,
    epoch: Callable[[int], Figures],
    epochs: int,
    *,
    state: Path,
    what: str,
    best_by: tuple[str, str] | None = None,
) -> list[Row]:
    """Call `epoch(n)` for n = 0 … epochs - 1, keeping a checkpoint after each in `state`.

    Parameters
    ----------
    network, optimizer
        What `epoch` trains; left with the weights to keep.
    epoch : callable
        Trains one epoch, drawing all its randomness from its number, and returns its figures.
    epochs : int
        How many in all, those before a kill included.
    state : Path
        Folder of the checkpoints, named by what the training depends on (`fingerprint`).
    what : str
        What the progress bar says.
    best_by : (split, name), optional
        Keep the epoch with the smallest value of this figure; None: keep the last.

    Returns
    -------
    list of Row
        Every figure of every epoch, in order.

    Raises
    ------
    UserError
        If a training loss is NaN or infinite.
    """
    best, history = _resume(state, network, optimizer)
    done = history[-1].epoch + 1 if history else 0
    bar = progress(range(done, epochs), what, quiet=not distributed.is_main_process())
    for number in bar:
        figures = epoch(number)
        _check(figures, f"{what}, epoch {number + 1}")
        history += [Row(number, split, name, value) for (split, name), value in figures.items()]
        if best_by and figures[best_by] <= min(
            row.value for row in history if (row.split, row.name) == best_by
        ):
            best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        bar.set_postfix(
            {f"{split} {name}": f"{value:.3f}" for (split, name), value in figures.items()}
        )
        _save(state, network, best, optimizer, history)
    if best:
        network.load_state_dict(best)
    return history


def write(history: Sequence[Row], out: Path) -> None:
    """Write a history as a table."""
    tables.write_rows(out, tables.HISTORY, [asdict(row) for row in history])


def finish(history: Sequence[Row], out: Path, state: Path) -> None:
    """Write the history of a training whose weights are safe, and forget its checkpoints."""
    write(history, out)
    shutil.rmtree(state, ignore_errors=True)
