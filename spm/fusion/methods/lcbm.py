"""LCBM: Senocak et al., Less Can Be More, WACV 2022: localization with a classification model.

Frames and sounds are classified, each by the mean of its features, and nothing else is trained. A
heat map is the cross-modal attention on top of these features: the cosine of the sound's vector
with each position's. Both modalities share one linear classifier, so that a position and a sound of
one class have vectors of the same direction. The labels are the categories of the videos: unlike
the other methods, this one is supervised.

No code of the paper was found. That only a classification is learned, and that cross-modal
attention on its features localizes, is said by the abstract; the rest is a choice of this file.
"""

from collections.abc import Sequence
from typing import Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from spm.base.config import UNIQUE, Text
from spm.base.errors import UserError
from spm.fusion import trainer
from spm.fusion.batches import Batch, WholeFrames
from spm.fusion.dataset import ClipDataset
from spm.fusion.localization_network import CosineMaps, StepOutput
from spm.fusion.losses import silent_map_loss
from spm.fusion.network import FusionConfig, FusionNetwork, all_cosines
from spm.fusion.settings import Train


class Settings(Train):
    """LCBM (Senocak et al., WACV 2022), which learns the categories of the videos."""

    promote: bool = False
    classes: tuple[Text, ...] = Field(
        (),
        json_schema_extra=UNIQUE,
        description="Categories that are learned. []: all categories of the training videos.",
    )

    @property
    def label_names(self) -> tuple[str, ...]:
        """The categories that are learned."""
        return self.classes

    def with_categories(self, names: Sequence[str]) -> Self:
        """These settings with the classes of a corpus, unless classes are set."""
        if not self.classes and not names:
            raise UserError(
                "methods.lcbm: no training video has a category, and this method learns categories:"
                " name them in the manifest"
            )
        return self if self.classes else self.model_copy(update={"classes": tuple(names)})


class Network(CosineMaps, FusionNetwork):
    """The shared projections, and one classifier for positions and sounds."""

    def __init__(self, settings: Settings) -> None:
        config = FusionConfig.of(settings, epsilon=0.0)
        super().__init__(config, settings.start)
        width = settings.projection or self.visual_channels
        self.class_head = nn.Linear(width, len(settings.classes))

    def project_audio(self, features: Tensor) -> Tensor:
        """Vectors of sounds, of any length: (A, channels) → (A, d)."""
        normalized = self.audio_norm(features)[:, :, None, None]
        return self.audio_proj(normalized).flatten(1)  # type: ignore[no-any-return]

    def classification_loss(
        self, images: Tensor, features: Tensor, negative: Tensor, labels: Tensor
    ) -> StepOutput:
        """Mean cross-entropy of both classifications, and the accuracy of the classes.

        The cosines of negative sounds should be below 0; the paper has no negatives.

        Parameters
        ----------
        images, features, negative : Tensor
            As in `loss`.
        labels : Tensor, shape (B, classes), bool
            Categories of the clips; several share the probability of a clip.
        """
        visual = self.visual_proj(self.visual_features(images))
        sounds, count = self.project_audio(features), len(labels)
        target = labels.float() / labels.sum(1, keepdim=True).clamp_min(1)
        vectors = torch.cat([visual.mean((2, 3)), sounds[:count]])
        logits = self.class_head(vectors).float()
        loss = cross_entropy(logits, target.repeat(2, 1))
        if len(sounds) > count:
            unit_sounds, positions = normalize(sounds[count:], dim=1), normalize(visual, dim=1)
            loss = loss + silent_map_loss(all_cosines(unit_sounds, positions), negative[count:])
        correct = labels.repeat(2, 1).gather(1, logits.argmax(1, keepdim=True))
        return StepOutput(loss, correct.float().mean())


class Trainer(trainer.Trainer):
    """Training on the labels of the clips."""

    network: Network

    def batch_loss(
        self, clips: ClipDataset, batch: Batch | WholeFrames, negative: Tensor
    ) -> StepOutput:
        """Loss of the classification of a batch."""
        assert clips.labels is not None
        labels = clips.labels[batch.indices].to(self.device, non_blocking=True)
        features = self.audio_features(clips, batch.sounds)
        return self.network.classification_loss(batch.images, features, negative, labels)
