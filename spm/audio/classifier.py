"""Algorithm 1, step 2: an audio network learns the pseudo-labels by cross-entropy."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from spm.audio.network import AudioNetwork, Classifier, predict_all
from spm.learn import dataloading
from spm.learn.backbones import Audio


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
    seed: int = 0


def init_classifier(log_mels: Tensor, classes: int, config: ClassifierConfig) -> Classifier:
    """A classifier before training; `log_mels` are the clips that it will be trained on."""
    torch.manual_seed(config.seed)
    audio = AudioNetwork(config.network)
    if config.network == "yamnet":
        audio.load_yamnet()
    elif config.standardize:
        audio.fit_normalization(log_mels)
    return Classifier(audio, classes)


def make_optimizer(network: Classifier, config: ClassifierConfig) -> Adam:
    """Adam with one learning rate for the audio network and one for the linear layer."""
    groups = [
        {"params": list(network.audio.parameters()), "lr": config.lr},
        {"params": list(network.head.parameters()), "lr": config.head_lr},
    ]
    return Adam(groups, weight_decay=config.weight_decay)


def train_epoch(
    network: Classifier,
    optimizer: Adam,
    log_mels: Tensor,
    labels: Tensor,
    config: ClassifierConfig,
    epoch: int,
) -> tuple[float, float]:
    """One pass over the clips in random order.

    Returns
    -------
    loss, accuracy : float
        Mean cross-entropy, in nats, and fraction of correct labels, both during training.
    """
    network.train()
    device = next(network.parameters()).device
    loss_sum = correct = count = 0.0
    generator = dataloading.make_generator(config.seed, epoch)
    for indices in dataloading.shuffled_batches(len(labels), config.batch, generator):
        logits = network(log_mels[indices].to(device))
        target = labels[indices].to(device)
        loss = cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(indices)
        correct += float((logits.argmax(1) == target).sum())
        count += len(indices)
    return loss_sum / max(count, 1), correct / max(count, 1)


def train_classifier(
    log_mels: Tensor, labels: Tensor, classes: int, config: ClassifierConfig, device: torch.device
) -> AudioNetwork:
    """Train a new classifier on the pseudo-labels, and return its audio network."""
    network = init_classifier(log_mels, classes, config).to(device)
    optimizer = make_optimizer(network, config)
    for epoch in range(config.epochs):
        train_epoch(network, optimizer, log_mels, labels, config, epoch)
    return network.audio


def accuracy(network: nn.Module, log_mels: Tensor, labels: Tensor, device: torch.device) -> float:
    """Fraction of clips whose largest logit is that of their label."""
    predicted = predict_all(network, log_mels, device).argmax(1)
    return float((predicted == labels).float().mean())
