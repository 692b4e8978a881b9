"""A pass over the clips, as every method learns: batches, negatives, half precision, figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from spm.fusion.dataset import ClipDataset, random_frames, sample_pairs, whole_frames
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.losses import negative_mask, sample_one_negative
from spm.fusion.settings import Train
from spm.learn import dataloading, distributed, training


class Batch(NamedTuple):
    """Clips drawn together."""

    at: Tensor  # (B,) their positions
    images: Tensor  # (views · B, 3, crop, crop) a random frame of each
    sounds: Tensor  # (B, …) log-mels, or what a frozen network heard of them
    negative: Tensor  # (B, B) bool: which pairs count as negative


@dataclass(frozen=True)
class Trainer:
    """A localizer, what it is taught with, and the clips it is taught from."""

    network: LocalizationNetwork
    optimizer: Adam
    scaler: torch.amp.GradScaler
    config: Train
    data: ClipDataset
    beside: Mapping[str, ClipDataset]  # mosaics, duets: for methods that learn from them too

    @property
    def where(self) -> torch.device:
        """Where the network computes."""
        return next(self.network.parameters()).device

    def batches(self, data: ClipDataset, random: torch.Generator) -> Iterator[Batch]:
        """Every clip once, in random order."""
        for at in dataloading.shuffled_batches(len(data), self.config.batch, random):
            frames, sounds = sample_pairs(data, at, self.config, random)
            images = random_frames(data, frames, self.config.crop, random, self.network.views)
            negative = negative_mask(data.videos[at])
            negative = (
                sample_one_negative(negative, random)
                if self.config.negatives == "one"
                else negative
            )
            sound = (data.log_mels if data.heard is None else data.heard)[sounds]
            yield Batch(at, images.to(self.where), sound.to(self.where), negative.to(self.where))

    def half(self) -> torch.autocast:
        """Half precision, where there is a GPU and the run wants it."""
        return torch.autocast(self.where.type, torch.float16, enabled=self.scaler.is_enabled())

    def heard(self, data: ClipDataset, sounds: Tensor) -> Tensor:
        """What `Localizer.sound` gives of a batch's sounds."""
        return self.network.sound(sounds) if data.heard is None else sounds

    def descend(self, loss: Tensor, *others: Optimizer) -> None:
        """One step of the run's optimizer, and of others beside it."""
        optimizers = (self.optimizer, *others)
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        distributed.all_reduce_gradients(self.network)
        for optimizer in optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()

    def one_pass(self, number: int) -> training.Figures:
        """One pass over the clips by the network's loss, with figures while learning."""
        self.network.teach(self.config)
        losses, hits = [], []
        for batch in self.batches(self.data, dataloading.make_generator(self.config.seed, number)):
            with self.half():
                step = self.network.loss(
                    batch.images, self.heard(self.data, batch.sounds), batch.negative
                )
            self.descend(step.loss)
            losses.append(step.loss.item())
            hits.append(step.accuracy)
        return {
            ("train", "loss"): float(np.mean(losses)),
            ("train", "accuracy"): float(np.mean(hits)),
        }

    @torch.inference_mode()
    def validate(self, data: ClipDataset) -> training.Figures:
        """Loss and accuracy on the validation clips, all pairs of fixed random batches."""
        self.network.eval()
        losses, hits = [], []
        for at in dataloading.shuffled_batches(
            len(data), self.config.batch, dataloading.make_generator(self.config.seed)
        ):
            images = whole_frames(data, at, self.config.crop).to(self.where)
            sounds = (data.log_mels if data.heard is None else data.heard)[at].to(self.where)
            negative = negative_mask(data.videos[at]).to(self.where)
            loss, accuracy = self.network.loss(images, self.heard(data, sounds), negative)
            losses.append(float(loss))
            hits.append(accuracy)
        return (
            {("val", "loss"): float(np.mean(losses)), ("val", "accuracy"): float(np.mean(hits))}
            if losses
            else {}
        )
