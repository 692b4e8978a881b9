"""An audio network that has learned the tones of `corpora`."""

from dataclasses import dataclass
from pathlib import Path

import torch

from spm.audio.classifier import ClassifierConfig, train_classifier
from spm.audio.clusters import Clusters, compute_features
from spm.audio.kmeans import spherical_kmeans
from spm.audio.sounds import open_sounds
from spm.corpus import clip_reader
from spm.learn import weights
from spm.learn.clip_files import Indices, Sounds
from tests.support.corpora import Corpus


@dataclass(frozen=True)
class ShortSounds:
    """The first quarter of a second of sounds: a tone is the same later, and this takes a quarter.

    A network that has learned them takes whole sounds too.
    """

    whole: Sounds

    def __len__(self) -> int:
        return len(self.whole)

    def sounds(self, indices: Indices) -> torch.Tensor:
        return self.whole.sounds(indices)[:, :51]


def train(squares: Corpus, path: Path) -> None:
    """Train an audio network on two clusters and save it."""
    rows, cpu = clip_reader.select(squares.index, split="train"), torch.device("cpu")
    sounds = ShortSounds(open_sounds("resnet18", rows, squares.spectrograms, None, None))
    labels = spherical_kmeans(compute_features(sounds, Clusters(k=2), cpu), 2).labels
    config = ClassifierConfig(epochs=4, batch=16, standardize=True)
    network = train_classifier(sounds, labels, 2, config, cpu)
    weights.save(path, network.state_dict(), {})
