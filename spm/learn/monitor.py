"""What a training shows: a progress bar, a TensorBoard log, and the speed of each epoch.

The speeds are in a file beside the log and not in the history, because equal trainings write equal
histories.
"""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from spm.base import tables
from spm.base.constants import SPEEDS
from spm.base.progress import progress
from spm.learn.checkpoints import Progress
from spm.learn.epoch import Epoch, EpochValues, Speed

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.2f}/{total} epochs [{elapsed}<{remaining}{postfix}]"
EVENTS = "events.out.tfevents.*"  # names of TensorBoard's files
FLUSH_S = 10
GB = 1e9


class Monitor(ExitStack):
    """Shows one training; leave it as a context to complete the log.

    Parameters
    ----------
    title : str
        Title of the progress bar.
    epochs : int
        Number of epochs in all.
    so_far : Progress
        What was done before a kill; the log continues there.
    device : torch.device
        Where the network is.
    folder : Path, optional
        Folder of the TensorBoard log; None: no log.
    quiet : bool
        Show and write nothing: the processes of a training besides the main one.
    """

    def __init__(
        self,
        title: str,
        epochs: int,
        so_far: Progress,
        device: torch.device,
        folder: Path | None = None,
        quiet: bool = False,
    ) -> None:
        super().__init__()
        self.device, self.folder = device, None if quiet else folder
        self.shown: dict[str, str] = {}
        self.bar: tqdm[int] = self.enter_context(
            progress(range(0), title, epochs, bar_format=BAR, quiet=quiet, initial=so_far.epoch)
        )
        self.speeds: list[dict[str, float]] = []
        self.writer: SummaryWriter | None = None
        if self.folder:
            self.speeds = _kept_speeds(self.folder, so_far)
            self.writer = _open_log(self.folder, so_far)
            self.callback(self.writer.close)

    def move(self, position: float) -> None:
        """Move the bar to the number of epochs that are done."""
        self.bar.update(position - self.bar.n)

    def show(self, values: EpochValues, speed: Speed, steps: int) -> None:
        """Show and log the means of the last steps; `steps` have been done in all epochs."""
        logged = {f"{split}/{name}": value for (split, name), value in values.items()}
        logged["speed/pictures per second"] = speed.pictures_per_s
        logged["speed/share of time waiting for the loader"] = speed.wait_share
        self.shown |= _texts(values)
        self.shown["pictures/s"] = f"{speed.pictures_per_s:.3g}"
        self.shown["waiting"] = f"{speed.wait_share:.0%}"
        if self.device.type == "cuda":
            logged["memory/GPU peak in GB"] = self._memory_gb()
            self.shown["GPU"] = f"{self._memory_gb():.1f} GB"
        self.bar.set_postfix(self.shown, refresh=False)
        self._log(logged, steps)

    def end_epoch(self, epoch: Epoch, values: EpochValues, steps: int) -> None:
        """Show and log the values of a whole epoch, and write its speed."""
        logged = {f"epoch/{split} {name}": value for (split, name), value in values.items()}
        self._log(logged, steps)
        self.shown |= _texts(values)
        self.bar.set_postfix(self.shown, refresh=False)
        self.move(epoch + 1)
        self.bar.refresh()
        if self.folder:
            self.speeds.append(self._speed_of(epoch))
            with tables.atomic_write(self.folder / SPEEDS) as part:
                part.write_text(json.dumps(self.speeds, indent=1) + "\n")

    def _log(self, values: Mapping[str, float], steps: int) -> None:
        for name, value in values.items():
            if self.writer:
                self.writer.add_scalar(name, value, steps)

    def _speed_of(self, epoch: Epoch) -> dict[str, float]:
        speed = epoch.speed
        about = {"epoch": int(epoch), "pictures": speed.pictures, "seconds": speed.seconds}
        about |= {"pictures_per_s": speed.pictures_per_s, "wait_share": speed.wait_share}
        if self.device.type == "cuda":
            about["gpu_peak_gb"] = self._memory_gb()
        return {name: round(value, 3) for name, value in about.items()}

    def _memory_gb(self) -> float:
        return torch.cuda.max_memory_allocated(self.device) / GB


def _texts(values: EpochValues) -> dict[str, str]:
    """Values as the bar shows them."""
    return {f"{split} {name}": f"{value:.3f}" for (split, name), value in values.items()}


def _kept_speeds(folder: Path, so_far: Progress) -> list[dict[str, float]]:
    """The speeds of the epochs before a kill."""
    path = folder / SPEEDS
    speeds = json.loads(path.read_text()) if path.exists() else []
    return [speed for speed in speeds if speed["epoch"] < so_far.epoch]


def _open_log(folder: Path, so_far: Progress) -> "SummaryWriter":
    """The TensorBoard log of a training: a new one, or the continued one of a resumed training.

    A resumed training repeats the steps after its checkpoint; `purge_step` hides the first ones.
    """
    from torch.utils.tensorboard import SummaryWriter  # takes a second

    if not so_far.has_begun:
        for path in folder.glob(EVENTS):
            path.unlink()
    return SummaryWriter(folder, purge_step=so_far.steps + 1, flush_secs=FLUSH_S)
