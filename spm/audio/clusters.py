"""Pseudo-labels of the sounds: Algorithm 1, step 1.

python -m spm.audio.clusters --config '{}' --index clips.parquet --spectrograms spectrograms
    --out clusters.parquet --centroids centroids.safetensors --history history.parquet
    [--clips clips, if features is yamnet]
"""

import sys
from enum import StrEnum
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor

from spm.audio.classifier import ClassifierConfig, train_classifier
from spm.audio.kmeans import Clustering, spherical_kmeans
from spm.audio.network import AudioNetwork, predict_all
from spm.audio.sounds import origin, read_sounds
from spm.base import schemas, stage, tables
from spm.base.config import Device, Section, Seed
from spm.base.errors import UserError
from spm.base.statuses import Kind, Split
from spm.corpus import clip_reader
from spm.learn import training, weights
from spm.learn.backbones import Audio
from spm.learn.checkpoints import HistoryRow
from spm.learn.device import pick_device


class AudioFeatures(StrEnum):
    """What is clustered."""

    STATISTICS = "log-mel-statistics"
    UNTRAINED = "untrained"
    DEEPCLUSTER = "deepcluster"
    YAMNET = "yamnet"


class Clusters(Section):
    """Clustering of the training sounds into pseudo-labels (Algorithm 1, step 1).

    The paper clusters outputs of the audio network before that network is trained, so `features`
    is its largest open point.
    """

    k: int = Field(11, ge=2, le=10_000, description="Number of clusters.")
    features: AudioFeatures = Field(
        AudioFeatures.STATISTICS,
        description="What is clustered: log-mel-statistics (mean and standard deviation over time"
        " of each mel band), untrained (output of an untrained audio network), deepcluster (output"
        " of a network that is trained on clusters, in several rounds), or yamnet (embeddings of"
        " YAMNet, which was trained on AudioSet's labels: not the paper's self-supervision).",
    )
    deepcluster_rounds: int = Field(
        2,
        ge=1,
        le=1_000,
        description="Rounds of training and clustering, if features is deepcluster.",
    )
    deepcluster_epochs: int = Field(
        3, ge=1, le=10_000, description="Training epochs per round, if features is deepcluster."
    )
    restarts: int = Field(
        10,
        ge=1,
        le=10_000,
        description="Number of k-means++ initializations; the best result is kept.",
    )
    iterations: int = Field(
        300,
        ge=1,
        le=1_000_000,
        description="Maximum number of iterations per initialization. It stops earlier when no"
        " assignment changes.",
    )
    seed: Seed = Field(
        0, description="Random seed of the initializations and of the audio networks."
    )
    device: Device = Field("auto", description="Device: auto (GPU if there is one), cpu or cuda.")

    @property
    def network(self) -> Audio:
        """The audio network whose input the features are computed of."""
        return "yamnet" if self.features is AudioFeatures.YAMNET else "resnet18"


def mel_statistics(log_mels: Tensor) -> Tensor:
    """Mean and standard deviation of each mel band over time: (clips, 201, 64) → (clips, 128)."""
    parts = []
    for part in log_mels.split(4096):
        values = part.float()
        parts.append(torch.cat([values.mean(1), values.std(1)], 1))
    return torch.cat(parts)


def standardize(features: Tensor) -> Tensor:
    """Scale each dimension to mean 0 and standard deviation 1, so that none dominates: (n, d)."""
    return (features - features.mean(0)) / features.std(0).clamp_min(1e-6)


def purity(labels: np.ndarray, categories: np.ndarray) -> float:
    """Fraction of clips whose category is the most frequent one of their cluster, in (0, 1].

    >>> purity(np.array([0, 0, 0, 1]), np.array(["flute", "flute", "cello", "cello"]))
    0.75
    """
    return float(contingency_matrix(categories, labels).max(0).sum() / len(labels))


def _cluster(features: Tensor, config: Clusters, device: torch.device) -> Clustering:
    return spherical_kmeans(
        features.to(device),
        config.k,
        seed=config.seed,
        restarts=config.restarts,
        iterations=config.iterations,
    )


def untrained_features(log_mels: Tensor, config: Clusters, device: torch.device) -> Tensor:
    """Output of an audio network with random weights, (clips, 512)."""
    torch.manual_seed(config.seed)
    audio = AudioNetwork()
    audio.fit_normalization(log_mels)
    return predict_all(audio.to(device), log_mels, device)


def deepcluster(
    log_mels: Tensor, clustering: Clustering, config: Clusters, device: torch.device
) -> Tensor:
    """Output of an audio network that learns the clusters, (clips, 512).

    Each round trains a new network on the clusters of the round before, and clusters its output.
    Source: Caron et al., Deep Clustering for Unsupervised Learning of Visual Features, ECCV 2018.
    """
    for number in range(config.deepcluster_rounds):
        classifier_config = ClassifierConfig(
            epochs=config.deepcluster_epochs, standardize=True, seed=config.seed + number
        )
        labels = clustering.labels.cpu()
        audio = train_classifier(log_mels, labels, config.k, classifier_config, device)
        features = standardize(predict_all(audio, log_mels, device))
        clustering = _cluster(features, config, device)
    return features


def yamnet_embeddings(log_mels: Tensor, device: torch.device) -> Tensor:
    """Embeddings of YAMNet, with its published weights: (clips, 96, 64) → (clips, 1024)."""
    audio = AudioNetwork("yamnet")
    audio.load_yamnet()
    return predict_all(audio.to(device), log_mels, device)


def compute_features(log_mels: Tensor, config: Clusters, device: torch.device) -> Tensor:
    """Features to cluster, (clips, d), standardized over the clips.

    `log_mels` (clips, 201, 64), or YAMNet's (clips, 96, 64), are as `sounds.read_sounds` gives
    them.
    """
    if config.features is AudioFeatures.YAMNET:
        return standardize(yamnet_embeddings(log_mels, device))
    if config.features is AudioFeatures.UNTRAINED:
        return standardize(untrained_features(log_mels, config, device))
    statistics = standardize(mel_statistics(log_mels))
    if config.features is AudioFeatures.STATISTICS:
        return statistics
    return deepcluster(log_mels, _cluster(statistics, config, device), config, device)


def label_agreement(rows: pa.Table, labels: np.ndarray) -> dict[str, float | int | None]:
    """Purity and NMI of the solo clips against their categories; reported, not used in training."""
    solo = np.array([kind == Kind.SOLO for kind in rows["kind"].to_pylist()], dtype=bool)
    if not solo.any():
        return {"purity": None, "nmi": None, "solo_clips": 0}
    categories = np.array(["+".join(names) for names in rows["categories"].to_pylist()])[solo]
    nmi = float(normalized_mutual_info_score(categories, labels[solo]))
    return {"purity": purity(labels[solo], categories), "nmi": nmi, "solo_clips": int(solo.sum())}


def training_rows(config: Clusters, index: Path) -> pa.Table:
    """The audible training clips; an error if there are fewer than clusters."""
    training_clips = clip_reader.select(index, split=Split.TRAIN)
    rows = clip_reader.require_rows(training_clips, "audible training")
    if rows.num_rows < config.k:
        raise UserError(
            f"clusters.k: {config.k}, but there are only {rows.num_rows} audible training clips:"
            " set a smaller k"
        )
    return rows


def run(
    config: Clusters,
    *,
    index: Path,
    spectrograms: Path,
    clips: Path | None = None,
    out: Path,
    centroids: Path,
    history: Path,
) -> None:
    """Cluster the sounds of the training clips; a clip's pseudo-label is its nearest centroid."""
    rows = training_rows(config, index)
    device = pick_device(config.device)
    log_mels = read_sounds(config.network, rows, spectrograms, clips)
    result = _cluster(compute_features(log_mels, config, device), config, device)
    labels = result.labels.cpu().numpy()
    about = {
        "iterations": len(result.history) - 1,
        "mean_similarity": result.history[-1],
        "sizes": np.bincount(labels, minlength=config.k).tolist(),
        **label_agreement(rows, labels),
        **origin(config.network),
    }
    if "pretrained" in about:
        print(f"clusters: embeddings of {about['pretrained']}", file=sys.stderr)
    weights.save(centroids, {"centroids": result.centroids.float()}, about)
    similarities = [
        HistoryRow(n, Split.TRAIN, "similarity", value) for n, value in enumerate(result.history)
    ]
    training.write_history(similarities, history)
    with tables.writer(out, schemas.CLUSTERS) as write:
        write(
            clip_id=rows["clip_id"],
            pseudo_label=labels,
            similarity=result.similarity.cpu().float().numpy(),
        )


if __name__ == "__main__":
    stage.main(run)
