import json

import numpy as np
import pytest
import torch

from spm.audio import clusters
from spm.audio.clusters import Clusters, label_agreement, mel_statistics
from spm.base import tables
from spm.base.errors import UserError
from spm.corpus import clip_reader
from spm.learn import weights


def paths(folder):
    return {
        "out": folder / "labels.parquet",
        "centroids": folder / "centroids.safetensors",
        "history": folder / "clustering.parquet",
    }


def cluster(squares, folder, clips=None, **changes):
    """Table of pseudo-labels, and content of the JSON file, for two clusters."""
    files = {"clips": clips, **paths(folder)}
    config = Clusters(k=2, device="cpu", **changes)
    clusters.run(config, index=squares.index, spectrograms=squares.spectrograms, **files)
    about = json.loads(files["centroids"].with_suffix(".json").read_text())
    return tables.read(files["out"]), about


@pytest.mark.parametrize("features", ["log-mel-statistics", "untrained", "deepcluster"])
def test_two_tones_are_two_clusters_with_all_features(squares, tmp_path, features):
    rounds = {"deepcluster_rounds": 1, "deepcluster_epochs": 4}
    table, about = cluster(squares, tmp_path, features=features, **rounds)
    rows = clip_reader.select(squares.index, split="train")
    assert table["clip_id"].equals(rows["clip_id"])
    assert about["purity"] == about["nmi"] == pytest.approx(1)
    assert sum(about["sizes"]) == about["solo_clips"] == rows.num_rows
    assert min(table["similarity"].to_pylist()) > 0


def test_embeddings_of_yamnet_are_clustered_and_named_as_pretrained(squares, tmp_path):
    table, about = cluster(squares, tmp_path, clips=squares.clips, features="yamnet")
    assert about["purity"] == about["nmi"] == pytest.approx(1)
    assert table.num_rows == sum(about["sizes"])
    assert about["pretrained"].startswith("YAMNet")
    assert "not the paper's self-supervision" in about["pretrained"]
    (centroids,) = weights.load(paths(tmp_path)["centroids"])[0].values()
    assert centroids.shape == (2, 1024)


def test_yamnet_without_the_clips_is_an_error(squares, tmp_path):
    with pytest.raises(UserError, match="yamnet reads the sound of the clips: pass their folder"):
        cluster(squares, tmp_path, features="yamnet")


def test_the_history_is_the_mean_similarity_of_each_iteration(squares, tmp_path):
    table, about = cluster(squares, tmp_path)
    history = tables.read(paths(tmp_path)["history"]).to_pylist()
    assert [row["epoch"] for row in history] == list(range(about["iterations"] + 1))
    values = [row["value"] for row in history]
    assert values == sorted(values)
    assert values[-1] == about["mean_similarity"] == pytest.approx(np.mean(table["similarity"]))


def test_purity_and_nmi_count_only_solos_and_are_null_without_any(squares):
    rows = clip_reader.select(squares.index, split="train")
    labels = np.array([names[0] == "cello" for names in rows["categories"].to_pylist()]).astype(int)
    assert label_agreement(rows, labels)["purity"] == 1
    assert label_agreement(rows, 0 * labels)["purity"] == 0.5
    kind = rows.column_names.index("kind")
    duets = rows.set_column(kind, "kind", [["duet"] * rows.num_rows])
    assert label_agreement(duets, labels)["purity"] is None


def test_more_clusters_than_clips_is_an_error(squares, tmp_path):
    files = {"index": squares.index, "spectrograms": squares.spectrograms, **paths(tmp_path)}
    with pytest.raises(UserError, match=r"clusters\.k: 1000, but there are only 96 audible"):
        clusters.run(Clusters(k=1000), **files)


def test_statistics_are_mean_and_standard_deviation_over_time():
    mels = torch.randn(5, 201, 64, dtype=torch.float64).half()
    statistics = mel_statistics(mels)
    torch.testing.assert_close(statistics[:, :64], mels.float().mean(1))
    torch.testing.assert_close(statistics[:, 64:], mels.float().std(1))
