"""Algorithm 1, step 2: an audio network learns the pseudo-labels by cross-entropy."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from spm.audio.network import BATCH, AudioNetwork, Classifier, predict
from spm.learn import dataloading
from spm.learn.backbones import Audio
from spm.learn.clip_files import Sounds
from spm.learn.device import autocast, is_fused, make_scaler
from spm.learn.epoch import Epoch, EpochValues, step_count
from spm.learn.loader import load


@dataclass(frozen=True)
class ClassifierConfig:
    """Settings of the training; the defaults are DSOL's."""

    epochs: int
    network: Audio = "resnet18"  # YAMNet starts from its published weights
    batch: int = 32
    lr: float = 1e-4  # of Adam, for the audio network
    head_lr: float = 1e-3  # of Adam, for the linear layer
    weight_decay: float = 1e-4
    standardize: bool = False
    half: bool = True  # 16 bits on a GPU
    seed: int = 0


def init_classifier(sounds: Sounds, classes: int, config: ClassifierConfig) -> Classifier:
    """A classifier before training; `sounds` are the clips that it will be trained on."""
    torch.manual_seed(config.seed)
    audio = AudioNetwork(config.network)
    if config.network == "yamnet":
        audio.load_yamnet()
    elif config.standardize:
        audio.fit_normalization(sounds)
    return Classifier(audio, classes)


class ClassifierTrainer:
    """Trains a classifier on the pseudo-labels of sounds.

    Parameters
    ----------
    network : Classifier
        On the device of the training.
    sounds : Sounds
        Of n clips.
    labels : Tensor, shape (n,), int64
        Pseudo-label of each clip.
    config : ClassifierConfig
    """

    def __init__(
        self, network: Classifier, sounds: Sounds, labels: Tensor, config: ClassifierConfig
    ) -> None:
        self.network, self.sounds, self.labels, self.config = network, sounds, labels, config
        self.device = next(network.parameters()).device
        groups = [
            {"params": list(network.audio.parameters()), "lr": config.lr},
            {"params": list(network.head.parameters()), "lr": config.head_lr},
        ]
        fused = is_fused(self.device)
        self.optimizer = Adam(groups, weight_decay=config.weight_decay, fused=fused)
        self.scaler = make_scaler(self.device, config.half)

    def batches(self, number: int, skip: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Indices and sounds, on the CPU, of an epoch's batches after the first `skip`."""
        generator = dataloading.make_generator(self.config.seed, number)
        order = dataloading.shuffled_batches(len(self.sounds), self.config.batch, generator)
        plans = (indices.numpy() for indices in islice(order, skip, None))

        def make(indices: np.ndarray) -> tuple[np.ndarray, Tensor]:
            return indices, self.sounds.sounds(indices)

        return load(plans, make, device=self.device)

    def train_epoch(self, epoch: Epoch) -> EpochValues:
        """One pass over the clips in random order.

        The values are means over the steps: the cross-entropy, in nats, and the fraction of correct
        labels, both during training.
        """
        self.network.train()
        count = step_count(len(self.sounds), self.config.batch)
        for indices, batch in epoch.steps(self.batches(epoch, epoch.skip), count):
            target = self.labels[indices].to(self.device, non_blocking=True)
            with autocast(self.device, self.config.half):
                logits = self.network(batch.to(self.device, non_blocking=True))
                loss = cross_entropy(logits, target)
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            correct = (logits.argmax(1) == target).float()
            epoch.add(len(indices), loss=loss, accuracy=correct.mean())
        return epoch.means()


def train_classifier(
    sounds: Sounds, labels: Tensor, classes: int, config: ClassifierConfig, device: torch.device
) -> AudioNetwork:
    """Train a new classifier on the pseudo-labels, and return its audio network."""
    network = init_classifier(sounds, classes, config).to(device)
    trainer = ClassifierTrainer(network, sounds, labels, config)
    for number in range(config.epochs):
        trainer.train_epoch(Epoch(number))
    return network.audio


def accuracy(network: nn.Module, sounds: Sounds, labels: Tensor, device: torch.device) -> float:
    """Fraction of clips whose largest logit is that of their label."""
    correct = 0
    for logits, expected in zip(predict(network, sounds, device), labels.split(BATCH), strict=True):
        correct += int((logits.argmax(1) == expected).sum())
    return correct / len(labels)
