import numpy as np
import pytest
import torch

from spm.audio import clusters, pretrain
from spm.audio.clusters import Clusters
from spm.audio.network import AudioNetwork, predict_all
from spm.audio.pretrain import Pretrain
from spm.audio.sounds import read_sounds
from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.corpus import clip_reader
from spm.learn import weights
from spm.learn.dataloading import log_mels
from spm.learn.yamnet import load


@pytest.fixture(scope="module")
def labels(squares, tmp_path_factory):
    """Table of the pseudo-labels of two clusters."""
    folder = tmp_path_factory.mktemp("clusters")
    files = {
        "out": folder / "labels.parquet",
        "centroids": folder / "centroids.safetensors",
        "history": folder / "clustering.parquet",
    }
    config = Clusters(k=2, device="cpu")
    clusters.run(config, index=squares.index, spectrograms=squares.spectrograms, **files)
    return files["out"]


def train(squares, labels, folder, clips=None, **changes):
    files = {
        "out": folder / "audio.safetensors",
        "history": folder / "history.parquet",
        "state": folder / "state",
    }
    config = Pretrain(**{"device": "cpu", "epochs": 4, "standardize": True, **changes})
    sources = {"index": squares.index, "spectrograms": squares.spectrograms, "clips": clips}
    pretrain.run(config, clusters=labels, **sources, **files)
    return files


@pytest.fixture(scope="module")
def trained(squares, labels, tmp_path_factory):
    return train(squares, labels, tmp_path_factory.mktemp("pretrain"))


def test_the_audio_network_learns_the_pseudo_labels(trained):
    history = tables.read(trained["history"]).to_pandas()
    last = history[history["epoch"] == 3].set_index(["split", "name"])["value"]
    assert last["val", "accuracy"] > 0.9
    assert set(history["name"]) == {"loss", "accuracy"}
    assert not trained["state"].exists()


def test_features_of_the_saved_network_separate_the_pseudo_labels(squares, labels, trained):
    network = AudioNetwork()
    network.load_state_dict(weights.load(trained["out"])[0])
    rows = clip_reader.select(squares.index, split="train")
    mels = log_mels(rows, squares.spectrograms)
    features = predict_all(network, mels, torch.device("cpu"))
    assert features.shape == (rows.num_rows, 512)
    pseudo_labels = np.array(tables.read(labels)["pseudo_label"].to_pylist())
    centers = torch.stack([features[pseudo_labels == n].mean(0) for n in (0, 1)])
    nearest = torch.cdist(features, centers).argmin(1).numpy()
    assert (nearest == pseudo_labels).mean() > 0.9


def test_yamnet_is_kept_as_published_or_trained_on_the_pseudo_labels(squares, labels, tmp_path):
    yamnet = {"network": "yamnet", "clips": squares.clips}
    published = train(squares, labels, tmp_path / "published", epochs=0, **yamnet)
    tensors, about = weights.load(published["out"])
    network = AudioNetwork("yamnet")
    network.load_state_dict(tensors)
    expected = load("yamnet").layers.state_dict()
    assert all(torch.equal(network.trunk.state_dict()[name], expected[name]) for name in expected)
    assert tables.read(published["history"]).num_rows == 0
    assert torch.equal(network.mel_std, torch.ones(64))
    assert "not the paper's self-supervision" in about["pretrained"]
    trained = train(squares, labels, tmp_path / "trained", epochs=1, **yamnet)
    changed, about = weights.load(trained["out"])
    assert not torch.equal(changed["trunk.0.weight"], tensors["trunk.0.weight"])
    assert about["last_epoch"]["val accuracy"] > 0.9


def test_features_of_yamnet_are_its_embeddings(squares):
    rows = clip_reader.select(squares.index, split="train").slice(0, 3)
    network, yamnet = AudioNetwork("yamnet"), load("yamnet")
    network.load_yamnet()
    patches = read_sounds("yamnet", rows, squares.spectrograms, squares.clips)
    features = predict_all(network, patches, torch.device("cpu"))
    torch.testing.assert_close(features, yamnet(patches.float()).embeddings.detach())


def test_the_names_of_the_weights_are_fixed():
    """Published weights have these names; a change would make them unreadable."""
    names = {name.split(".")[0] for name in AudioNetwork().state_dict()}
    assert names == {"mel_mean", "mel_std", "trunk"}


def test_labels_of_another_index_are_refused(squares, labels, tmp_path):
    other = tmp_path / "labels.parquet"
    tables.write_rows(other, schemas.CLUSTERS, tables.read(labels).slice(1).to_pylist())
    with pytest.raises(UserError, match="has labels of other clips than the training clips of"):
        train(squares, other, tmp_path)
