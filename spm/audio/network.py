"""The audio network f_a, and the classifier that is trained on pseudo-labels."""

import torch
from torch import Tensor, nn

from spm.base.constants import N_MELS
from spm.learn.backbones import audio_trunk

FEATURES = 512
BATCH = 128  # clips per batch where no gradient is needed


class AudioNetwork(nn.Module):
    """Eq. 2: A = f_a(a): a ResNet-18 with one input channel, and the maximum over time and mel.

    Two buffers per mel band normalize the log-mels. They are fixed before training: mean 0 and
    standard deviation 1 leave the log-mels unchanged, as in DSOL.
    """

    mel_mean: Tensor
    mel_std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mel_mean", torch.zeros(N_MELS))
        self.register_buffer("mel_std", torch.ones(N_MELS))
        self.trunk = audio_trunk()

    def fit_normalization(self, log_mels: Tensor) -> None:
        """Take each mel band's mean and standard deviation from the clips, (clips, 201, 64)."""
        values = log_mels.flatten(0, 1).float()
        self.mel_mean, self.mel_std = values.mean(0), values.std(0).clamp_min(1e-3)

    def normalize(self, log_mels: Tensor) -> Tensor:
        """Input of the first layer: (B, 201, 64) → (B, 201, 64)."""
        return (log_mels.float() - self.mel_mean) / self.mel_std

    def feature_map(self, log_mels: Tensor) -> Tensor:
        """Features at each time and mel position: (B, 201, 64) → (B, 512, 13, 4)."""
        return self.trunk(self.normalize(log_mels)[:, None])  # type: ignore[no-any-return]

    def forward(self, log_mels: Tensor) -> Tensor:
        """(B, 201, 64) → (B, 512)."""
        return self.feature_map(log_mels).amax((2, 3))


class Classifier(nn.Module):
    """g(f_a(a)) of Algorithm 1, step 2: the audio network and one linear layer."""

    def __init__(self, audio: AudioNetwork, classes: int) -> None:
        super().__init__()
        self.audio = audio
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, log_mels: Tensor) -> Tensor:
        """(B, 201, 64) → logits (B, classes)."""
        return self.head(self.audio(log_mels))  # type: ignore[no-any-return]


@torch.inference_mode()
def predict_all(network: nn.Module, log_mels: Tensor, device: torch.device) -> Tensor:
    """Output of a network for all clips, in evaluation mode: (clips, 201, 64) → (clips, …), CPU."""
    network.eval()
    outputs = [network(batch.to(device)).cpu() for batch in log_mels.split(BATCH)]
    return torch.cat(outputs).clone() if outputs else torch.empty(0)
