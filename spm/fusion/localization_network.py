"""What every method is: a visual and an audio network, a loss between a batch's sounds and pictures, and heat maps."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from spm.audio.network import BATCH, AudioNetwork
from spm.fusion.settings import Train
from spm.learn import distributed, training
from spm.learn.backbones import Start, Visual, visual_trunk

if TYPE_CHECKING:
    from spm.fusion.trainer import Trainer


class Step(NamedTuple):
    """What a batch says."""

    loss: Tensor  # scalar, to descend
    accuracy: float  # of deciding which picture a sound belongs to


class Heat(NamedTuple):
    """Maps in [0, 1] of clips with f frames each."""

    sounding: Tensor  # (B, f, h, w) where the sound is
    clusters: Tensor | None = (
        None  # (B, f, k, h, w) which cluster each place shows, of a class-aware method
    )


class LocalizationNetwork(nn.Module):
    """The base of every method: a subclass in `spm/fusion/methods/<method>.py` says `loss` and `heat`."""

    class_count = 0  # clusters that have maps of their own; 0: the method is not class-aware
    views = 1  # of each clip's frame in a batch, each cropped, mirrored and colored by a draw of its own

    def __init__(self, visual: Visual, start: Start) -> None:
        super().__init__()
        self.visual = visual_trunk(visual, start)
        self.audio = AudioNetwork()

    def sound(self, log_mels: Tensor) -> Tensor:
        """What of a sound a frozen audio network computes once: (B, 201, 64) → A = f_a(a), (B, 512)."""
        return self.audio(log_mels)  # type: ignore[no-any-return]

    def loss(self, images: Tensor, heard: Tensor, negative: Tensor) -> Step:
        """The loss of a batch.

        Parameters
        ----------
        images : Tensor, shape (B, 3, H, W)
            A frame of each clip; in training `views` of it, all clips' first views first.
        heard : Tensor, shape (B, …)
            What `sound` gives of each clip.
        negative : Tensor, shape (B, B), bool
            Which sounds (rows) count as strangers to which pictures (columns); the diagonal belongs together.
        """
        raise NotImplementedError

    def heat(self, images: Tensor, log_mels: Tensor) -> Heat:
        """Heat maps of clips with f frames each: (B, f, 3, H, W) and (B, 201, 64)."""
        raise NotImplementedError

    def epoch(self, lesson: "Trainer", number: int) -> training.Figures:
        """Teach one epoch: a pass over the clips, unless a method has more to it."""
        return lesson.one_pass(number)

    def labels(self, log_mels: Tensor) -> Tensor:
        """The cluster of each sound, (B,), of a class-aware method."""
        raise NotImplementedError

    def learnt(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that the run's optimizer moves."""
        return ((name, part) for name, part in self.named_parameters() if part.requires_grad)

    def groups(self, config: Train) -> list[dict[str, Any]]:
        """Those parameters by rate: one for the backbones and one for what starts from nothing."""
        rates = {"backbones": config.lr, "new": config.projection_lr}
        groups: dict[str, list[Tensor]] = {name: [] for name in rates}
        for name, parameter in self.learnt():
            groups["backbones" if name.startswith(("visual.", "audio.")) else "new"].append(
                parameter
            )
        return [{"params": groups[name], "lr": rates[name]} for name in rates]

    def spread(self) -> None:
        """Share each batch's pictures and sounds among the processes that learn together."""
        distributed.wrap(self.visual)
        distributed.wrap(self.audio.trunk)

    def compile_trunks(self) -> None:
        """Have `torch.compile` write kernels for the trunks that learn, when they are first called.

        Names of weights stay as they are, and so do hooks: each process of several compiles its own part of a batch.
        """
        for trunk in (self.visual, self.audio.trunk):
            if any(part.requires_grad for part in trunk.parameters()):
                trunk.forward = torch.compile(trunk.forward)  # type: ignore[method-assign]

    def teach(self, config: Train) -> None:
        """Training mode, but for a frozen audio network: its BatchNorm statistics stand still too."""
        self.train()
        self.audio.train(not config.frozen)

    def hear_all(self, log_mels: Tensor) -> Tensor:
        """What `sound` gives for every clip, in evaluation mode: (clips, 201, 64) → (clips, …) on the CPU."""
        return self._all(self.sound, log_mels)

    def labels_all(self, log_mels: Tensor) -> Tensor | None:
        """The cluster of every sound, (clips,) on the CPU, of a class-aware method."""
        return self._all(self.labels, log_mels) if self.class_count else None

    @torch.inference_mode()
    def _all(self, what: Callable[[Tensor], Tensor], log_mels: Tensor) -> Tensor:
        self.eval()
        where = next(self.parameters()).device
        parts = (
            [what(part.to(where)).cpu() for part in log_mels.split(BATCH)] if len(log_mels) else []
        )
        return torch.cat(parts).clone() if parts else torch.empty(0)


def flat_frames(images: Tensor) -> Tensor:
    """Frames of all clips one after the other: (B, f, 3, H, W) → (B·f, 3, H, W)."""
    return images.flatten(0, 1)


def framewise(values: Tensor, images: Tensor) -> Tensor:
    """Undo `flat_frames` on what was computed of the frames: (B·f, …) → (B, f, …)."""
    return values.view(*images.shape[:2], *values.shape[1:])


def min_max(maps: Tensor) -> Tensor:
    """Each map (…, h, w) from its least to its greatest value, in [0, 1]; a flat one is 0."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-12)
