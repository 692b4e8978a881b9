"""DSOL against its formulas, and its training on mosaics of four instruments."""

import math
from copy import deepcopy
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy, cosine_similarity

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.corpus.spectrograms import Spectrograms
from spm.corpus.spectrograms import run as spectrograms
from spm.fusion import maps, mosaics, train
from spm.fusion.maps import Maps
from spm.fusion.methods.dsol import Network, Settings, Trainer, dilate
from spm.fusion.mosaics import Mosaics
from spm.learn import weights
from tests.support import corpora

K = 3
SETTINGS = {
    "method": "dsol",
    "visual": "mobilenet_v2",
    "start": "none",
    "crop": 56,
    "batch": 4,
    "device": "cpu",
    "negatives": "all",
    "epochs": 2,
    "clusters": 4,
    "mosaic_epochs": 1,
    "passes": 1,
}


@pytest.fixture(scope="module")
def network():
    """An untrained network with a random dictionary."""
    torch.manual_seed(0)
    settings = Settings(visual="mobilenet_v2", start="none", clusters=K)
    network = Network(settings).eval()
    network.dictionary.copy_(torch.rand(network.dictionary.shape) * 0.1)
    network.gain.data.fill_(0.7)
    network.offset.data.fill_(0.2)
    return network


def make_mosaics(corpus: corpora.Corpus, folder: Path) -> Path:
    """Mosaics of both splits, with their log-mels."""
    config = Mosaics(train=8, test=6, size=64)
    for split in ("train", "test"):
        split_folder = folder / split
        clips = split_folder / "clips/0000.parquet"
        mosaics.run(
            config,
            index=corpus.index,
            clips=corpus.clips,
            split=split,
            out_index=split_folder / "index.parquet",
            out_clips=clips,
            tiles=split_folder / "tiles",
        )
        mels = split_folder / "spectrograms/0000.parquet"
        spectrograms(Spectrograms(dtype="float32"), clips=clips, out=mels)
    return folder


def train_dsol(corpus, mosaic_folder, folder, **changes):
    files = {
        "out": folder / "network.safetensors",
        "history": folder / "history.parquet",
        "state": folder / "state",
    }
    train.run(
        Settings(**{**SETTINGS, **changes}),
        index=corpus.index,
        clips=corpus.clips,
        spectrograms=corpus.spectrograms,
        mosaics=mosaic_folder and mosaic_folder / "train",
        pretrained=None,
        **files,
    )
    return files


def compute_maps(mosaic_folder, network, out):
    test = mosaic_folder / "test"
    maps.run(
        Maps(device="cpu"),
        network=network,
        index=test / "index.parquet",
        clips=test / "clips",
        spectrograms=test / "spectrograms",
        testset="synthetic",
        out=out,
    )
    return tables.read(out)


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """A corpus of four categories."""
    folder = tmp_path_factory.mktemp("four")
    return corpora.write(folder, train=2, test=1, seconds=1, sounds=corpora.FOUR)


@pytest.fixture(scope="module")
def mosaic_folder(four, tmp_path_factory):
    return make_mosaics(four, tmp_path_factory.mktemp("mosaics"))


@pytest.fixture(scope="module")
def trained(four, mosaic_folder, tmp_path_factory):
    """Files of a training, and `stage_one`: the network's weights before stage two."""
    stage_one, train_epoch = {}, Trainer.train_epoch

    def watched(trainer, epoch):
        if epoch == SETTINGS["epochs"]:
            stage_one.update(deepcopy(trainer.network.state_dict()))
        return train_epoch(trainer, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", watched)
        files = train_dsol(four, mosaic_folder, tmp_path_factory.mktemp("dsol"))
    return files | {"stage_one": stage_one}


def inputs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images and log-mels."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, 96, 96, generator=generator)
    return images, torch.randn(count, 201, 64, generator=generator)


@torch.inference_mode()
def test_a_map_is_the_sigmoid_of_five_cosines_before_training(network):
    images, log_mels = inputs(1)
    heat = network.heat_maps(images[None], log_mels).sounding[0, 0]
    visual = network.visual_proj(network.visual(images))[0, :, 2, 4]
    audio = network.audio_proj(network.audio(log_mels)[:, :, None, None])[0, :, 0, 0]
    expected = torch.sigmoid(5 * cosine_similarity(visual, audio, dim=0))
    torch.testing.assert_close(heat[2, 4], expected)
    assert network.scale.requires_grad
    assert not network.epsilon.requires_grad


@torch.inference_mode()
def test_an_object_is_the_mean_of_the_features_in_the_grown_mask_over_all_positions(network):
    images, log_mels = inputs(2)
    features, visual = network.audio(log_mels), network.visual(images)
    objects = network.sounding_objects(images, features)
    heat = network.heat_maps(images[:, None], log_mels).sounding[:, 0]
    mask = dilate(heat > network.settings.mask_above).float()
    for number in range(2):
        expected = (visual[number] * mask[number]).sum((1, 2)) / mask[number].numel()
        torch.testing.assert_close(objects[number], expected)


def test_a_mask_grows_to_its_four_neighbors_at_the_border_too():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0, 1] = mask[0, 3, 3] = True
    assert dilate(mask)[0].int().tolist() == [
        [1, 1, 1, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 1, 1],
    ]


def log_distribution(network: Network, features: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    """(6) and (7) for one frame: log p_v, from its features (c, h, w) and its map (h, w)."""
    means = []
    for item in network.dictionary:
        product = (features * item[:, None, None]).sum(0)
        means.append(((0.7 * product + 0.2) * heat).mean())
    return torch.stack(means).log_softmax(0)


@torch.inference_mode()
def test_the_loss_of_stage_two_is_its_formula_term_by_term(network):
    images, log_mels = inputs(2)
    features, expected = network.audio(log_mels), torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    visual = network.visual(images)
    own, crossed = [], []
    for sound in (0, 1):
        for frame in (0, 1):
            pair = images[frame][None, None], log_mels[sound : sound + 1]
            heat = network.heat_maps(*pair).sounding[0, 0]
            (own if sound == frame else crossed).append(heat)
    seen = torch.stack([log_distribution(network, visual[n], own[n]) for n in (0, 1)])
    alignment = (expected * (expected.log() - seen)).sum() / (2 * K)
    quarters = []
    for heat in crossed:
        for y, x in ((0, 0), (0, 3), (3, 0), (3, 3)):
            quarters.append(heat[y : y + 3, x : x + 3].max())
    positive = torch.stack([heat.max() for heat in own])
    positive_loss = binary_cross_entropy(positive, torch.ones(2))
    negative_loss = binary_cross_entropy(torch.stack(quarters), torch.zeros(8))
    step = network.mixed_loss(images, features, ~torch.eye(2, dtype=torch.bool), expected)
    expected_loss = alignment + 0.5 * (positive_loss + negative_loss) / 2
    torch.testing.assert_close(step.loss, expected_loss)


@torch.inference_mode()
def test_cluster_maps_sum_to_one_at_each_position(network):
    images, log_mels = inputs(2)
    clusters = network.heat_maps(images[None], log_mels[:1]).clusters
    assert clusters.shape == (1, 2, K, 6, 6)
    torch.testing.assert_close(clusters.sum(2), torch.ones(1, 2, 6, 6))


def test_every_frame_has_a_map_of_the_sound_and_one_per_category(mosaic_folder, trained, tmp_path):
    table = compute_maps(mosaic_folder, trained["out"], tmp_path / "maps.parquet")
    categories = weights.load(trained["out"])[1]["categories"]
    assert set(categories) <= set(corpora.FOUR)
    assert len(set(categories.values())) == len(categories) > 0
    names = [None, *sorted(categories)]
    assert table["category"].to_pylist() == names * 6
    assert table["clip_id"].to_pylist()[:2] == ["mosaic-test-000000"] * 2
    heat = np.array(table["map"].to_pylist())
    assert 0 <= heat.min() <= heat.max() <= 1


def test_stage_two_keeps_the_frozen_copy_and_the_dictionary(trained):
    stage_one, both = trained["stage_one"], weights.load(trained["out"])[0]
    equal = {name for name, tensor in stage_one.items() if torch.equal(tensor, both[name])}
    frozen = ("frozen_audio", "dictionary", "audio_head")
    assert {name for name in stage_one if name.startswith(frozen)} <= equal
    changed = {"gain", "scale", "visual_proj.0.weight", "audio.trunk.conv1.weight"}
    assert changed.isdisjoint(equal)


# A stage one of one epoch, which takes half the time.
ONE_EPOCH = {"epochs": 1, "first_epochs": 0, "duet_epochs": 1}


@pytest.mark.slow
def test_stage_two_uses_duets_after_the_mosaics(four, mosaic_folder, tmp_path):
    rows = tables.read(four.index).to_pylist()
    for row in rows:
        if row["split"] == "train" and row["video_id"].endswith("-01"):
            row |= {"kind": "duet", "categories": [*row["categories"], "flute"]}
    tables.write_rows(tmp_path / "index.parquet", schemas.INDEX, rows)
    with_duets = replace(four, index=tmp_path / "index.parquet")
    files = train_dsol(with_duets, mosaic_folder, tmp_path, **ONE_EPOCH)
    history = tables.read(files["history"]).to_pandas()
    values = history.set_index(["name", "split", "epoch"])["value"].sort_index()
    mixed = values["mixed loss", "train"]
    assert mixed.index.tolist() == [1, 2]  # mosaics, then duets
    assert mixed.map(math.isfinite).all()
    with pytest.raises(UserError, match=r"stage two has 0 mosaics or duets.*see duet_epochs"):
        train_dsol(four, None, tmp_path / "without", mosaic_epochs=0, **ONE_EPOCH)
    (checkpoint,) = (tmp_path / "without/state").rglob("*.safetensors")
    first = next(iter(weights.load(checkpoint)[1]["history"]))
    assert (first["epoch"], first["split"], first["name"]) == (0, "train", "loss")
    assert first["value"] != values["loss", "train", 0]  # of fewer solos


def test_the_history_has_the_values_of_both_stages(trained):
    history = tables.read(trained["history"]).to_pandas()
    names = history[history["split"] == "train"].groupby("epoch")["name"].agg(set).tolist()
    assert names[0] == {"loss", "accuracy"}
    assert names[1] == {"loss", "accuracy", "class loss", "image accuracy", "audio accuracy"}
    assert names[2] == {"mixed loss", "mixed accuracy"}


@pytest.mark.slow
def test_a_run_that_is_killed_twice_resumes_to_the_same_bytes(
    four, mosaic_folder, trained, tmp_path, monkeypatch, capsys
):
    """Steps: 2 of matching, in each of 2 epochs; in the second, 2 of classification; 2 on mosaics.

    The first kill is inside the classification, which starts anew; the second one in stage two.
    """
    optimizer_step = Trainer.optimizer_step
    for kill_at in (5, 3):
        steps = count()

        def killed(*arguments, steps=steps, kill_at=kill_at):
            if next(steps) == kill_at:
                raise KeyboardInterrupt
            optimizer_step(*arguments)

        monkeypatch.setattr(Trainer, "optimizer_step", killed)
        with pytest.raises(KeyboardInterrupt):
            train_dsol(four, mosaic_folder, tmp_path, checkpoint_minutes=1e-9)
    assert "state: continues at epoch 2 of 3, after step 2\n" in capsys.readouterr().err
    monkeypatch.setattr(Trainer, "optimizer_step", optimizer_step)
    resumed = train_dsol(four, mosaic_folder, tmp_path)
    assert "state: continues at epoch 3 of 3, after step 1\n" in capsys.readouterr().err
    for name in ("out", "history"):
        assert resumed[name].read_bytes() == trained[name].read_bytes(), name


@pytest.mark.slow
def test_missing_data_and_impossible_settings_are_errors(four, tmp_path):
    with pytest.raises(UserError, match="dsol: mosaic_epochs is not 0, but --mosaics is missing"):
        train_dsol(four, None, tmp_path)
    message = r"methods\.dsol\.clusters: 99, but there are only 8 training clips"
    with pytest.raises(UserError, match=message):
        train_dsol(four, None, tmp_path, clusters=99, mosaic_epochs=0, epochs=1, first_epochs=0)
    with pytest.raises(ValueError, match="1 ends before the first clustering"):
        Settings(epochs=1)
