"""Pseudo-labels of the sounds: Algorithm 1, step 1.

python -m spm.audio.clusters --config '{}' --index clips.parquet --spectrograms spectrograms --out clusters.parquet
    --centroids centroids.safetensors --history history.parquet
"""

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor

from spm.audio.classifier import ClassifierConfig, train_classifier
from spm.audio.kmeans import Clustering, spherical_kmeans
from spm.audio.network import AudioNetwork, apply
from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.corpus import clip_reader
from spm.learn import dataloading, device, training, weights


class Clusters(Section):
    """What is clustered is the paper's largest open point: f_a is untrained when its outputs are to be clustered."""

    k: int = Field(11, ge=2)
    features: Literal["log-mel-statistics", "untrained", "warm"] = "log-mel-statistics"
    warm_rounds: int = Field(2, ge=1)  # of cluster-and-train that make the warm features
    warm_epochs: int = Field(3, ge=1)  # of training in each round
    restarts: int = Field(10, ge=1)
    iterations: int = Field(300, ge=1)  # at most; it stops when no assignment changes
    seed: int = 0
    device: str = "auto"


def mel_statistics(log_mels: Tensor) -> Tensor:
    """Mean and deviation over time of each mel: (clips, 201, 64) dB → (clips, 128)."""
    parts = [
        torch.cat([part.float().mean(1), part.float().std(1)], 1) for part in log_mels.split(4096)
    ]
    return torch.cat(parts)


def standardized(features: Tensor, reference: Tensor) -> Tensor:
    """Features with the reference's mean 0 and deviation 1, so that no dimension decides alone."""
    return (features - reference.mean(0)) / reference.std(0).clamp_min(1e-6)


def purity(labels: np.ndarray, truth: np.ndarray) -> float:
    """Fraction of clips whose class is the commonest of their cluster, in (0, 1].

    >>> purity(np.array([0, 0, 0, 1]), np.array(["flute", "flute", "cello", "cello"]))
    0.75
    """
    return float(contingency_matrix(truth, labels).max(0).sum() / len(labels))


def _deepcluster(
    log_mels: Tensor, first: Clustering, config: Clusters, where: torch.device
) -> Tensor:
    """Features of an audio network taught by the clusters, round after round (Caron et al., DeepCluster, 2018)."""
    clustering = first
    for number in range(config.warm_rounds):
        how = ClassifierConfig(
            epochs=config.warm_epochs, standardize=True, seed=config.seed + number
        )
        audio = train_classifier(log_mels, clustering.labels.cpu(), config.k, how, where)
        features = standardized(*[apply(audio, log_mels, where)] * 2)
        clustering = _cluster(features, config, where)
    return features


def _untrained(log_mels: Tensor, config: Clusters, where: torch.device) -> Tensor:
    torch.manual_seed(config.seed)
    audio = AudioNetwork()
    audio.standardize(log_mels)
    return apply(audio.to(where), log_mels, where)


def _cluster(features: Tensor, config: Clusters, where: torch.device) -> Clustering:
    return spherical_kmeans(
        features.to(where),
        config.k,
        seed=config.seed,
        restarts=config.restarts,
        iterations=config.iterations,
    )


def features_of(log_mels: Tensor, config: Clusters, where: torch.device) -> Tensor:
    """What is clustered, (clips, d), standardized over the clips."""
    if config.features == "untrained":
        found = _untrained(log_mels, config, where)
        return standardized(found, found)
    simple = mel_statistics(log_mels)
    simple = standardized(simple, simple)
    if config.features == "log-mel-statistics":
        return simple
    return _deepcluster(log_mels, _cluster(simple, config, where), config, where)


def agreement(rows: pa.Table, labels: np.ndarray) -> dict[str, float | int | None]:
    """Purity and NMI of solo clips against their categories, to report and never to train on."""
    solo = np.array([kind == "solo" for kind in rows["kind"].to_pylist()], dtype=bool)
    if not solo.any():
        return {"purity": None, "nmi": None, "solo_clips": 0}
    truth = np.array(["+".join(names) for names in rows["categories"].to_pylist()])[solo]
    nmi = float(normalized_mutual_info_score(truth, labels[solo]))
    return {"purity": purity(labels[solo], truth), "nmi": nmi, "solo_clips": int(solo.sum())}


def run(
    config: Clusters, *, index: Path, spectrograms: Path, out: Path, centroids: Path, history: Path
) -> None:
    """Cluster the training clips' sounds; each gets the centroid most similar to it."""
    rows = clip_reader.require_rows(clip_reader.select(index, split="train"), "audible training")
    if rows.num_rows < config.k:
        raise UserError(
            f"clusters.k: {config.k} clusters want as many audible training clips; there are {rows.num_rows}"
        )
    where = device.pick(config.device)
    features = features_of(dataloading.log_mels(rows, spectrograms), config, where)
    found = _cluster(features, config, where)
    labels = found.labels.cpu().numpy()
    about = {
        "iterations": len(found.course) - 1,
        "mean_similarity": found.course[-1],
        "sizes": np.bincount(labels, minlength=config.k).tolist(),
        **agreement(rows, labels),
    }
    weights.save(centroids, {"centroids": found.centroids.float()}, about)
    course = [training.Row(n, "train", "similarity", value) for n, value in enumerate(found.course)]
    training.write(course, history)
    with tables.writer(out, tables.CLUSTERS) as write:
        write(
            clip_id=rows["clip_id"],
            pseudo_label=labels,
            similarity=found.similarity.cpu().float().numpy(),
        )


if __name__ == "__main__":
    stage.main(run)
