"""The loop of every training stage: epochs, history, choice of the epoch, and resuming."""

import math
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from torch import nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.base.progress import progress
from spm.learn import checkpoints, distributed
from spm.learn.checkpoints import HistoryRow

EpochValues = Mapping[tuple[str, str], float]  # (split, name) → value, for one epoch


def _check_finite(values: EpochValues, title: str) -> None:
    """Stop before a checkpoint is written if a training loss is NaN or infinite."""
    for (split, name), value in values.items():
        if split == "train" and name.endswith("loss") and not math.isfinite(value):
            raise UserError(
                f"{title}: the {name} is {value}, so the weights are not usable. The checkpoint of"
                " the last good epoch is kept. Try a smaller lr, half: false, or more different"
                " clips"
            )


def _is_best(history: Sequence[HistoryRow], best_by: tuple[str, str]) -> bool:
    """Whether the last epoch has the smallest value so far, or an equal one."""
    values = [row.value for row in history if (row.split, row.name) == best_by]
    return values[-1] <= min(values)


def train(
    network: nn.Module,
    optimizer: Optimizer,
    train_epoch: Callable[[int], EpochValues],
    epochs: int,
    *,
    state: Path,
    title: str,
    best_by: tuple[str, str] | None = None,
    scaler: GradScaler | None = None,
) -> list[HistoryRow]:
    """Call `train_epoch(n)` for n = 0 … epochs - 1, and save a checkpoint in `state` after each.

    Parameters
    ----------
    network, optimizer
        Trained by `train_epoch`; at the end the network has the weights to keep.
    train_epoch : callable
        Trains one epoch and returns its values. All its random numbers depend on the epoch's
        number, so that a resumed training gives the same weights.
    epochs : int
        Number of epochs in all, including those before a kill.
    state : Path
        Folder of the checkpoints, named by what the training depends on
        (`checkpoints.fingerprint`).
    title : str
        Title of the progress bar.
    best_by : (split, name), optional
        Keep the epoch with the smallest value of this name; None: keep the last epoch.
    scaler : GradScaler, optional
        Scales the loss of a half-precision training; its state is in the checkpoints.

    Returns
    -------
    list of HistoryRow
        Every value of every epoch, in order.

    Raises
    ------
    UserError
        If a training loss is NaN or infinite.
    """
    best, history = checkpoints.resume(state, network, optimizer, scaler)
    first = history[-1].epoch + 1 if history else 0
    is_main = distributed.is_main_process()
    if is_main and first:
        print(f"{title}: continues at epoch {first + 1} of {epochs}", file=sys.stderr)
    bar = progress(range(first, epochs), title, quiet=not is_main)
    for epoch in bar:
        values = train_epoch(epoch)
        _check_finite(values, f"{title}, epoch {epoch + 1}")
        history += [HistoryRow(epoch, split, name, value)
                    for (split, name), value in values.items()]  # fmt: skip
        if best_by and _is_best(history, best_by):
            best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        bar.set_postfix({f"{split} {name}": f"{value:.3f}"
                         for (split, name), value in values.items()})  # fmt: skip
        checkpoints.save(state, network, best, optimizer, history, scaler)
    if best:
        network.load_state_dict(best)
    return history


def write_history(history: Sequence[HistoryRow], out: Path) -> None:
    """Write a history as a table."""
    tables.write_rows(out, schemas.HISTORY, [asdict(row) for row in history])


def finish(history: Sequence[HistoryRow], out: Path, state: Path) -> None:
    """Write the history, and delete the checkpoints; call this after the weights are saved."""
    write_history(history, out)
    shutil.rmtree(state, ignore_errors=True)
