"""Lin et al., Unsupervised Sound Localization via Iterative Contrastive Learning, CVIU 2023.

Each epoch is an iteration. The network of the last iteration gives pseudo-labels to this one: which
positions of a frame sound and which do not (intra-frame), and which other videos have a sound of
the same kind (inter-frame). Positions that sound, of the own frame and of related videos, are
positives of a sound; positions that do not sound, and other videos, are its negatives. The first
iteration has no pseudo-labels: the position of each frame that is most similar to the sound counts.

The authors published no code. The pseudo-labels follow their abstract (arXiv 2104.00315); the
thresholds, the weights and the form of the loss are a choice of this file.
"""

import torch
from pydantic import Field
from torch import Tensor

from spm.fusion import trainer
from spm.fusion.batches import Batch, WholeFrames
from spm.fusion.dataset import ClipDataset
from spm.fusion.localization_network import CosineMaps, StepOutput, min_max
from spm.fusion.losses import Negatives, ranking_accuracy
from spm.fusion.network import FusionConfig, FusionNetwork, all_cosines, weighted_mean
from spm.fusion.settings import Train
from spm.learn.epoch import Epoch, EpochValues


class Settings(Train):
    """Iterative contrastive learning (Lin et al., CVIU 2023)."""

    promote: bool = False
    negatives: Negatives = Negatives.ALL
    epsilon: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Positions with more heat than this sound, on the last epoch's map, scaled from"
        " its minimum to its maximum.",
    )
    epsilon_negative: float = Field(
        0.4, ge=0, le=1, description="Positions with less heat than this do not sound."
    )
    related: float = Field(
        0.8,
        ge=-1,
        le=1,
        description="Sounds of two videos are of the same kind above this cosine of the last"
        " epoch's audio vectors.",
    )
    temperature: float = Field(
        0.2, gt=0, le=100, description="Temperature of the softmax over positives and negatives."
    )


class Network(CosineMaps, FusionNetwork):
    """The shared projections, and a frozen copy of the network of the last iteration."""

    def __init__(self, settings: Settings) -> None:
        config = FusionConfig.of(settings, epsilon=0.0, tau=settings.temperature)
        super().__init__(config, settings.start)
        self.settings = settings
        self.previous = FusionNetwork(config).requires_grad_(False)

    def keep_iteration(self) -> None:
        """Copy the network, for the pseudo-labels of the next iteration."""
        state = self.state_dict()
        own = {name: state[name] for name in state if not name.startswith("previous.")}
        self.previous.load_state_dict(own)

    def shared_trunks(self) -> list[torch.nn.Module]:
        """The trunks of both iterations."""
        return [*super().shared_trunks(), *self.previous.shared_trunks()]

    def set_train_mode(self, config: Train) -> None:
        """Set training mode; the copy of the last iteration stays in evaluation mode."""
        super().set_train_mode(config)
        self.previous.eval()

    def pseudo_labels(self, images: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Heat of each frame for its own sound, and cosines of the sounds, by the last iteration.

        Parameters
        ----------
        images : Tensor
            As in `loss`.
        features : Tensor, shape (B, …)
            Output of the last iteration's `audio_features`.

        Returns
        -------
        heat : Tensor, shape (B, h, w)
            In [0, 1].
        cosines : Tensor, shape (B, B)
        """
        visual, audio = self.previous.embed_image(images), self.previous.embed_audio(features)
        own = torch.einsum("bd,bdhw->bhw", audio.float(), visual.float())
        return min_max(own), audio.float() @ audio.float().T

    def loss(self, images: Tensor, features: Tensor, negative: Tensor) -> StepOutput:
        """Loss of the first iteration, and of validation: no pseudo-labels."""
        cosine = all_cosines(self.embed_audio(features), self.embed_image(images))
        background = cosine.new_full((cosine.shape[1],), -torch.inf)
        unrelated = torch.zeros_like(negative[: cosine.shape[1]])
        return self.contrast(cosine.amax((2, 3)), background, negative, unrelated)

    def iteration_loss(
        self, images: Tensor, features: Tensor, negative: Tensor, earlier: Tensor
    ) -> StepOutput:
        """Loss of a later iteration; `earlier` are `features` by the last one's audio network."""
        settings = self.settings
        heat, cosines = self.pseudo_labels(images, earlier[: negative.shape[1]])
        sounding, silent = heat > settings.epsilon, heat < settings.epsilon_negative
        related = negative[: len(heat)] & (cosines > settings.related)
        cosine = all_cosines(self.embed_audio(features), self.embed_image(images))
        scores = weighted_mean(cosine, sounding.float())  # (A, B)
        background = weighted_mean(cosine.diagonal().permute(2, 0, 1), silent.float())  # (B,)
        return self.contrast(scores, background, negative, related)

    def contrast(
        self, scores: Tensor, background: Tensor, negative: Tensor, related: Tensor
    ) -> StepOutput:
        """-log (Σ of positives / Σ of positives and negatives), of exp(cosine / temperature).

        Parameters
        ----------
        scores : Tensor, shape (A, B)
            Mean cosine of each sound with the positions of each frame that sound.
        background : Tensor, shape (B,)
            Mean cosine of each sound with the positions of its frame that do not sound.
        negative : Tensor, shape (A, B), bool
            Pairs of different videos.
        related : Tensor, shape (B, B), bool
            Those with sounds of the same kind, which are positives.
        """
        count = scores.shape[1]
        positive = torch.eye(count, dtype=torch.bool, device=scores.device) | related
        rejected = torch.cat([negative[:count] & ~related, negative[count:]])
        others = scores.masked_fill(~rejected, -torch.inf)
        # Each row has the positives of a sound; then other frames, the background of its own frame,
        # and its frame for each negative sound.
        positives = scores[:count].masked_fill(~positive, -torch.inf)
        columns = [positives, others[:count], background[:, None], others[count:].T]
        logits = torch.cat(columns, 1) / self.settings.temperature
        losses = logits.logsumexp(1) - logits[:, :count].logsumexp(1)
        return StepOutput(losses.mean(), ranking_accuracy(scores, negative))


class Trainer(trainer.Trainer):
    """Epochs that take pseudo-labels from the epoch before."""

    network: Network
    has_pseudo_labels = False

    def train_epoch(self, epoch: Epoch) -> EpochValues:
        """One iteration; a resumed one has the copy of the last iteration in its checkpoint."""
        self.has_pseudo_labels = epoch > 0
        if self.has_pseudo_labels and not epoch.skip:
            self.network.keep_iteration()
        return super().train_epoch(epoch)

    def batch_loss(
        self, clips: ClipDataset, batch: Batch | WholeFrames, negative: Tensor
    ) -> StepOutput:
        """Loss with pseudo-labels, but in the first epoch and in validation."""
        network = self.network
        if not self.has_pseudo_labels or not network.training:
            return super().batch_loss(clips, batch, negative)
        earlier = batch.sounds
        if clips.audio_embeddings is None:
            earlier = network.previous.audio_features(batch.sounds)
        features = self.audio_features(clips, batch.sounds)
        return network.iteration_loss(batch.images, features, negative, earlier)
