"""The audio network f_a, and the classifier that is trained on pseudo-labels."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from spm.audio.moments import Moments, merge, moments
from spm.base.constants import N_MELS
from spm.learn import loader, yamnet
from spm.learn.backbones import AUDIO_CHANNELS, Audio, audio_trunk
from spm.learn.clip_files import Sounds

BATCH = 128  # clips per batch where no gradient is needed
PART = 2048  # clips whose log-mels are in the memory of a worker as 32-bit numbers


class AudioNetwork(nn.Module):
    """Eq. 2: A = f_a(a): features of 1-second sounds.

    `resnet18`: a ResNet-18 with one input channel, and the maximum over time and mel, as in DSOL.
    `yamnet`: YAMNet without its classifier, on its own log-mels; `load_yamnet` gives it the weights
    that were trained on AudioSet's labels, which is not the paper's self-supervision.

    Two buffers per mel band normalize the log-mels. They are fixed before training: mean 0 and
    standard deviation 1 leave the log-mels unchanged, as in DSOL.
    """

    mel_mean: Tensor
    mel_std: Tensor

    def __init__(self, name: Audio = "resnet18") -> None:
        super().__init__()
        self.name, self.channels = name, AUDIO_CHANNELS[name]
        self.register_buffer("mel_mean", torch.zeros(N_MELS))
        self.register_buffer("mel_std", torch.ones(N_MELS))
        self.trunk = audio_trunk(name)

    @property
    def reads(self) -> Literal["log_mel", "pcm"]:
        """What stages read for this network: spm's log-mels, or the sound itself."""
        return "pcm" if self.name == "yamnet" else "log_mel"

    def load_yamnet(self) -> None:
        """Take the published weights of YAMNet."""
        self.trunk.load_state_dict(yamnet.load().layers.state_dict())

    def fit_normalization(self, sounds: Sounds) -> None:
        """Take each mel band's mean and standard deviation from the clips, (clips, frames, 64)."""
        plans = (part.numpy() for part in torch.arange(len(sounds)).split(PART))

        def part_moments(indices: np.ndarray) -> Moments:
            return moments(sounds.sounds(indices).flatten(0, 1).float())

        parts = loader.load(plans, part_moments, device=torch.device("cpu"))
        _, self.mel_mean, std = merge(parts)
        self.mel_std = std.clamp_min(1e-3)

    def normalize(self, log_mels: Tensor) -> Tensor:
        """Input of the first layer: (B, frames, 64) → (B, frames, 64)."""
        return (log_mels.float() - self.mel_mean) / self.mel_std

    def feature_map(self, log_mels: Tensor) -> Tensor:
        """Features at each time and mel position: (B, 201, 64) → (B, 512, 13, 4) of ResNet-18."""
        return self.trunk(self.normalize(log_mels)[:, None])  # type: ignore[no-any-return]

    def forward(self, log_mels: Tensor) -> Tensor:
        """(B, frames, 64) → (B, channels); YAMNet takes the mean over the positions."""
        features = self.feature_map(log_mels)
        return features.mean((2, 3)) if self.name == "yamnet" else features.amax((2, 3))


class Classifier(nn.Module):
    """g(f_a(a)) of Algorithm 1, step 2: the audio network and one linear layer."""

    def __init__(self, audio: AudioNetwork, classes: int) -> None:
        super().__init__()
        self.audio = audio
        self.head = nn.Linear(audio.channels, classes)

    def forward(self, log_mels: Tensor) -> Tensor:
        """(B, frames, 64) → logits (B, classes)."""
        return self.head(self.audio(log_mels))  # type: ignore[no-any-return]


@torch.inference_mode()
def predict(network: nn.Module, sounds: Sounds, device: torch.device) -> Iterator[Tensor]:
    """Output of a network for all clips in their order, in evaluation mode: (128, …) each, CPU."""
    network.eval()
    for batch in loader.sound_batches(sounds, BATCH, device=device):
        yield network(batch.to(device)).cpu()
