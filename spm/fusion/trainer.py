"""Training of a network on clips: batches, negatives, half precision, and values per epoch."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from spm.fusion.dataset import ClipDataset, random_frames, resized_frames, sample_pairs
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.losses import Negatives, negative_mask, sample_one_negative
from spm.fusion.settings import Train
from spm.learn import dataloading, distributed
from spm.learn.training import EpochValues


class Batch(NamedTuple):
    """A batch of clips."""

    indices: Tensor  # (B,) indices of the clips
    images: Tensor  # (views · B, 3, crop, crop) a random frame of each
    sounds: Tensor  # (B, …) log-mels, or the features of a frozen audio network
    negative: Tensor  # (B, B) bool: the pairs that are negatives


class Trainer:
    """Trains a network on the clips of a run.

    A method with its own training procedure has a subclass in its file that overrides
    `train_epoch`.

    Parameters
    ----------
    network : LocalizationNetwork
        On the device of the training.
    config : Train
        The run's settings.
    clips : ClipDataset
        The training clips.
    extra : mapping, optional
        Data that the method needs besides them (`config.extra_data`): mosaics, duets.
    """

    def __init__(
        self,
        network: LocalizationNetwork,
        config: Train,
        clips: ClipDataset,
        extra: Mapping[str, ClipDataset] | None = None,
    ) -> None:
        self.network, self.config, self.clips = network, config, clips
        self.extra = extra or {}
        self.device = next(network.parameters()).device
        self.optimizer = Adam(network.parameter_groups(config), weight_decay=config.weight_decay)
        half = config.half and self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)

    def generator(self, *numbers: int) -> torch.Generator:
        """Random generator seeded by the run's seed and, for example, the epoch."""
        return dataloading.make_generator(self.config.seed, *numbers)

    def batches(self, clips: ClipDataset, generator: torch.Generator) -> Iterator[Batch]:
        """Every clip once, in random order."""
        size, crop, views = self.config.batch, self.config.crop, self.network.views
        for indices in dataloading.shuffled_batches(len(clips), size, generator):
            frames, sounds = sample_pairs(clips, indices, self.config, generator)
            images = random_frames(clips, frames, crop, generator, views)
            negative = negative_mask(clips.videos[indices])
            if self.config.negatives is Negatives.ONE:
                negative = sample_one_negative(negative, generator)
            sounds = clips.sounds[sounds]
            device = self.device
            yield Batch(indices, images.to(device), sounds.to(device), negative.to(device))

    def autocast(self) -> torch.autocast:
        """Half precision, on a GPU and if the run's settings ask for it."""
        return torch.autocast(self.device.type, torch.float16, enabled=self.scaler.is_enabled())

    def audio_features(self, clips: ClipDataset, sounds: Tensor) -> Tensor:
        """Features of a batch's sounds, which already are features if the network is frozen."""
        if clips.audio_embeddings is not None:
            return sounds
        return self.network.audio_features(sounds)

    def optimizer_step(self, loss: Tensor, *others: Optimizer) -> None:
        """One step of the run's optimizer and of other optimizers for the same loss."""
        optimizers = (self.optimizer, *others)
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        distributed.all_reduce_gradients(self.network)
        for optimizer in filter(_has_gradients, optimizers):
            self.scaler.step(optimizer)
        self.scaler.update()

    def train_epoch(self, epoch: int) -> EpochValues:
        """One pass over the clips with the network's loss; the values are means over the steps."""
        self.network.set_train_mode(self.config)
        losses, accuracies = [], []
        for batch in self.batches(self.clips, self.generator(epoch)):
            with self.autocast():
                features = self.audio_features(self.clips, batch.sounds)
                step = self.network.loss(batch.images, features, batch.negative)
            self.optimizer_step(step.loss)
            losses.append(step.loss.item())
            accuracies.append(step.accuracy)
        return _means("train", losses, accuracies)

    @torch.inference_mode()
    def validate(self, clips: ClipDataset) -> EpochValues:
        """Loss and accuracy on the validation clips, with all negatives of fixed random batches."""
        self.network.eval()
        losses, accuracies = [], []
        batches = dataloading.shuffled_batches(len(clips), self.config.batch, self.generator())
        for indices in batches:
            images = resized_frames(clips, indices, self.config.crop).to(self.device)
            sounds = clips.sounds[indices].to(self.device)
            negative = negative_mask(clips.videos[indices]).to(self.device)
            features = self.audio_features(clips, sounds)
            loss, accuracy = self.network.loss(images, features, negative)
            losses.append(float(loss))
            accuracies.append(accuracy)
        return _means("val", losses, accuracies) if losses else {}


def _has_gradients(optimizer: Optimizer) -> bool:
    """Whether the last loss depends on a parameter; a scaler refuses a step without gradients."""
    parameters = chain.from_iterable(group["params"] for group in optimizer.param_groups)
    return any(parameter.grad is not None for parameter in parameters)


def _means(split: str, losses: list[float], accuracies: list[float]) -> EpochValues:
    return {
        (split, "loss"): float(np.mean(losses)),
        (split, "accuracy"): float(np.mean(accuracies)),
    }
