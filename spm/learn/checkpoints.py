"""Checkpoints of a training: written beside it by a thread, and loaded to resume after a kill."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
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


@dataclass
class Progress:
    """How far a training is: what its checkpoints hold besides network and optimizer."""

    history: list[HistoryRow] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)  # on the CPU; empty: keep the last epoch
    epoch: int = 0  # complete epochs
    step: int = 0  # steps of the next epoch that are done
    steps: int = 0  # steps of all epochs that are done
    names: list[str] = field(default_factory=list)  # of the values of the next epoch's steps
    values: list[list[float]] = field(default_factory=list)  # of each of these steps
    generators: dict[str, Tensor] = field(default_factory=dict)  # states of torch's global ones

    @property
    def has_begun(self) -> bool:
        """Whether there is a checkpoint."""
        return self.epoch > 0 or self.step > 0


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


class Checkpoints:
    """The checkpoints of one training: a file for the last of them, and the thread that writes it.

    Parameters
    ----------
    folder : Path
        Where they are, named by what the training depends on (`fingerprint`).
    network, optimizer, scaler
        What is saved and loaded besides a `Progress`.
    """

    def __init__(
        self, folder: Path, network: nn.Module, optimizer: Optimizer, scaler: GradScaler | None
    ) -> None:
        self.folder, self.network, self.optimizer = folder, network, optimizer
        self.scaler = scaler
        self._thread = ThreadPoolExecutor(1)
        self._write: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wait()
        self._thread.shutdown()

    def wait(self) -> None:
        """Wait until the last checkpoint is on disk; an error of the disk is raised here."""
        if self._write:
            self._write.result()

    def save(self, progress: Progress) -> None:
        """Copy the tensors to the CPU; a thread writes them, then deletes earlier checkpoints."""
        if not distributed.is_main_process():
            return
        self.wait()
        tensors = {f"network.{name}": part for name, part in self.network.state_dict().items()}
        tensors |= _optimizer_tensors(self.optimizer)
        tensors = {name: part.detach().to("cpu", copy=True) for name, part in tensors.items()}
        tensors |= {f"best.{name}": part for name, part in progress.best.items()}
        tensors |= {f"generators.{name}": part for name, part in progress.generators.items()}
        if progress.values:
            tensors["values"] = torch.tensor(progress.values, dtype=torch.float64)
        about = {
            "history": [asdict(row) for row in progress.history],
            "scaler": self.scaler.state_dict() if self.scaler else {},  # {} also if disabled
            "epoch": progress.epoch,
            "step": progress.step,
            "steps": progress.steps,
            "names": progress.names,
        }
        path = self.folder / f"{progress.epoch:05d}-{progress.step:07d}.safetensors"
        self._write = self._thread.submit(_replace, path, tensors, about)

    def resume(self) -> Progress:
        """Load the last checkpoint into network, optimizer and scaler; without one, change nothing.

        A checkpoint without the state of a scaler leaves the scaler as it is.
        """
        last = max(self.folder.glob("*.safetensors"), default=None)
        last = distributed.from_main_process(last)  # other nodes may see a new file later
        if last is None:
            return Progress()
        tensors, about = weights.load(last)
        self.network.load_state_dict(_select(tensors, "network."))
        _load_optimizer(self.optimizer, _select(tensors, "optimizer."))
        if self.scaler and about.get("scaler"):
            self.scaler.load_state_dict(about["scaler"])
        return Progress(
            history=[HistoryRow(**row) for row in about["history"]],
            best=_select(tensors, "best."),
            epoch=about["epoch"],
            step=about["step"],
            steps=about["steps"],
            names=about["names"],
            values=tensors["values"].tolist() if "values" in tensors else [],
            generators=_select(tensors, "generators."),
        )


def generator_states() -> dict[str, Tensor]:
    """The states of torch's global random generators, of the CPU and of the current GPU."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_generator_states(states: Mapping[str, Tensor]) -> None:
    """Set the states that `generator_states` gave; without one, a generator stays as it is."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(states["cuda"])


def _replace(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write a checkpoint, then delete the earlier ones."""
    weights.save(path, tensors, about)
    for old in path.parent.iterdir():
        if old.suffix in (".safetensors", ".json") and old.stem < path.stem:
            old.unlink()


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    tensors = {}
    for number, slot in optimizer.state_dict()["state"].items():
        for name, tensor in slot.items():
            tensors[f"optimizer.{number}.{name}"] = tensor
    return tensors


def _load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    # The kernel of a fused optimizer needs the same memory format for a weight and its averages.
    for parameter, slot in optimizer.state.items():
        for key, tensor in slot.items():
            if tensor.dim() and tensor.shape == parameter.shape:
                slot[key] = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)


def _select(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names start with `prefix`, by the rest of their names."""
    selected = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            selected[name.removeprefix(prefix)] = tensor
    return selected
