"""Training of a network on clips: batches, negatives, half precision, and values per epoch."""

from collections.abc import Iterator, Mapping
from itertools import chain

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from spm.fusion.batches import Batch, WholeFrames, batches, whole_frames
from spm.fusion.dataset import ClipDataset
from spm.fusion.localization_network import LocalizationNetwork, StepOutput
from spm.fusion.losses import negative_mask
from spm.fusion.network import AudioNormalization
from spm.fusion.settings import Train
from spm.learn import dataloading
from spm.learn.device import autocast, is_fused, make_scaler
from spm.learn.epoch import Epoch, EpochValues, Group, step_count


class Trainer:
    """Trains a network on the clips of a run.

    A method with its own training procedure has a subclass in its file that overrides
    `train_epoch`, or `batch_loss` if only the loss of a batch differs.

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
        groups, fused = network.parameter_groups(config), is_fused(self.device)
        self.optimizer = Adam(groups, weight_decay=config.weight_decay, fused=fused)
        self.scaler = make_scaler(self.device, config.half)
        self.group = Group()  # place of the current batch among those of one step
        modules = network.modules()
        self.normalizations = [part for part in modules if isinstance(part, AudioNormalization)]

    def generator(self, *numbers: int) -> torch.Generator:
        """Random generator seeded by the run's seed and, for example, the epoch."""
        return dataloading.make_generator(self.config.seed, *numbers)

    def batches(
        self, clips: ClipDataset, generator: torch.Generator, skip: int = 0
    ) -> Iterator[Batch]:
        """Every clip once, in random order, without the first `skip` batches."""
        views = self.network.views
        return batches(clips, self.config, views, generator, device=self.device, skip=skip)

    def steps(
        self, epoch: Epoch, clips: ClipDataset, *generators: torch.Generator
    ) -> Iterator[Batch]:
        """All clips in random order, once for each generator.

        A resumed training leaves out the batches that were used before.
        """
        count, passes = step_count(len(clips), self.config.batch), []
        for number, generator in enumerate(generators):
            skip = min(max(epoch.skip - number * count, 0), count)
            passes.append(self.batches(clips, generator, skip))
        total = count * len(generators)
        for batch in epoch.steps(chain.from_iterable(passes), total, self.config.accumulate):
            self.group = epoch.group
            for layer in self.normalizations:
                layer.clips = len(batch.indices)
            yield batch

    def autocast(self) -> torch.autocast:
        """Half precision, on a GPU and if the run's settings ask for it."""
        return autocast(self.device, self.config.half)

    def audio_features(self, clips: ClipDataset, sounds: Tensor) -> Tensor:
        """Features of a batch's sounds, which already are features if the network is frozen."""
        if clips.audio_embeddings is not None:
            return sounds
        return self.network.audio_features(sounds)

    def optimizer_step(self, loss: Tensor, *others: Optimizer) -> None:
        """Add the gradients of a batch, and after the last batch of `group` change the weights.

        `others` are optimizers of other weights for the same loss.
        """
        optimizers = (self.optimizer, *others)
        if self.group.first:
            for optimizer in optimizers:
                optimizer.zero_grad()
        self.scaler.scale(loss / self.group.size).backward()
        if self.group.last:
            self.network.average_gradients()
            for optimizer in filter(_has_gradients, optimizers):
                self.scaler.step(optimizer)
            self.scaler.update()

    def batch_loss(
        self, clips: ClipDataset, batch: Batch | WholeFrames, negative: Tensor
    ) -> StepOutput:
        """Loss and accuracy of a batch of `clips`, in training and in validation."""
        features = self.audio_features(clips, batch.sounds)
        return self.network.loss(batch.images, features, negative)

    def train_epoch(self, epoch: Epoch) -> EpochValues:
        """One pass over the clips with the network's loss; the values are means over the steps."""
        self.network.set_train_mode(self.config)
        for batch in self.steps(epoch, self.clips, self.generator(epoch)):
            with self.autocast():
                step = self.batch_loss(self.clips, batch, batch.negative)
            self.optimizer_step(step.loss)
            epoch.add(len(batch.indices), **step._asdict())
        return epoch.means()

    @torch.inference_mode()
    def validate(self, clips: ClipDataset) -> EpochValues:
        """Loss and accuracy on the validation clips, with all negatives of fixed random batches."""
        self.network.eval()
        measured, size = Epoch(), self.config.batch
        parts = dataloading.shuffled_batches(len(clips), size, self.generator())
        for batch in whole_frames(clips, parts, self.config.crop, device=self.device):
            negative = negative_mask(clips.videos[batch.indices])
            negative = negative.to(self.device, non_blocking=True)
            with self.autocast():
                step = self.batch_loss(clips, batch, negative)
            measured.add(len(batch.indices), **step._asdict())
        return measured.means("val") if len(clips) > 1 else {}


def _has_gradients(optimizer: Optimizer) -> bool:
    """Whether the last loss depends on a parameter; a scaler refuses a step without gradients."""
    parameters = chain.from_iterable(group["params"] for group in optimizer.param_groups)
    return any(parameter.grad is not None for parameter in parameters)
