"""DSOL: Discriminative Sounding Objects Localization via Self-supervised Audiovisual Matching.

Stage one, on solos: matching, and in turns with it the classification of pseudo-labels, which are clusters of what the
maps say is the sounding object. Stage two, on scenes of several instruments: a map for each cluster, whose mean must
agree with what a frozen copy of stage one hears. Equation numbers (1)-(9) are those of docs/method.md.

Source: Hu et al., NeurIPS 2020, and their published code.
"""

from typing import Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, cross_entropy, kl_div, normalize, one_hot, pad
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.optim import Adam

from spm.audio.kmeans import spherical_kmeans
from spm.audio.network import FEATURES, AudioNetwork
from spm.base.config import UserError
from spm.fusion.dataset import ClipDataset, whole_frames
from spm.fusion.localization_network import Heat, Step, flat_frames, framewise
from spm.fusion.losses import matching_accuracy
from spm.fusion.network import FusionConfig, FusionNetwork, all_cosines
from spm.fusion.settings import Kind, Train
from spm.fusion.trainer import Trainer
from spm.learn import dataloading, training
from spm.learn.backbones import CHANNELS

EXTRACT, CLASSIFY = 1, 2  # what of an epoch draws by itself


class Settings(Train):
    """The numbers of the published code."""

    promote: bool = False
    kinds: tuple[Kind, ...] = Field(("solo",), min_length=1)  # of stage one
    inverse_tau: float = 5.0  # (1): where the learnt scale w of the cosines starts
    clusters: int = Field(11, ge=2)
    restarts: int = Field(10, ge=1)  # of k-means
    mask_above: float = Field(0.05, ge=0, lt=1)  # (3): a position of the map that is more is object
    first_epochs: int = Field(1, ge=0)  # of matching alone, before there are clusters
    passes: int = Field(3, ge=1)  # (5): over the clips, of classification in an epoch
    head_lr: float = Field(1e-3, gt=0)  # Adam, of the two classifiers, which start anew each epoch
    mosaic_epochs: int = Field(5, ge=0)  # of stage two on mosaics
    duet_epochs: int = Field(
        0, ge=0
    )  # of stage two on the training duets, after the mosaics; published for duets: 1
    location_weight: float = Field(0.5, ge=0)  # (8)
    sharpness: float = Field(3.0, gt=0)  # (9): factor before the softmax over clusters

    @property
    def lasts(self) -> int:
        """Epochs of both stages."""
        return self.epochs + self.mosaic_epochs + self.duet_epochs

    @property
    def wants(self) -> tuple[str, ...]:
        """What stage two learns from."""
        return ("mosaics",) * (self.mosaic_epochs > 0) + ("duets",) * (self.duet_epochs > 0)

    @model_validator(mode="after")
    def _clusters_are_there(self) -> Self:
        if self.epochs <= self.first_epochs:
            raise ValueError(
                f"epochs: {self.epochs} ends before the first clustering; more than first_epochs expected"
            )
        return self


class Network(FusionNetwork):
    """Matching, two classifiers, the dictionary of objects, and what stage one heard."""

    objects: Tensor

    def __init__(self, settings: Settings) -> None:
        shape = FusionConfig(
            settings.visual,
            settings.projection,
            0.0,
            1 / settings.inverse_tau,
            True,
            settings.standardize,
        )
        super().__init__(shape, settings.start)
        self.settings, self.class_count = settings, settings.clusters
        self.epsilon.requires_grad_(False)  # (1) has a scale and no offset
        width, k = CHANNELS[settings.visual], settings.clusters
        self.see_class, self.hear_class = nn.Linear(width, k), nn.Linear(FEATURES, k)
        self.register_buffer("objects", torch.zeros(k, width))  # (4): D
        self.gain, self.offset = (
            nn.Parameter(torch.tensor(1.0)),
            nn.Parameter(torch.tensor(0.0)),
        )  # (6): α, β
        self.teacher, self.teacher_class = AudioNetwork(), nn.Linear(FEATURES, k)
        for part in (self.see_class, self.hear_class, self.teacher, self.teacher_class):
            part.requires_grad_(False)  # not of the run's optimizer: the first two have their own

    def teach(self, config: Train) -> None:
        """Training mode, but for what stage one left."""
        super().teach(config)
        self.teacher.eval()

    def epoch(self, lesson: Trainer, number: int) -> training.Figures:
        """An epoch of stage one, or one of stage two on mosaics or duets."""
        if number >= self.settings.epochs:
            mosaics = number < self.settings.epochs + self.settings.mosaic_epochs
            return self._mixed_pass(
                lesson, lesson.beside["mosaics" if mosaics else "duets"], number
            )
        figures = dict(lesson.one_pass(number))
        if number >= self.settings.first_epochs:
            figures |= self._classify(lesson, self._cluster(lesson, number), number)
        return figures

    # ------------------------------------------------------------------------------------------------------------------
    # Stage one
    # ------------------------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def sounding_objects(self, images: Tensor, heard: Tensor) -> Tensor:
        """(3): the mean over all positions of the features where the map is object, (B, channels)."""
        visual = self.visual(images)
        cosine = torch.einsum(
            "bdhw,bd->bhw", normalize(self.see(visual), dim=1), self.listen(heard)
        )
        mask = dilated(self.logits(cosine).sigmoid() > self.settings.mask_above)
        return (visual * mask[:, None]).mean((2, 3))  # type: ignore[no-any-return]

    def _extract(self, lesson: Trainer, number: int) -> Tensor:
        self.eval()
        data, random, found = (
            lesson.data,
            dataloading.make_generator(lesson.config.seed, number, EXTRACT),
            [],
        )
        for at in torch.arange(len(data)).split(lesson.config.batch):
            images = whole_frames(data, at, lesson.config.crop, random).to(lesson.where)
            sounds = (data.log_mels if data.heard is None else data.heard)[at].to(lesson.where)
            with torch.inference_mode():
                found.append(self.sounding_objects(images, lesson.heard(data, sounds)).float())
        return torch.cat(found).clone()

    def _cluster(self, lesson: Trainer, number: int) -> Tensor:
        """(4): k-means of the objects' directions; the dictionary is each cluster's mean object."""
        objects, k = self._extract(lesson, number), self.settings.clusters
        if len(objects) < k:
            raise UserError(
                f"methods.dsol.clusters: {k} want as many training clips; there are {len(objects)}"
            )
        labels = spherical_kmeans(
            objects, k, seed=lesson.config.seed, restarts=self.settings.restarts
        ).labels
        members = one_hot(labels, k).T.float()  # (k, clips)
        self.objects.copy_(
            members @ objects / members.sum(1, keepdim=True).clamp_min(1)
        )  # of an empty one: zeros
        return labels

    def _new_classifiers(self, lesson: Trainer, number: int) -> Adam:
        heads, random = (
            (self.see_class, self.hear_class),
            dataloading.make_generator(lesson.config.seed, number, CLASSIFY),
        )
        for head in heads:
            head.requires_grad_(True)
            head.weight.data.copy_(0.01 * torch.randn(head.weight.shape, generator=random))
            head.bias.data.zero_()
        both = [parameter for head in heads for parameter in head.parameters()]
        return Adam(both, self.settings.head_lr, weight_decay=lesson.config.weight_decay)

    def _classify(self, lesson: Trainer, labels: Tensor, number: int) -> training.Figures:
        """(5): both sides learn the pseudo-labels, with new classifiers and the run's backbones."""
        optimizer, figures = self._new_classifiers(lesson, number), []
        self.teach(lesson.config)
        for turn in range(self.settings.passes):
            for batch in lesson.batches(
                lesson.data, dataloading.make_generator(lesson.config.seed, number, CLASSIFY, turn)
            ):
                target = labels[batch.at.to(labels.device)].to(lesson.where)
                with lesson.half():
                    seen = self.see_class(self.visual(batch.images).mean((2, 3)))
                    heard = self.hear_class(lesson.heard(lesson.data, batch.sounds))
                loss = cross_entropy(seen.float(), target) + cross_entropy(heard.float(), target)
                lesson.descend(loss, optimizer)
                hits = [
                    (logits.argmax(1) == target).float().mean().item() for logits in (seen, heard)
                ]
                figures.append([loss.item(), *hits])
        self._keep_teacher()
        names = ("class loss", "image accuracy", "audio accuracy")
        return {
            ("train", name): float(value)
            for name, value in zip(names, np.mean(figures, 0), strict=True)
        }

    def _keep_teacher(self) -> None:
        """What stage two listens to: the audio network and its classifier as they are now."""
        for head in (self.see_class, self.hear_class):
            head.requires_grad_(False)
        self.teacher.load_state_dict(self.audio.state_dict())
        self.teacher_class.load_state_dict(self.hear_class.state_dict())

    # ------------------------------------------------------------------------------------------------------------------
    # Stage two
    # ------------------------------------------------------------------------------------------------------------------

    def cluster_maps(self, visual: Tensor, logit: Tensor) -> Tensor:
        """(6): s^k = (α⟨d^k, V⟩ + β) l, a map for each cluster: (B, c, h, w) and (B, h, w) → (B, k, h, w)."""
        likeness = torch.einsum("kc,bchw->bkhw", self.objects, visual.float())
        return (self.gain * likeness + self.offset) * logit.sigmoid()[:, None]

    def mixed_loss(self, images: Tensor, heard: Tensor, negative: Tensor, expected: Tensor) -> Step:
        """(7) and (8): what is seen to sound is what is heard, (B, k), and nothing is heard where nothing sounds."""
        visual = self.visual(images)
        places = normalize(self.see(visual), dim=1)
        logits = self.logits(all_cosines(self.listen(heard), places).float())  # (B, B, h, w)
        own = logits.diagonal().permute(2, 0, 1)  # (B, h, w)
        seen = self.cluster_maps(visual, own).mean((2, 3)).log_softmax(1)
        alignment = kl_div(
            seen, expected, reduction="none"
        ).mean()  # over clusters too, as published
        positive = own.amax((1, 2))
        quarters = adaptive_max_pool2d(logits, 2)[
            negative
        ].flatten()  # of strangers: all four are silent
        location = (
            bce(positive, torch.ones_like(positive)) + bce(quarters, torch.zeros_like(quarters))
        ) / 2
        accuracy = matching_accuracy(logits.amax((2, 3)), negative)
        return Step(alignment + self.settings.location_weight * location, accuracy)

    def _mixed_pass(self, lesson: Trainer, data: ClipDataset, number: int) -> training.Figures:
        if len(data) < 2:
            raise UserError(
                "dsol: stage two has fewer than two scenes: see duet_epochs, and mosaics.train"
            )
        self.teach(lesson.config)
        steps = []
        for batch in lesson.batches(data, dataloading.make_generator(lesson.config.seed, number)):
            with torch.no_grad():
                known = self.teacher(batch.sounds) if data.heard is None else batch.sounds
                expected = self.teacher_class(known).softmax(1)
            with lesson.half():
                heard = lesson.heard(data, batch.sounds)
                step = self.mixed_loss(batch.images, heard, batch.negative, expected)
            lesson.descend(step.loss)
            steps.append([step.loss.item(), step.accuracy])
        loss, accuracy = np.mean(steps, 0)
        return {("train", "mixed loss"): float(loss), ("train", "mixed accuracy"): float(accuracy)}

    # ------------------------------------------------------------------------------------------------------------------
    # Inference
    # ------------------------------------------------------------------------------------------------------------------

    def heat(self, images: Tensor, log_mels: Tensor) -> Heat:
        """(9): the map, and softmax_k(3 s^k)."""
        visual = framewise(self.visual(flat_frames(images)), images)  # (B, f, c, h, w)
        places = framewise(normalize(self.see(flat_frames(visual)), dim=1), images)
        logit = self.logits(
            torch.einsum("bd,bfdhw->bfhw", self.listen(self.sound(log_mels)), places)
        )
        clusters = self.cluster_maps(flat_frames(visual), flat_frames(logit))
        return Heat(
            logit.sigmoid(), framewise((self.settings.sharpness * clusters).softmax(1), images)
        )

    def labels(self, log_mels: Tensor) -> Tensor:
        """The cluster that stage one hears in each sound, (B,)."""
        return self.teacher_class(self.teacher(log_mels)).argmax(1)  # type: ignore[no-any-return]


def dilated(mask: Tensor) -> Tensor:
    """A mask and its four neighbors: (B, h, w) bool → (B, h, w) bool."""
    wide = pad(mask, (1, 1, 1, 1))
    return mask | wide[:, 2:, 1:-1] | wide[:, :-2, 1:-1] | wide[:, 1:-1, 2:] | wide[:, 1:-1, :-2]
