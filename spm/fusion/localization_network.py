"""Base class of the methods' networks: two backbones, a loss of a batch, and heat maps."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from spm.audio.network import BATCH, AudioNetwork
from spm.corpus.spectrograms import log_mel
from spm.fusion.settings import Train
from spm.learn import distributed, yamnet
from spm.learn.backbones import CHANNELS, Audio, Start, Visual, visual_trunk


class StepOutput(NamedTuple):
    """Loss and accuracy of a batch."""

    loss: Tensor  # scalar
    accuracy: float  # of deciding which sounds and frames belong together


class HeatMaps(NamedTuple):
    """Maps in [0, 1] of clips with f frames each."""

    sounding: Tensor  # (B, f, h, w) where the sound is
    clusters: Tensor | None = None  # (B, f, k, h, w) one map per cluster, of a class-aware method


class LocalizationNetwork(nn.Module):
    """Base class of the methods' networks; a subclass defines `loss` and `heat_maps`."""

    cluster_count = 0  # number of clusters with their own maps; 0: the method is not class-aware
    reads: Literal["log_mel", "pcm"] = "log_mel"  # what stages read and give to `heat_maps`
    views = 1  # augmented copies of each clip's frame in a training batch

    def __init__(self, visual: Visual, start: Start, audio: Audio = "resnet18") -> None:
        super().__init__()
        self.visual = visual_trunk(visual, start)
        self.visual_channels = CHANNELS[visual]
        self.audio = AudioNetwork(audio)
        self.reads = self.audio.reads

    def visual_features(self, images: Tensor) -> Tensor:
        """f_v(v): (B, 3, H, W) → (B, c, h, w).

        If the visual network is frozen, training passes its features, computed once for all epochs,
        in place of the images; they are returned as they are.
        """
        if images.shape[1] == self.visual_channels:
            return images
        return self.visual(images)  # type: ignore[no-any-return]

    def prepare_sound(self, pcm: Tensor) -> Tensor:
        """Sounds of 1 s as `heat_maps` takes them: (B, 16000) at 16 kHz in [-1, 1] → (B, …).

        spm's log-mels (B, 201, 64), or YAMNet's (B, 96, 64).
        """
        if self.reads == "pcm":
            return yamnet.log_mel_patches(pcm)[:, 0]
        return log_mel(pcm)

    def smooth_sounds(
        self, sounds: Tensor, videos: Sequence[str], starts_s: Sequence[float]
    ) -> Tensor:
        """Prepared sounds, averaged over neighboring seconds by methods that do so: (n, …).

        Parameters
        ----------
        sounds : Tensor, shape (n, …)
            `prepare_sound` of n clips.
        videos : sequence of n str
            Video of each clip; clips of different videos are never averaged.
        starts_s : sequence of n float
            Start of each clip in its video, in s.
        """
        return sounds

    def audio_features(self, log_mels: Tensor) -> Tensor:
        """Output of the audio network: (B, 201, 64) → A = f_a(a), (B, 512).

        If the audio network is frozen, it is computed once for all epochs.
        """
        return self.audio(log_mels)  # type: ignore[no-any-return]

    def loss(self, images: Tensor, features: Tensor, negative: Tensor) -> StepOutput:
        """Loss of a batch.

        Parameters
        ----------
        images : Tensor, shape (B, 3, H, W)
            A frame of each clip; in training (views · B, 3, H, W), the first views of all clips
            first.
        features : Tensor, shape (B, …)
            Output of `audio_features` for each clip.
        negative : Tensor, shape (B, B), bool
            The pairs of sound (row) and frame (column) that are negatives; the diagonal has the
            positives.
        """
        raise NotImplementedError

    def heat_maps(self, images: Tensor, log_mels: Tensor) -> HeatMaps:
        """Heat maps of clips with f frames each: (B, f, 3, H, W) and (B, 201, 64)."""
        raise NotImplementedError

    def predict_clusters(self, log_mels: Tensor) -> Tensor:
        """Cluster of each sound, (B,), by a class-aware method."""
        raise NotImplementedError

    def trainable_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters that the run's optimizer changes."""
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                yield name, parameter

    def parameter_groups(self, config: Train) -> list[dict[str, Any]]:
        """Trainable parameters of the backbones and of the rest, with their learning rates."""
        backbones: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in self.trainable_parameters():
            group = backbones if name.startswith(("visual.", "audio.")) else others
            group.append(parameter)
        return [
            {"params": backbones, "lr": config.lr},
            {"params": others, "lr": config.projection_lr},
        ]

    def distribute(self) -> None:
        """Share the images and sounds of each batch among the processes of the training."""
        distributed.wrap(self.visual)
        distributed.wrap(self.audio.trunk)

    def compile_trunks(self) -> None:
        """Compile the trained trunks with `torch.compile`, when they are first called.

        Names of weights and hooks stay as they are; each process compiles its own part of a batch.
        """
        for trunk in (self.visual, self.audio.trunk):
            if any(parameter.requires_grad for parameter in trunk.parameters()):
                trunk.forward = torch.compile(trunk.forward)  # type: ignore[method-assign]

    def set_train_mode(self, config: Train) -> None:
        """Set training mode; frozen networks and their BatchNorm stay in evaluation mode."""
        self.train()
        self.audio.train(not config.frozen)
        self.visual.train(not config.freeze_visual)

    def embed_audio_all(self, log_mels: Tensor) -> Tensor:
        """`audio_features` of all clips, in evaluation mode: (clips, 201, 64) → (clips, …), CPU."""
        return self._apply_all(self.audio_features, log_mels)

    def predict_clusters_all(self, log_mels: Tensor) -> Tensor | None:
        """Cluster of every sound, (clips,) on the CPU; None if the method is not class-aware."""
        if not self.cluster_count:
            return None
        return self._apply_all(self.predict_clusters, log_mels)

    @torch.inference_mode()
    def _apply_all(self, function: Callable[[Tensor], Tensor], log_mels: Tensor) -> Tensor:
        self.eval()
        if not len(log_mels):
            return torch.empty(0)
        device = next(self.parameters()).device
        outputs = [function(part.to(device)).cpu() for part in log_mels.split(BATCH)]
        return torch.cat(outputs).clone()


def flatten_frames(images: Tensor) -> Tensor:
    """Frames of all clips in one batch: (B, f, 3, H, W) → (B·f, 3, H, W)."""
    return images.flatten(0, 1)


def unflatten_frames(values: Tensor, images: Tensor) -> Tensor:
    """Undo `flatten_frames` on values that were computed for each frame: (B·f, …) → (B, f, …)."""
    return values.view(*images.shape[:2], *values.shape[1:])


def min_max(maps: Tensor) -> Tensor:
    """Scale each map (…, h, w) to [0, 1], from its minimum to its maximum; a flat map becomes 0."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-12)
