import json

import numpy as np
import pytest
import torch

from spm.audio import clusters, pretrain
from spm.audio.clusters import Clusters, agreement, mel_statistics
from spm.audio.network import AudioNetwork, apply
from spm.audio.pretrain import Pretrain
from spm.base import tables
from spm.base.config import UserError
from spm.corpus import clip_reader
from spm.learn import weights
from spm.learn.dataloading import log_mels


def paths(folder):
    return {
        "out": folder / "labels.parquet",
        "centroids": folder / "centroids.safetensors",
        "history": folder / "clustering.parquet",
    }


def cluster(squares, folder, **changes):
    files = paths(folder)
    config = Clusters(k=2, device="cpu", **changes)
    clusters.run(config, index=squares.index, spectrograms=squares.spectrograms, **files)
    return tables.read(files["out"]), json.loads(
        files["centroids"].with_suffix(".json").read_text()
    )


@pytest.fixture(scope="module")
def labelled(squares, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    return cluster(squares, folder)[0], folder / "labels.parquet"


def teach(squares, labels, folder):
    files = {
        "out": folder / "audio.safetensors",
        "history": folder / "history.parquet",
        "state": folder / "state",
    }
    config = Pretrain(device="cpu", epochs=4, standardize=True)
    pretrain.run(
        config, index=squares.index, clusters=labels, spectrograms=squares.spectrograms, **files
    )
    return files


@pytest.mark.parametrize("features", ["log-mel-statistics", "untrained", "warm"])
def test_two_tones_are_two_clusters_by_every_feature(squares, tmp_path, features):
    table, about = cluster(squares, tmp_path, features=features, warm_rounds=1, warm_epochs=4)
    rows = clip_reader.select(squares.index, split="train")
    assert table["clip_id"].equals(rows["clip_id"])
    assert about["purity"] == about["nmi"] == pytest.approx(1)
    assert sum(about["sizes"]) == about["solo_clips"] == rows.num_rows
    assert min(table["similarity"].to_pylist()) > 0


def test_the_history_is_the_mean_similarity_of_each_iteration(squares, tmp_path):
    table, about = cluster(squares, tmp_path)
    history = tables.read(paths(tmp_path)["history"]).to_pylist()
    assert [row["epoch"] for row in history] == list(range(about["iterations"] + 1))
    values = [row["value"] for row in history]
    assert values == sorted(values)
    assert values[-1] == about["mean_similarity"] == pytest.approx(np.mean(table["similarity"]))


def test_purity_and_nmi_count_solos_only_and_are_absent_without_any(squares):
    rows = clip_reader.select(squares.index, split="train")
    labels = np.array([names[0] == "cello" for names in rows["categories"].to_pylist()]).astype(int)
    assert agreement(rows, labels)["purity"] == 1
    assert agreement(rows, 0 * labels)["purity"] == 0.5
    place = rows.column_names.index("kind")
    assert (
        agreement(rows.set_column(place, "kind", [["duet"] * rows.num_rows]), labels)["purity"]
        is None
    )


def test_more_clusters_than_clips_is_an_error_that_says_so(squares, tmp_path):
    with pytest.raises(
        UserError, match=r"k: 1000 clusters want as many audible training clips; there are 96"
    ):
        clusters.run(
            Clusters(k=1000),
            index=squares.index,
            spectrograms=squares.spectrograms,
            **paths(tmp_path),
        )


def test_statistics_are_mean_and_deviation_over_time():
    mels = torch.randn(5, 201, 64, dtype=torch.float64).half()
    found = mel_statistics(mels)
    torch.testing.assert_close(found[:, :64], mels.float().mean(1))
    torch.testing.assert_close(found[:, 64:], mels.float().std(1))


@pytest.fixture(scope="module")
def taught(squares, labelled, tmp_path_factory):
    return teach(squares, labelled[1], tmp_path_factory.mktemp("pretrain"))


def test_the_audio_network_learns_the_pseudo_labels(taught):
    history = tables.read(taught["history"]).to_pandas()
    last = history[history["epoch"] == 3].set_index(["split", "name"])["value"]
    assert last["val", "accuracy"] > 0.9
    assert set(history["name"]) == {"loss", "accuracy"}
    assert not taught["state"].exists()


def test_what_is_learnt_is_what_is_saved(squares, labelled, taught):
    network = AudioNetwork()
    network.load_state_dict(weights.load(taught["out"])[0])
    rows = clip_reader.select(squares.index, split="train")
    heard = apply(network, log_mels(rows, squares.spectrograms), torch.device("cpu"))
    assert heard.shape == (rows.num_rows, 512)
    labels = np.array(labelled[0]["pseudo_label"].to_pylist())
    centres = torch.stack([heard[labels == n].mean(0) for n in (0, 1)])
    nearest = torch.cdist(heard, centres).argmin(1).numpy()
    assert (nearest == labels).mean() > 0.9


def test_labels_of_another_index_are_refused(squares, labelled, tmp_path):
    tables.write_rows(tmp_path / "l", tables.CLUSTERS, labelled[0].slice(1).to_pylist())
    with pytest.raises(UserError, match="labels other clips than"):
        teach(squares, tmp_path / "l", tmp_path)
