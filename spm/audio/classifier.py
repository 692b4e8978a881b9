"""Algorithm 1, step 2: an audio network learns the pseudo-labels by cross-entropy."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from spm.audio.network import AudioNetwork, Classifier, apply
from spm.learn import dataloading


@dataclass(frozen=True)
class ClassifierConfig:
    """How the classifier is trained; DSOL's numbers."""

    epochs: int
    batch: int = 32
    lr: float = 1e-4  # Adam, audio network
    head_lr: float = 1e-3  # Adam, linear layer
    weight_decay: float = 1e-4
    standardize: bool = False
    seed: int = 0


def init_classifier(log_mels: Tensor, classes: int, how: ClassifierConfig) -> Classifier:
    """A classifier before training."""
    torch.manual_seed(how.seed)
    network = Classifier(AudioNetwork(), classes)
    if how.standardize:
        network.audio.standardize(log_mels)
    return network


def optimizer_of(network: Classifier, how: ClassifierConfig) -> Adam:
    """Adam with a rate for the audio network and one for the linear layer."""
    groups = [
        {"params": list(network.audio.parameters()), "lr": how.lr},
        {"params": list(network.head.parameters()), "lr": how.head_lr},
    ]
    return Adam(groups, weight_decay=how.weight_decay)


def epoch(
    network: Classifier,
    optimizer: Adam,
    log_mels: Tensor,
    labels: Tensor,
    how: ClassifierConfig,
    number: int,
    where: torch.device,
) -> tuple[float, float]:
    """One pass over the clips in a random order; mean cross-entropy in nats, and accuracy while learning."""
    network.train()
    loss_sum = hits = seen = 0.0
    for at in dataloading.shuffled_batches(
        len(labels), how.batch, dataloading.make_generator(how.seed, number)
    ):
        logits = network(log_mels[at].to(where))
        target = labels[at].to(where)
        loss = cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(at)
        hits += float((logits.argmax(1) == target).sum())
        seen += len(at)
    return loss_sum / max(seen, 1), hits / max(seen, 1)


def train_classifier(
    log_mels: Tensor, labels: Tensor, classes: int, how: ClassifierConfig, where: torch.device
) -> AudioNetwork:
    """Train a fresh classifier on the pseudo-labels and keep its audio network."""
    network = init_classifier(log_mels, classes, how).to(where)
    optimizer = optimizer_of(network, how)
    for number in range(how.epochs):
        epoch(network, optimizer, log_mels, labels, how, number, where)
    return network.audio


def accuracy(network: nn.Module, log_mels: Tensor, labels: Tensor, where: torch.device) -> float:
    """Fraction of clips whose largest logit is their label's."""
    return float((apply(network, log_mels, where).argmax(1) == labels).float().mean())
