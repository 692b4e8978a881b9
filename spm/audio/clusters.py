"""Pseudo-labels of the sounds: Algorithm 1, step 1.

python -m spm.audio.clusters --config '{}' --index clips.parquet --spectrograms spectrograms
    --out clusters.parquet --centroids centroids.safetensors --history history.parquet
    --mapped state/mapped [--clips clips, if features is yamnet]
"""

import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pydantic import Field
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor

from spm.audio import features
from spm.audio.classifier import ClassifierConfig, train_classifier
from spm.audio.kmeans import Clustering, sampled_kmeans
from spm.audio.network import predict
from spm.audio.sounds import open_sounds, origin
from spm.base import schemas, stage, tables
from spm.base.config import THREADS, Device, Section, Seed, Threads
from spm.base.digest import code_digest
from spm.base.errors import UserError
from spm.base.statuses import Split
from spm.corpus import clip_reader
from spm.learn import dataloading, training, weights
from spm.learn.backbones import Audio
from spm.learn.checkpoints import HistoryRow
from spm.learn.clip_files import Sounds
from spm.learn.device import pick_device
from spm.learn.finished import Finished, work_digest

MODULE = "spm.audio.clusters"


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
    exact_clips: int = Field(
        500_000,
        ge=10_000,  # the largest k
        le=10_000_000,  # torch.multinomial draws one of at most 2**24
        description="Largest number of clips that are clustered exactly. Of more clips, this many"
        " random ones determine the centroids, and every clip gets its nearest centroid. A million"
        " clips need 1.5 GB of memory with log-mel-statistics, 6 GB with untrained and deepcluster,"
        " and 12 GB with yamnet.",
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
    device: Device = "auto"
    threads: Threads = THREADS

    @property
    def network(self) -> Audio:
        """The audio network whose input the features are computed of."""
        return "yamnet" if self.features is AudioFeatures.YAMNET else "resnet18"


def purity(labels: np.ndarray, categories: np.ndarray) -> float:
    """Fraction of clips whose category is the most frequent one of their cluster, in (0, 1].

    >>> purity(np.array([0, 0, 0, 1]), np.array(["flute", "flute", "cello", "cello"]))
    0.75
    """
    return float(contingency_matrix(categories, labels).max(0).sum() / len(labels))


def _cluster(vectors: Tensor, config: Clusters, device: torch.device) -> Clustering:
    return sampled_kmeans(
        vectors,
        config.k,
        sample=config.exact_clips,
        device=device,
        seed=config.seed,
        restarts=config.restarts,
        iterations=config.iterations,
    )


def _collect(parts: Iterable[Tensor], clips: int, config: Clusters, mapped: Path | None) -> Tensor:
    """Features of all clips, standardized over the clips: (clips, d)."""
    scratch = mapped if clips > config.exact_clips else None
    return features.standardize_(dataloading.collect(parts, clips, scratch), config.exact_clips)


def deepcluster(
    sounds: Sounds,
    clustering: Clustering,
    config: Clusters,
    device: torch.device,
    mapped: Path | None,
) -> Tensor:
    """Output of an audio network that learns the clusters, (clips, 512), standardized.

    Each round trains a new network on the clusters of the round before, and clusters its output.
    Source: Caron et al., Deep Clustering for Unsupervised Learning of Visual Features, ECCV 2018.
    """
    for number in range(config.deepcluster_rounds):
        classifier_config = ClassifierConfig(
            epochs=config.deepcluster_epochs, standardize=True, seed=config.seed + number
        )
        labels = clustering.labels.cpu()
        audio = train_classifier(sounds, labels, config.k, classifier_config, device)
        outputs = _collect(predict(audio, sounds, device), len(sounds), config, mapped)
        if number < config.deepcluster_rounds - 1:
            clustering = _cluster(outputs, config, device)
    return outputs


def compute_features(
    sounds: Sounds, config: Clusters, device: torch.device, mapped: Path | None = None
) -> Tensor:
    """Features to cluster, (clips, d), standardized over the clips.

    `sounds` are as `sounds.open_sounds` gives them. The features of more than `exact_clips` clips
    are in a file in the folder `mapped`.
    """
    count = len(sounds)
    if config.features is AudioFeatures.YAMNET:
        return _collect(features.yamnet_embeddings(sounds, device), count, config, mapped)
    if config.features is AudioFeatures.UNTRAINED:
        outputs = features.untrained(sounds, config.seed, device)
        return _collect(outputs, count, config, mapped)
    statistics = _collect(features.statistics(sounds), count, config, mapped)
    if config.features is AudioFeatures.STATISTICS:
        return statistics
    return deepcluster(sounds, _cluster(statistics, config, device), config, device, mapped)


def label_agreement(rows: pa.Table, labels: np.ndarray) -> dict[str, float | int | None]:
    """Purity and NMI of the solo clips against their categories; reported, not used in training."""
    solo = clip_reader.solos(rows, "purity of the clusters")
    if not solo.any():
        return {"purity": None, "nmi": None, "solo_clips": 0}
    # Numbers in the order of the names: they take less memory than texts.
    names = pc.binary_join(rows["categories"].filter(solo), "+")
    categories = pc.rank(names, tiebreaker="dense").to_numpy()
    nmi = float(normalized_mutual_info_score(categories, labels[solo]))
    return {"purity": purity(labels[solo], categories), "nmi": nmi, "solo_clips": int(solo.sum())}


def describe(
    result: Clustering, rows: pa.Table, labels: np.ndarray, config: Clusters
) -> dict[str, Any]:
    """What the JSON beside the centroids says."""
    return {
        "iterations": len(result.history) - 1,
        "mean_similarity": result.history[-1],
        "sizes": np.bincount(labels, minlength=config.k).tolist(),
        **label_agreement(rows, labels),
        **origin(config.network),
    }


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
    mapped: Path | None = None,
    finished: Path | None = None,
    finished_number: int | None = None,
) -> None:
    """Cluster the sounds of the training clips; a clip's pseudo-label is its nearest centroid."""
    rows = training_rows(config, index)
    files = [index, *clip_reader.files(rows, clips or spectrograms)]
    depends_on = work_digest(files, config.model_dump_json(), code_digest(MODULE))
    outputs = (out, centroids, centroids.with_suffix(".json"), history)
    earlier = Finished(finished, finished_number or 0, depends_on, outputs)
    if earlier.restore():
        return
    device = pick_device(config.device, config.threads)
    sounds = open_sounds(config.network, rows, spectrograms, clips, mapped)
    result = _cluster(compute_features(sounds, config, device, mapped), config, device)
    labels = result.labels.cpu().numpy()
    about = describe(result, rows, labels, config)
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
    earlier.keep()


if __name__ == "__main__":
    stage.main(run)
