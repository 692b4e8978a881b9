"""Pretraining of the audio network on the pseudo-labels, before the fusion freezes it.

python -m spm.audio.pretrain --config '{}' --index clips.parquet --clusters clusters.parquet
    --spectrograms spectrograms --out audio.safetensors --history history.parquet
    --state state/audio/pretrain --mapped state/mapped
    [--clips clips, if pretrain.network is yamnet]
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor

from spm.audio import classifier
from spm.audio.sounds import Subset, open_sounds, origin, origin_of_labels
from spm.base import stage, tables
from spm.base.config import THREADS, Device, Section, Seed, Threads
from spm.base.digest import code_digest
from spm.base.errors import UserError
from spm.base.statuses import Split
from spm.corpus import clip_reader
from spm.learn import checkpoints, training, weights
from spm.learn.backbones import Audio
from spm.learn.clip_files import Sounds
from spm.learn.device import pick_device
from spm.learn.finished import Finished, work_digest

HELD_OUT = 10  # every tenth clip is kept from training, to measure the accuracy on unseen clips
MODULE = "spm.audio.pretrain"


class Pretrain(Section):
    """Training of the audio network on the pseudo-labels (Algorithm 1, step 2).

    The paper names cross-entropy, Adam and the learning rate 1e-4; the other values are DSOL's.
    """

    network: Audio = Field(
        "resnet18",
        description="Audio network: resnet18 with random initial weights, as in the paper; or"
        " yamnet with weights that were trained on AudioSet's labels (docs/training-study.md).",
    )
    epochs: int = Field(
        10,
        ge=0,
        le=10_000,
        description="Passes over the training clips. 0: the initial weights are kept, which is of"
        " use only with yamnet.",
    )
    batch: int = Field(32, ge=2, le=10_000, description="Clips per batch.")
    lr: float = Field(1e-4, gt=0, le=10, description="Learning rate of Adam for the audio network.")
    head_lr: float = Field(
        1e-3, gt=0, le=10, description="Learning rate of Adam for the classifier, a linear layer."
    )
    weight_decay: float = Field(
        1e-4, ge=0, le=10, description="Weight decay of Adam, for all weights."
    )
    standardize: bool = Field(
        False,
        description="Scale each mel band to mean 0 and standard deviation 1 before the network."
        " DSOL does not. The log-mels of yamnet are never scaled.",
    )
    half: bool = Field(
        True,
        description="Compute with 16 bits on a GPU: bfloat16, or float16 with a scaled loss where"
        " the GPU has no bfloat16.",
    )
    seed: Seed = Field(0, description="Random seed of weight initialization and shuffling.")
    device: Device = "auto"
    threads: Threads = THREADS

    def classifier_config(self) -> classifier.ClassifierConfig:
        """Settings of the classifier's training."""
        return classifier.ClassifierConfig(**self.model_dump(exclude={"device", "threads"}))


def read_labels(index: Path, clusters: Path) -> tuple[pa.Table, Tensor]:
    """The audible training clips, and the pseudo-label of each."""
    training_clips = clip_reader.select(index, split=Split.TRAIN)
    rows = clip_reader.require_rows(training_clips, "audible training")
    labels = tables.read(clusters)
    if not rows["clip_id"].equals(labels["clip_id"]):
        raise UserError(
            f"{clusters} has labels of other clips than the training clips of {index}:"
            " run the workflow again"
        )
    return rows, torch.from_numpy(labels["pseudo_label"].to_numpy().copy()).long()


def hold_out(clips: int) -> tuple[Tensor, Tensor]:
    """Indices of the clips to train on, and of those to measure the accuracy on."""
    held_out = torch.arange(clips) % HELD_OUT == HELD_OUT - 1
    return (~held_out).nonzero()[:, 0], held_out.nonzero()[:, 0]


def train_epochs(
    trainer: classifier.ClassifierTrainer,
    val: Sounds,
    val_labels: Tensor,
    epochs: int,
    state: Path,
    log: Path | None,
) -> list[checkpoints.HistoryRow]:
    """Train all epochs, and measure the accuracy on the clips that are held out after each."""
    network, device = trainer.network, trainer.device

    def train_epoch(epoch: training.Epoch) -> training.EpochValues:
        values = trainer.train_epoch(epoch)
        accuracy = values["train", "accuracy"]  # fewer than ten clips: none is held out
        if len(val):
            accuracy = classifier.accuracy(network, val, val_labels, device)
        return {**values, ("val", "accuracy"): accuracy}

    options = (network, trainer.optimizer, train_epoch, epochs)
    return training.train(*options, state=state, title="pretrain", scaler=trainer.scaler, log=log)


def run(
    config: Pretrain,
    *,
    index: Path,
    clusters: Path,
    spectrograms: Path,
    clips: Path | None = None,
    out: Path,
    history: Path,
    state: Path,
    mapped: Path | None = None,
    tensorboard: Path | None = None,
    finished: Path | None = None,
    finished_number: int | None = None,
) -> None:
    """Train on nine tenths of the clustered clips, and measure the accuracy on the others."""
    rows, labels = read_labels(index, clusters)
    files = [index, clusters, *clip_reader.files(rows, clips or spectrograms)]
    about: dict[str, Any] = {**origin_of_labels(clusters), **origin(config.network)}
    depends_on = work_digest(files, config.model_dump_json(), code_digest(MODULE), str(about))
    outputs = (out, out.with_suffix(".json"), history)
    earlier = Finished(finished, finished_number or 0, depends_on, outputs)
    if earlier.restore():
        return
    sounds = open_sounds(config.network, rows, spectrograms, clips, mapped)
    seen, unseen = hold_out(len(labels))
    train = Subset(sounds, seen)
    device, settings = pick_device(config.device, config.threads), config.classifier_config()
    network = classifier.init_classifier(train, int(labels.max()) + 1, settings).to(device)
    trainer = classifier.ClassifierTrainer(network, train, labels[seen], settings)
    folder, held_out = state / depends_on, (Subset(sounds, unseen), labels[unseen])
    rows_of_history = train_epochs(trainer, *held_out, config.epochs, folder, tensorboard)
    last_epoch = {f"{row.split} {row.name}": row.value for row in rows_of_history}
    about |= {"config": config.model_dump(), "last_epoch": last_epoch}
    weights.save(out, network.audio.state_dict(), about)
    training.finish(rows_of_history, history, folder)
    earlier.keep()


if __name__ == "__main__":
    stage.main(run)
