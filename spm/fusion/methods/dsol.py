"""DSOL: Discriminative Sounding Objects Localization via Self-supervised Audiovisual Matching.

Stage one, on solos: each epoch has a matching pass; after the first one, also a clustering of the
objects that the maps show, and passes in which both backbones learn these clusters as
pseudo-labels. Stage two, on mosaics or duets: one map per cluster, whose means must agree with what
a frozen copy of stage one hears. Equation numbers (1)-(9) are those of docs/method.md.

Source: Hu et al., NeurIPS 2020, and their published code.
"""

from collections.abc import Sequence
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, cross_entropy, kl_div, normalize, one_hot, pad
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.optim import Adam

from spm.audio.kmeans import spherical_kmeans
from spm.audio.network import AudioNetwork
from spm.base.config import UNIQUE
from spm.base.errors import UserError
from spm.base.statuses import Kind
from spm.fusion import trainer
from spm.fusion.batches import whole_frames
from spm.fusion.dataset import ClipDataset
from spm.fusion.localization_network import HeatMaps, StepOutput, flatten_frames, unflatten_frames
from spm.fusion.losses import matching_accuracy, rejection_loss
from spm.fusion.network import FusionConfig, FusionNetwork, all_cosines, potential_objects
from spm.fusion.settings import Train
from spm.learn import distributed
from spm.learn.backbones import CHANNELS
from spm.learn.device import is_fused
from spm.learn.epoch import Epoch, EpochValues

EXTRACT, CLASSIFY = 1, 2  # numbers of the parts of an epoch with their own random generators
CLASSIFIERS = ("image accuracy", "audio accuracy")
PUBLISHED_CLUSTERS = 11


class Settings(Train):
    """DSOL (Hu et al., NeurIPS 2020), with the values of the published code."""

    promote: bool = False
    kinds: tuple[Kind, ...] = Field((Kind.SOLO,), min_length=1, json_schema_extra=UNIQUE)
    inverse_tau: float = Field(
        5.0,
        gt=0,
        le=10_000,
        description="Initial value of the learned scale of the cosines, w in (1).",
    )
    clusters: int | None = Field(
        None,
        ge=2,
        le=10_000,
        description="Number of clusters of objects. null: the number of categories of the training"
        " clips, as in the paper, whose MUSIC has 11.",
    )
    restarts: int = Field(10, ge=1, le=10_000, description="Number of initializations of k-means.")
    mask_above: float = Field(
        0.05, ge=0, lt=1, description="A position with more heat than this belongs to the object."
    )
    first_epochs: int = Field(
        1, ge=0, le=10_000, description="Epochs with matching only, before the first clustering."
    )
    passes: int = Field(
        3, ge=1, le=1_000, description="Passes over the clips to learn the clusters, in each epoch."
    )
    head_lr: float = Field(
        1e-3,
        gt=0,
        le=10,
        description="Learning rate of Adam for the two classifiers, which are new in each epoch.",
    )
    mosaic_epochs: int = Field(5, ge=0, le=10_000, description="Epochs of stage two on mosaics.")
    duet_epochs: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Epochs of stage two on training duets, after the mosaics. The published"
        " scripts have 1 for the test on duets.",
    )
    location_weight: float = Field(
        0.5,
        ge=0,
        le=10_000,
        description="Weight of the location loss in (8), besides the alignment.",
    )
    sharpness: float = Field(
        3.0, gt=0, le=10_000, description="Factor before the softmax over clusters in (9)."
    )

    @property
    def total_epochs(self) -> int:
        """Number of epochs of both stages."""
        return self.epochs + self.mosaic_epochs + self.duet_epochs

    @property
    def extra_data(self) -> tuple[Literal["mosaics", "duets"], ...]:
        """The data of stage two."""
        data: list[Literal["mosaics", "duets"]] = []
        if self.mosaic_epochs > 0:
            data.append("mosaics")
        if self.duet_epochs > 0:
            data.append("duets")
        return tuple(data)

    @property
    def cluster_count(self) -> int:
        """Number of clusters: as published, if neither the settings nor a corpus tell it."""
        return self.clusters or PUBLISHED_CLUSTERS

    def with_categories(self, names: Sequence[str]) -> Self:
        """These settings with a cluster for each category of a corpus, unless `clusters` is set."""
        if self.clusters or not names:
            return self
        return self.model_copy(update={"clusters": max(2, len(names))})

    @model_validator(mode="after")
    def _has_clustering(self) -> Self:
        if self.epochs <= self.first_epochs:
            raise ValueError(
                f"epochs: {self.epochs} ends before the first clustering: expected more than"
                f" first_epochs: {self.first_epochs}"
            )
        return self


class Network(FusionNetwork):
    """Matching, two classifiers, the dictionary of objects, and a frozen copy of stage one."""

    dictionary: Tensor

    def __init__(self, settings: Settings) -> None:
        config = FusionConfig.of(
            settings, epsilon=0.0, tau=1 / settings.inverse_tau, learn_scale=True
        )
        super().__init__(config, settings.start)
        self.settings, self.cluster_count = settings, settings.cluster_count
        self.epsilon.requires_grad_(False)  # (1) has a scale but no offset
        width, k = CHANNELS[settings.visual], settings.cluster_count
        self.visual_head = nn.Linear(width, k)
        self.audio_head = nn.Linear(self.audio.channels, k)
        self.register_buffer("dictionary", torch.zeros(k, width))  # (4): D
        self.gain = nn.Parameter(torch.tensor(1.0))  # (6): α
        self.offset = nn.Parameter(torch.tensor(0.0))  # (6): β
        self.frozen_audio = AudioNetwork(settings.audio_network)
        self.frozen_audio_head = nn.Linear(self.audio.channels, k)
        # The run's optimizer changes none of these; the classifiers have their own optimizer.
        self.classifiers().requires_grad_(False)
        self.frozen_audio.requires_grad_(False)
        self.frozen_audio_head.requires_grad_(False)

    def classifiers(self) -> nn.ModuleList:
        """The classifiers of stage one, for images and for sounds."""
        return nn.ModuleList([self.visual_head, self.audio_head])

    def shared_trunks(self) -> list[nn.Module]:
        """The trunks of both audio networks, and the visual one."""
        return [*super().shared_trunks(), self.frozen_audio.trunk]

    def set_train_mode(self, config: Train) -> None:
        """Set training mode; the frozen copy of stage one stays in evaluation mode."""
        super().set_train_mode(config)
        self.frozen_audio.eval()

    @torch.inference_mode()
    def sounding_objects(self, images: Tensor, features: Tensor) -> Tensor:
        """(3): Eq. 5 with a binary mask, (B, channels)."""
        visual = self.visual_features(images)
        visual_embedding = normalize(self.visual_proj(visual), dim=1)
        cosine = torch.einsum("bdhw,bd->bhw", visual_embedding, self.embed_audio(features))
        mask = dilate(self.logits(cosine).sigmoid() > self.settings.mask_above)
        return potential_objects(visual, mask)

    def freeze_stage_one(self) -> None:
        """Copy the audio network and its classifier, for stage two."""
        self.frozen_audio.load_state_dict(self.audio.state_dict())
        self.frozen_audio_head.load_state_dict(self.audio_head.state_dict())

    def cluster_maps(self, visual: Tensor, logit: Tensor) -> Tensor:
        """(6): s^k = (α⟨d^k, V⟩ + β) l: (B, c, h, w) and (B, h, w) → (B, k, h, w)."""
        products = torch.einsum("kc,bchw->bkhw", self.dictionary, visual.float())
        return (self.gain * products + self.offset) * logit.sigmoid()[:, None]

    def mixed_loss(
        self, images: Tensor, features: Tensor, negative: Tensor, expected: Tensor
    ) -> StepOutput:
        """(7) and (8); `expected` (B, k) is what stage one hears.

        The maps' clusters must agree with it, and maps of other videos' sounds must be empty.
        """
        visual = self.visual_features(images)
        visual_embedding = normalize(self.visual_proj(visual), dim=1)
        cosine = all_cosines(self.embed_audio(features), visual_embedding)
        logits = self.logits(cosine.float())  # (A, B, h, w)
        own = logits.diagonal().permute(2, 0, 1)  # (B, h, w)
        # (7): the mean is over clusters too, as in the published code.
        seen = self.cluster_maps(visual, own).mean((2, 3)).log_softmax(1)
        alignment = kl_div(seen, expected, reduction="none").mean()
        # (8): of a negative, the maxima of all four quarters of the map must be 0.
        positives, quarters = own.amax((1, 2)), adaptive_max_pool2d(logits, 2)  # (A, B, 2, 2)
        positive_loss = bce(positives, torch.ones_like(positives))
        chosen = negative[:, :, None, None].expand_as(quarters)
        location = (positive_loss + rejection_loss(quarters, chosen)) / 2
        accuracy = matching_accuracy(logits.amax((2, 3)), negative)
        return StepOutput(alignment + self.settings.location_weight * location, accuracy)

    def heat_maps(self, images: Tensor, log_mels: Tensor) -> HeatMaps:
        """(9): the map of (1), and softmax_k(3 s^k)."""
        visual = self.visual_features(flatten_frames(images))  # (B·f, c, h, w)
        visual_embedding = normalize(self.visual_proj(visual), dim=1)
        visual_embedding = unflatten_frames(visual_embedding, images)  # (B, f, d, h, w)
        audio_embedding = self.embed_audio(self.audio_features(log_mels))
        cosine = torch.einsum("bd,bfdhw->bfhw", audio_embedding, visual_embedding)
        logit = self.logits(cosine)
        clusters = self.settings.sharpness * self.cluster_maps(visual, flatten_frames(logit))
        return HeatMaps(logit.sigmoid(), unflatten_frames(clusters.softmax(1), images))

    def predict_clusters(self, log_mels: Tensor) -> Tensor:
        """Cluster that stage one hears in each sound, (B,)."""
        logits = self.frozen_audio_head(self.frozen_audio(log_mels))
        return logits.argmax(1)  # type: ignore[no-any-return]


class Trainer(trainer.Trainer):
    """DSOL's procedure: matching, clustering and classification in turns; then stage two."""

    network: Network
    config: Settings

    def train_epoch(self, epoch: Epoch) -> EpochValues:
        """An epoch of stage one, or of stage two on mosaics or duets.

        A killed training continues inside the matching pass, or inside an epoch of stage two. The
        labels and the new classifiers of an epoch are not in the checkpoints: the training
        continues before them.
        """
        config = self.config
        if epoch >= config.epochs + config.mosaic_epochs:
            return self._train_mixed(self.extra["duets"], epoch)
        if epoch >= config.epochs:
            return self._train_mixed(self.extra["mosaics"], epoch)
        clusters = epoch >= config.first_epochs
        epoch.parts = 2 if clusters else 1
        values = dict(super().train_epoch(epoch))
        if clusters:
            epoch.resumable = False
            labels = self._cluster_objects(epoch)
            values |= self._classify(labels, epoch)
        return values

    # Stage one

    def _extract_objects(self, epoch: int) -> Tensor:
        """(3) for one random frame of each clip, (clips, channels)."""
        self.network.eval()
        clips, generator = self.clips, self.generator(epoch, EXTRACT)
        objects = []
        parts = torch.arange(len(clips)).split(self.config.batch)
        for batch in whole_frames(
            clips, parts, self.config.crop, device=self.device, generator=generator
        ):
            with torch.inference_mode():
                features = self.audio_features(clips, batch.sounds)
                objects.append(self.network.sounding_objects(batch.images, features).float())
        return torch.cat(objects).clone()

    def _cluster_objects(self, epoch: int) -> Tensor:
        """(4): pseudo-labels by k-means of the objects' directions; D is each cluster's mean."""
        k = self.config.cluster_count
        if len(self.clips) < k:
            raise UserError(
                f"methods.dsol.clusters: {k}, but there are only {len(self.clips)} training clips:"
                " set fewer clusters"
            )
        objects = self._extract_objects(epoch)
        clustering = spherical_kmeans(
            objects, k, seed=self.config.seed, restarts=self.config.restarts
        )
        # The same in all processes: on a GPU, each may round the objects in another way.
        labels = distributed.from_main_process(clustering.labels.cpu()).to(objects.device)
        members = one_hot(labels, k).T.float()  # (k, clips)
        counts = members.sum(1, keepdim=True).clamp_min(1)  # an empty cluster has zeros in D
        self.network.dictionary.copy_(members @ objects / counts)
        return labels

    def _reset_classifiers(self, epoch: int) -> Adam:
        """New random classifiers, and their optimizer."""
        generator = self.generator(epoch, CLASSIFY)
        for head in (self.network.visual_head, self.network.audio_head):
            head.weight.data.copy_(0.01 * torch.randn(head.weight.shape, generator=generator))
            head.bias.data.zero_()
        classifiers = self.network.classifiers().requires_grad_(True)
        decay, fused = self.config.weight_decay, is_fused(self.device)
        return Adam(classifiers.parameters(), self.config.head_lr, weight_decay=decay, fused=fused)

    def _classify(self, labels: Tensor, epoch: Epoch) -> EpochValues:
        """(5): both backbones learn the pseudo-labels, with new classifiers."""
        network, optimizer = self.network, self._reset_classifiers(epoch)
        network.set_train_mode(self.config)
        passes = [self.generator(epoch, CLASSIFY, number) for number in range(self.config.passes)]
        for batch in self.steps(epoch, self.clips, *passes):
            target = labels[batch.indices.to(labels.device, non_blocking=True)]
            with self.autocast():
                visual = network.visual_features(batch.images)
                image_logits = network.visual_head(visual.mean((2, 3)))
                features = self.audio_features(self.clips, batch.sounds)
                audio_logits = network.audio_head(features[: len(target)])
            image_loss = cross_entropy(image_logits.float(), target)
            loss = image_loss + cross_entropy(audio_logits.float(), target)
            self.optimizer_step(loss, optimizer)
            correct = [_accuracy(logits, target) for logits in (image_logits, audio_logits)]
            measured = zip(("class loss", *CLASSIFIERS), (loss, *correct), strict=True)
            epoch.add(len(batch.indices), **dict(measured))
        network.classifiers().requires_grad_(False)
        network.freeze_stage_one()
        return epoch.means()

    # Stage two

    def _train_mixed(self, clips: ClipDataset, epoch: Epoch) -> EpochValues:
        """One pass over mosaics or duets, with the loss of (8)."""
        if len(clips) < 2:
            raise UserError(
                f"dsol: stage two has {len(clips)} mosaics or duets, expected at least 2: see"
                " duet_epochs, and mosaics.train"
            )
        network = self.network
        network.set_train_mode(self.config)
        for batch in self.steps(epoch, clips, self.generator(epoch)):
            frozen_features = batch.sounds
            if clips.audio_embeddings is None:
                frozen_features = network.frozen_audio(batch.sounds)
            frozen_features = frozen_features[: len(batch.indices)]
            expected = network.frozen_audio_head(frozen_features).softmax(1)  # has no gradients
            with self.autocast():
                features = self.audio_features(clips, batch.sounds)
                step = network.mixed_loss(batch.images, features, batch.negative, expected)
            self.optimizer_step(step.loss)
            values = {f"mixed {name}": value for name, value in step._asdict().items()}
            epoch.add(len(batch.indices), **values)
        return epoch.means()


def _accuracy(logits: Tensor, target: Tensor) -> Tensor:
    return (logits.argmax(1) == target).float().mean()


def dilate(mask: Tensor) -> Tensor:
    """A mask grown by the four neighbors of each position: (B, h, w) bool → (B, h, w) bool."""
    padded = pad(mask, (1, 1, 1, 1))
    vertical = padded[:, 2:, 1:-1] | padded[:, :-2, 1:-1]
    horizontal = padded[:, 1:-1, 2:] | padded[:, 1:-1, :-2]
    return mask | vertical | horizontal
