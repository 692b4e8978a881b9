import json

import numpy as np
import pytest
import torch

from spm.audio import clusters
from spm.audio.clusters import Clusters, compute_features, label_agreement
from spm.audio.features import mel_statistics, standardize_
from spm.audio.sounds import open_sounds
from spm.base import tables
from spm.base.errors import UserError
from spm.corpus import clip_reader
from spm.learn import weights
from spm.learn.dataloading import collect


def paths(folder):
    return {
        "out": folder / "labels.parquet",
        "centroids": folder / "centroids.safetensors",
        "history": folder / "clustering.parquet",
    }


def cluster(squares, folder, clips=None, mapped=None, exact_clips=10_000, **changes):
    """Table of pseudo-labels, and content of the JSON file, for two clusters."""
    files = {"clips": clips, "mapped": mapped, **paths(folder)}
    config = Clusters(k=2, device="cpu", **changes)
    config = config.model_copy(update={"exact_clips": exact_clips})  # may be below its minimum
    clusters.run(config, index=squares.index, spectrograms=squares.spectrograms, **files)
    about = json.loads(files["centroids"].with_suffix(".json").read_text())
    return tables.read(files["out"]), about


@pytest.mark.parametrize(
    ("features", "size"),
    [
        ("log-mel-statistics", "few_squares"),
        ("untrained", "few_squares"),
        ("deepcluster", "squares"),  # of fewer clips it does not learn enough
    ],
)
def test_two_tones_are_two_clusters_with_all_features(features, size, tmp_path, request):
    corpus = request.getfixturevalue(size)
    rounds = {"deepcluster_rounds": 1, "deepcluster_epochs": 4}
    table, about = cluster(corpus, tmp_path, features=features, **rounds)
    rows = clip_reader.select(corpus.index, split="train")
    assert table["clip_id"].equals(rows["clip_id"])
    assert about["purity"] == about["nmi"] == pytest.approx(1)
    assert sum(about["sizes"]) == about["solo_clips"] == rows.num_rows
    assert min(table["similarity"].to_pylist()) > 0


@pytest.mark.slow
def test_clusters_from_mapped_files_are_those_from_memory(squares, tmp_path):
    mapped = tmp_path / "mapped"
    tables_of_labels = [
        cluster(squares, tmp_path / name, mapped=folder)
        for name, folder in (("memory", None), ("files", mapped), ("files again", mapped))
    ]
    assert tables_of_labels[0] == tables_of_labels[1] == tables_of_labels[2]
    assert {path.suffix for path in mapped.rglob("*.*")} == {".arrow"}


@pytest.mark.parametrize("features", ["log-mel-statistics", "untrained"])
def test_centroids_of_a_sample_cluster_all_clips(few_squares, tmp_path, features):
    mapped = tmp_path / "mapped"
    table, about = cluster(few_squares, tmp_path, mapped=mapped, exact_clips=10, features=features)
    assert about["purity"] == about["nmi"] == pytest.approx(1)
    assert table.num_rows == sum(about["sizes"]) == 24
    assert about["mean_similarity"] == pytest.approx(np.mean(table["similarity"]))


@pytest.mark.slow
def test_embeddings_of_yamnet_are_clustered_and_named_as_pretrained(squares, tmp_path):
    table, about = cluster(squares, tmp_path, clips=squares.clips, features="yamnet")
    assert about["purity"] == about["nmi"] == pytest.approx(1)
    assert table.num_rows == sum(about["sizes"])
    assert about["pretrained"].startswith("YAMNet")
    assert "not the paper's self-supervision" in about["pretrained"]
    (centroids,) = weights.load(paths(tmp_path)["centroids"])[0].values()
    assert centroids.shape == (2, 1024)


@pytest.mark.slow
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


def test_features_in_a_file_are_those_in_memory(tmp_path):
    parts = torch.randn(300, 8, generator=torch.Generator().manual_seed(0)).split(128)
    in_memory, in_file = collect(parts, 300, None), collect(parts, 300, tmp_path / "scratch")
    assert torch.equal(in_memory, torch.cat(parts))
    assert torch.equal(in_file, in_memory)
    exact = standardize_(in_memory, part=300)
    torch.testing.assert_close(exact.std(0), torch.ones(8))
    torch.testing.assert_close(standardize_(in_file, part=100), exact)


def test_features_do_not_depend_on_the_parts_in_which_they_are_computed(squares):
    rows = clip_reader.select(squares.index, split="train")
    sounds = open_sounds("resnet18", rows, squares.spectrograms, None, None)
    features = compute_features(sounds, Clusters(k=2), torch.device("cpu"))
    statistics = mel_statistics(sounds.sounds(range(len(sounds))))
    expected = (statistics - statistics.mean(0)) / statistics.std(0).clamp_min(1e-6)
    assert torch.equal(features, expected)
