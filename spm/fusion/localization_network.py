"""Base class of the methods' networks: two backbones, a loss of a batch, and heat maps."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from spm.audio.network import AudioNetwork
from spm.corpus.spectrograms import log_mel
from spm.fusion.settings import Train
from spm.learn import distributed, yamnet
from spm.learn.backbones import CHANNELS, Audio, Start, Visual, visual_trunk


class StepOutput(NamedTuple):
    """Loss and accuracy of a batch."""

    loss: Tensor  # scalar
    accuracy: Tensor  # scalar: of deciding which sounds and frames belong together


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
            first. In a training with several processes these are only the process's own frames
            (`distributed.own_part`): `visual_features`, called for one view, gives those of all B.
        features : Tensor, shape (A, …)
            Output of `audio_features` for each clip, and for the A - B negative sounds of the
            batch, which no frame shows (`spm/fusion/negative_sounds.py`).
        negative : Tensor, shape (A, B), bool
            The pairs of sound (row) and frame (column) that are negatives; the diagonal has the
            positives.
        """
        raise NotImplementedError

    def heat_maps(self, images: Tensor, log_mels: Tensor) -> HeatMaps:
        """Heat maps of clips with f frames each: (B, f, 3, H, W) and (B, 201, 64)."""
        raise NotImplementedError

    def absolute_maps(self, images: Tensor, log_mels: Tensor) -> Tensor:
        """Maps of the sound on one scale for all frames and sounds: (B, f, h, w), in [0, 1].

        The parameters are those of `heat_maps`. A method whose `heat_maps` scales each map to
        [0, 1] on its own overrides this.
        """
        return self.heat_maps(images, log_mels).sounding

    def cosines(self, images: Tensor, log_mels: Tensor) -> Tensor:
        """Cosines of each position with its clip's sound, by methods that compare them so.

        Shapes as in `heat_maps` → (B, f, h, w).
        """
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

    def shared_trunks(self) -> list[nn.Module]:
        """Trunks of which each process of a training computes its part of a batch.

        All that follows them is computed by every process for the whole batch.
        """
        return [self.visual, self.audio.trunk]

    def distribute(self) -> None:
        """Share the images and sounds of each batch among the processes of the training."""
        for trunk in self.shared_trunks():
            distributed.wrap(trunk)

    def average_gradients(self) -> None:
        """Make the gradients of all processes equal; those of the shared trunks already are."""
        shared = set(nn.ModuleList(self.shared_trunks()).parameters())
        distributed.average_gradients(part for part in self.parameters() if part not in shared)

    def compile_trunks(self) -> None:
        """Compile the trained trunks with `torch.compile`, when they are first called.

        Names of weights stay as they are. Call this before `distribute`: each process compiles the
        computation of its own part of a batch.
        """
        for trunk in (self.visual, self.audio.trunk):
            if any(parameter.requires_grad for parameter in trunk.parameters()):
                trunk.forward = torch.compile(trunk.forward)  # type: ignore[method-assign]

    def set_train_mode(self, config: Train) -> None:
        """Set training mode; frozen networks and their BatchNorm stay in evaluation mode."""
        self.train()
        self.audio.train(not config.frozen)
        self.visual.train(not config.freeze_visual)

    @torch.inference_mode()
    def apply_all(
        self, function: Callable[[Tensor], Tensor], batches: Iterable[Tensor]
    ) -> Iterator[Tensor]:
        """Output of one of this network's functions for each batch, in evaluation mode, on the CPU.

        For all clips, once: `audio_features` of a frozen network, or `predict_clusters`.
        """
        self.eval()
        device = next(self.parameters()).device
        for batch in batches:
            yield function(batch.to(device)).cpu()


def flatten_frames(images: Tensor) -> Tensor:
    """Frames of all clips in one batch: (B, f, 3, H, W) → (B·f, 3, H, W)."""
    return images.flatten(0, 1)


def unflatten_frames(values: Tensor, images: Tensor) -> Tensor:
    """Undo `flatten_frames` on values that were computed for each frame: (B·f, …) → (B, f, …)."""
    return values.view(*images.shape[:2], *values.shape[1:])


class CosineMaps(LocalizationNetwork):
    """A network whose maps are its `cosines`; as a base class it stands before others."""

    def heat_maps(self, images: Tensor, log_mels: Tensor) -> HeatMaps:
        """Cosines, scaled to [0, 1] per map."""
        return HeatMaps(min_max(self.cosines(images, log_mels)))

    def absolute_maps(self, images: Tensor, log_mels: Tensor) -> Tensor:
        """Cosines, from [-1, 1] to [0, 1]."""
        return unit_scale(self.cosines(images, log_mels))


def unit_scale(cosines: Tensor) -> Tensor:
    """Cosines of any shape, from [-1, 1] to [0, 1]: one scale for all maps."""
    return ((cosines + 1) / 2).clamp(0, 1)


def min_max(maps: Tensor) -> Tensor:
    """Scale each map (…, h, w) to [0, 1], from its minimum to its maximum; a flat map becomes 0."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-12)
