"""The audio network f_a: a log-mel in, one vector out; and the classifier that promotes it."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from spm.learn.backbones import audio_trunk

FEATURES = 512
BATCH = 128  # clips at once where no gradient is kept


class AudioNetwork(nn.Module):
    """Eq. 2: A = f_a(a), a ResNet-18 with one input channel, its maximum over time and mel.

    The log-mels are scaled by two numbers per mel, fixed before training: 0 and 1 leave them as they are, as DSOL does.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mels: int = 64) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(mels))
        self.register_buffer("deviation", torch.ones(mels))
        self.trunk = audio_trunk()

    def standardize(self, log_mels: Tensor) -> None:
        """Take each mel's mean and deviation from the training clips, (clips, 201, 64)."""
        values = log_mels.flatten(0, 1).float()
        self.mean, self.deviation = values.mean(0), values.std(0).clamp_min(1e-3)

    def scaled(self, log_mels: Tensor) -> Tensor:
        """What the first layer sees: (B, 201, 64) → (B, 201, 64)."""
        return (log_mels.float() - self.mean) / self.deviation

    def positions(self, log_mels: Tensor) -> Tensor:
        """Features at each time and mel: (B, 201, 64) → (B, 512, 13, 4)."""
        return self.trunk(self.scaled(log_mels)[:, None])  # type: ignore[no-any-return]

    def forward(self, log_mels: Tensor) -> Tensor:
        """(B, 201, 64) → (B, 512)."""
        return self.positions(log_mels).amax((2, 3))


class Classifier(nn.Module):
    """g(f_a(a)) of Algorithm 1, step 2: the audio network and one linear layer."""

    def __init__(self, audio: AudioNetwork, classes: int) -> None:
        super().__init__()
        self.audio = audio
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, log_mels: Tensor) -> Tensor:
        """(B, 201, 64) → logits (B, classes)."""
        return self.head(self.audio(log_mels))  # type: ignore[no-any-return]


def _batches(log_mels: Tensor, device: torch.device) -> Iterator[Tensor]:
    return (part.to(device) for part in log_mels.split(BATCH))


@torch.inference_mode()
def apply(network: nn.Module, log_mels: Tensor, device: torch.device) -> Tensor:
    """What a network gives for every clip, in evaluation mode: (clips, 201, 64) → (clips, …) on the CPU."""
    network.eval()
    parts = [network(batch).cpu() for batch in _batches(log_mels, device)]
    return torch.cat(parts).clone() if parts else torch.empty(0)
