"""The loop of every training stage: epochs, history, choice of the epoch, and resuming."""

import math
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic

from torch import nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.learn import checkpoints, distributed
from spm.learn.checkpoints import Checkpoints, HistoryRow, Progress
from spm.learn.epoch import Epoch as Epoch
from spm.learn.epoch import EpochValues as EpochValues
from spm.learn.finished import keep_newest
from spm.learn.monitor import Monitor

# Steps, or seconds, between two looks at the values, each of which waits for the GPU.
LOG_STEPS, LOG_S = 20, 10.0
CHECKPOINT_MINUTES = 10.0
UNFINISHED = 3  # trainings of one network, with other settings, that can be continued


def _check_finite(values: EpochValues, title: str) -> None:
    """Stop before a checkpoint is written if a training loss is NaN or infinite."""
    for (split, name), value in values.items():
        if split == "train" and name.endswith("loss") and not math.isfinite(value):
            raise UserError(
                f"{title}: the {name} is {value}, so the weights are not usable. The last good"
                " checkpoint is kept. Try a smaller lr, half: false, or more different clips"
            )


def _is_best(history: Sequence[HistoryRow], best_by: tuple[str, str]) -> bool:
    """Whether the last epoch has the smallest value so far, or an equal one."""
    values = [row.value for row in history if (row.split, row.name) == best_by]
    return values[-1] <= min(values)


class _Loop:
    """What is done after each step and after each epoch."""

    def __init__(
        self, title: str, saver: Checkpoints, monitor: Monitor, progress: Progress, minutes: float
    ) -> None:
        self.title, self.saver, self.monitor, self.progress = title, saver, monitor, progress
        self.interval_s = 60 * minutes
        self.saved_s = self.shown_s = monotonic()
        self.terminated = False

    def begin(self, number: int) -> Epoch:
        """The epoch of a number; a resumed one continues after its last checkpoint."""
        epoch, progress = Epoch(number, self.after_step), self.progress
        epoch.skip, epoch.names, epoch.values = progress.step, progress.names, progress.values
        epoch.generators = progress.generators
        progress.step, progress.names, progress.values, progress.generators = 0, [], [], {}
        return epoch

    def after_step(self, epoch: Epoch) -> None:
        """Show the values now and then; save every few minutes, or before the end."""
        self.progress.steps += 1
        may_save = epoch.resumable and epoch.group.last
        is_due = monotonic() - self.saved_s >= self.interval_s
        if may_save and (is_due or self.terminated):
            self.save_inside(epoch)
        if self.terminated and (may_save or not epoch.resumable):
            self.stop(f"in epoch {epoch + 1}, after step {epoch.step} of {epoch.count}")
        self.monitor.move(epoch.position)
        is_shown = epoch.step % LOG_STEPS == 0 or epoch.step == epoch.count
        if is_shown or monotonic() - self.shown_s >= LOG_S:
            values, speed = epoch.recent()
            _check_finite(values, f"{self.title}, epoch {epoch + 1}")
            self.monitor.show(values, speed, self.progress.steps)
            self.shown_s = monotonic()

    def end(self, epoch: Epoch, values: EpochValues, best_by: tuple[str, str] | None) -> None:
        """Add the values of an epoch to the history, and save."""
        _check_finite(values, f"{self.title}, epoch {epoch + 1}")
        progress = self.progress
        progress.history += [HistoryRow(int(epoch), split, name, value)
                             for (split, name), value in values.items()]  # fmt: skip
        progress.epoch += 1
        if best_by and _is_best(progress.history, best_by):
            state = self.saver.network.state_dict()
            progress.best = {name: part.to("cpu", copy=True) for name, part in state.items()}
        self.save(progress)
        if self.terminated:
            self.stop(f"after epoch {epoch + 1}")
        self.monitor.end_epoch(epoch, values, progress.steps)

    def save_inside(self, epoch: Epoch) -> None:
        """Write a checkpoint inside an epoch, unless a loss is no number."""
        _check_finite(epoch.means(), f"{self.title}, epoch {epoch + 1}")
        inside = replace(self.progress, step=epoch.step, names=epoch.names, values=epoch.values)
        self.save(replace(inside, generators=checkpoints.generator_states()))

    def save(self, progress: Progress) -> None:
        """Write a checkpoint."""
        self.saver.save(progress)
        self.saved_s = monotonic()

    def stop(self, place: str) -> None:
        """End the process as SIGTERM would, with the last checkpoint on disk."""
        self.saver.wait()
        with suppress(BrokenPipeError):  # what reads the log may have got SIGTERM too
            print(
                f"{self.title}: stopped by SIGTERM {place}; run again to continue", file=sys.stderr
            )
        raise SystemExit(128 + signal.SIGTERM)

    def on_sigterm(self, *_: object) -> None:
        """Let the training save and stop after the current step."""
        self.terminated = True


@contextmanager
def _sigterm_calls(handler: Callable[..., None]) -> Iterator[None]:
    """Call `handler` when the process shall end, such as at a preemption.

    Only the main process saves; the others of the training end when it does. The workers of the
    loader, which inherit the handler, ignore the first SIGTERM: the main process needs them until
    it has saved, and they end with it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    main_process = os.getpid()

    def on_signal(*_: object) -> None:
        if os.getpid() != main_process:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        elif distributed.is_main_process():
            handler()

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def train(
    network: nn.Module,
    optimizer: Optimizer,
    train_epoch: Callable[[Epoch], EpochValues],
    epochs: int,
    *,
    state: Path,
    title: str,
    best_by: tuple[str, str] | None = None,
    scaler: GradScaler | None = None,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    log: Path | None = None,
) -> list[HistoryRow]:
    """Call `train_epoch(n)` for n = 0 … epochs - 1, with checkpoints in `state`.

    A checkpoint is written after each epoch, every few minutes between two steps of
    `Epoch.steps`, and after the current step when the process gets SIGTERM.

    Parameters
    ----------
    network, optimizer
        Trained by `train_epoch`; at the end the network has the weights to keep.
    train_epoch : callable
        Trains one epoch and returns its values. It gets the number of the epoch as an `Epoch`,
        through which it can take its batches; without that, there is no checkpoint inside the
        epoch. All its random numbers depend on the epoch's number, so that a resumed training
        gives the same weights.
    epochs : int
        Number of epochs in all, including those before a kill.
    state : Path
        Folder of the checkpoints, named by what the training depends on
        (`finished.work_digest`).
    title : str
        Title of the progress bar.
    best_by : (split, name), optional
        Keep the epoch with the smallest value of this name; None: keep the last epoch.
    scaler : GradScaler, optional
        Scales the loss of a half-precision training; its state is in the checkpoints.
    checkpoint_minutes : float
        Time between two checkpoints inside an epoch.
    log : Path, optional
        Folder of the TensorBoard log and of the speed of each epoch; None: no log.

    Returns
    -------
    list of HistoryRow
        Every value of every epoch, in order.

    Raises
    ------
    UserError
        If a training loss is NaN or infinite.
    """
    is_main, device = distributed.is_main_process(), next(network.parameters()).device
    with ExitStack() as stack:
        saver = stack.enter_context(Checkpoints(state, network, optimizer, scaler))
        progress = saver.resume()
        if is_main and progress.has_begun:
            inside = f", after step {progress.step}" if progress.step else ""
            place = f"epoch {progress.epoch + 1} of {epochs}{inside}"
            print(f"{title}: continues at {place}", file=sys.stderr)
        monitor = Monitor(title, epochs, progress, device, log, quiet=not is_main)
        stack.enter_context(monitor)
        loop = _Loop(title, saver, monitor, progress, checkpoint_minutes)
        stack.enter_context(_sigterm_calls(loop.on_sigterm))
        for number in range(progress.epoch, epochs):
            epoch = loop.begin(number)
            loop.end(epoch, train_epoch(epoch), best_by)
    if progress.best:
        network.load_state_dict(progress.best)
    return progress.history


def write_history(history: Sequence[HistoryRow], out: Path) -> None:
    """Write a history as a table."""
    tables.write_rows(out, schemas.HISTORY, [asdict(row) for row in history])


def finish(history: Sequence[HistoryRow], out: Path, state: Path) -> None:
    """Write the history, and delete the checkpoints; call this after the weights are saved.

    Of the trainings with other settings that were stopped, the last few keep their checkpoints.
    """
    write_history(history, out)
    shutil.rmtree(state, ignore_errors=True)
    keep_newest(state.parent, UNFINISHED)
    with suppress(OSError):  # unless it has other checkpoints
        state.parent.rmdir()
