import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from spm.audio import clusters, pretrain
from spm.audio.classifier import ClassifierTrainer
from spm.audio.clusters import Clusters
from spm.audio.network import AudioNetwork, predict
from spm.audio.pretrain import Pretrain
from spm.audio.sounds import open_sounds
from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.corpus import clip_reader
from spm.learn import weights
from spm.learn.yamnet import load

SHORT = {"epochs": 1, "batch": 4}


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


def train(squares, labels, folder, clips=None, mapped=None, **changes):
    files = {
        "out": folder / "audio.safetensors",
        "history": folder / "history.parquet",
        "state": folder / "state",
    }
    settings = {"device": "cpu", "epochs": 2, "batch": 16, "standardize": True, **changes}
    config = Pretrain(**settings)
    sources = {"index": squares.index, "spectrograms": squares.spectrograms, "clips": clips}
    sources["mapped"] = mapped
    pretrain.run(config, clusters=labels, **sources, **files)
    return files


@pytest.fixture(scope="module")
def trained(squares, labels, tmp_path_factory):
    return train(squares, labels, tmp_path_factory.mktemp("pretrain"))


def test_the_audio_network_learns_the_pseudo_labels(trained):
    history = tables.read(trained["history"]).to_pandas()
    last = history[history["epoch"] == 1].set_index(["split", "name"])["value"]
    assert last["val", "accuracy"] > 0.9
    assert set(history["name"]) == {"loss", "accuracy"}
    assert not trained["state"].exists()


@pytest.fixture(scope="module")
def few(squares, labels, tmp_path_factory):
    """A corpus of 24 training clips, their labels, and the files of a short training on them."""
    folder = tmp_path_factory.mktemp("few")
    rows = clip_reader.select(squares.index, split="train").slice(0, 24)
    tables.write_rows(folder / "index.parquet", schemas.INDEX, rows.to_pylist())
    first = tables.read(labels).slice(0, 24).to_pylist()
    few_labels = folder / "labels.parquet"
    tables.write_rows(few_labels, schemas.CLUSTERS, first)
    corpus = replace(squares, index=folder / "index.parquet")
    return corpus, few_labels, train(corpus, few_labels, folder, **SHORT)


def assert_same(files, others):
    for name in ("out", "history"):
        assert files[name].read_bytes() == others[name].read_bytes()


@pytest.mark.slow
def test_worker_processes_and_mapped_files_do_not_change_the_weights(few, tmp_path, monkeypatch):
    corpus, labels, expected = few
    for threads in ("1", "3"):  # one of them computes, the others read
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        folder = tmp_path / threads
        assert_same(train(corpus, labels, folder, mapped=tmp_path / "mapped", **SHORT), expected)


@pytest.mark.slow
def test_a_training_stopped_inside_an_epoch_continues_to_the_same_weights(
    few, tmp_path, monkeypatch, capsys
):
    corpus, labels, expected = few
    batches = ClassifierTrainer.batches

    def batches_and_stop(trainer, number, skip):
        for step, batch in enumerate(batches(trainer, number, skip)):
            if step == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierTrainer, "batches", batches_and_stop)
        with pytest.raises(SystemExit):
            train(corpus, labels, tmp_path, **SHORT)
    assert_same(train(corpus, labels, tmp_path, **SHORT), expected)
    assert "pretrain: continues at epoch 1 of 1, after step 3" in capsys.readouterr().err


def test_features_of_the_saved_network_separate_the_pseudo_labels(squares, labels, trained):
    network = AudioNetwork()
    network.load_state_dict(weights.load(trained["out"])[0])
    rows = clip_reader.select(squares.index, split="train")
    sounds = open_sounds("resnet18", rows, squares.spectrograms, None, None)
    features = torch.cat([*predict(network, sounds, torch.device("cpu"))])
    assert features.shape == (rows.num_rows, 512)
    pseudo_labels = np.array(tables.read(labels)["pseudo_label"].to_pylist())
    centers = torch.stack([features[pseudo_labels == n].mean(0) for n in (0, 1)])
    nearest = torch.cdist(features, centers).argmin(1).numpy()
    assert (nearest == pseudo_labels).mean() > 0.9


@pytest.mark.slow
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


@pytest.mark.slow
def test_features_of_yamnet_are_its_embeddings(squares):
    rows = clip_reader.select(squares.index, split="train").slice(0, 3)
    network, yamnet = AudioNetwork("yamnet"), load("yamnet")
    network.load_yamnet()
    patches = open_sounds("yamnet", rows, squares.spectrograms, squares.clips, None)
    features = torch.cat([*predict(network, patches, torch.device("cpu"))])
    expected = yamnet(patches.sounds(range(3)).float()).embeddings.detach()
    torch.testing.assert_close(features, expected)


def test_the_names_of_the_weights_are_fixed():
    """Published weights have these names; a change would make them unreadable."""
    names = {name.split(".")[0] for name in AudioNetwork().state_dict()}
    assert names == {"mel_mean", "mel_std", "trunk"}


def test_labels_of_another_index_are_refused(squares, labels, tmp_path):
    other = tmp_path / "labels.parquet"
    tables.write_rows(other, schemas.CLUSTERS, tables.read(labels).slice(1).to_pylist())
    with pytest.raises(UserError, match="has labels of other clips than the training clips of"):
        train(squares, other, tmp_path)
