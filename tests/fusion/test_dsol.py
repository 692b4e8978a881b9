"""DSOL against its formulas, and on mosaics of four instruments that it never saw."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy, cosine_similarity

from spm.base import tables
from spm.base.config import UserError
from spm.corpus.spectrograms import Spectrograms
from spm.corpus.spectrograms import run as spectrograms
from spm.fusion import maps, mosaics, train
from spm.fusion.maps import Maps
from spm.fusion.methods.dsol import Network, Settings, dilated
from spm.fusion.mosaics import Mosaics
from spm.fusion.trainer import Trainer
from spm.learn import weights
from tests.support import corpora

K = 3
LIGHT = {
    "method": "dsol", "visual": "mobilenet_v2", "start": "none", "crop": 56, "batch": 8, "device": "cpu",
    "negatives": "all", "epochs": 2, "clusters": 4, "mosaic_epochs": 1, "passes": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = Network(Settings(visual="mobilenet_v2", start="none", clusters=K)).eval()
    made.objects.copy_(torch.rand(made.objects.shape) * 0.1)
    made.gain.data.fill_(0.7)
    made.offset.data.fill_(0.2)
    return made


def scene(corpus: corpora.Corpus, folder: Path, **changes) -> Path:
    """Mosaics of both splits, with their log-mels."""
    for split in ("train", "test"):
        home = folder / split
        files = {
            "out_index": home / "index.parquet",
            "out_clips": home / "clips/0000.parquet",
            "tiles": home / "tiles",
        }
        config = Mosaics(**{"train": 8, "test": 6, "size": 64, **changes})
        mosaics.run(config, index=corpus.index, clips=corpus.clips, split=split, **files)
        spectrograms(
            Spectrograms(), clips=files["out_clips"], out=home / "spectrograms/0000.parquet"
        )
    return folder


def teach(corpus, made, folder, pretrained=None, **changes):
    files = {
        "out": folder / "network.safetensors",
        "history": folder / "history.parquet",
        "state": folder / "state",
    }
    config = Settings(**{**LIGHT, **changes})
    tables_of = {
        "clips": corpus.clips,
        "spectrograms": corpus.spectrograms,
        "mosaics": made and made / "train",
    }
    train.run(config, index=corpus.index, pretrained=pretrained, **tables_of, **files)
    return files


def draw(made, network, out):
    tables_of = {"clips": made / "test/clips", "spectrograms": made / "test/spectrograms"}
    index = made / "test/index.parquet"
    maps.run(
        Maps(device="cpu"), network=network, index=index, kind="synthetic", out=out, **tables_of
    )
    return tables.read(out)


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    return corpora.write(
        tmp_path_factory.mktemp("four"), train=2, test=1, seconds=1, sounds=corpora.FOUR
    )


@pytest.fixture(scope="module")
def made(four, tmp_path_factory):
    return scene(four, tmp_path_factory.mktemp("mosaics"))


@pytest.fixture(scope="module")
def taught(four, made, tmp_path_factory):
    return teach(four, made, tmp_path_factory.mktemp("dsol"))


def inputs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 96, 96, generator=generator), torch.randn(
        count, 201, 64, generator=generator
    )


@torch.inference_mode()
def test_a_map_is_the_sigmoid_of_five_cosines_before_training(network):
    images, sounds = inputs(1)
    heat = network.heat(images[None], sounds).sounding[0, 0]
    seen = network.see(network.visual(images))[0, :, 2, 4]
    heard = network.hear(network.audio(sounds)[:, :, None, None])[0, :, 0, 0]
    torch.testing.assert_close(heat[2, 4], torch.sigmoid(5 * cosine_similarity(seen, heard, dim=0)))
    assert network.scale.requires_grad
    assert not network.epsilon.requires_grad


@torch.inference_mode()
def test_an_object_is_the_mean_over_all_positions_of_what_the_grown_mask_covers(network):
    images, sounds = inputs(2)
    heard, visual = network.audio(sounds), network.visual(images)
    found = network.sounding_objects(images, heard)
    heat = network.heat(images[:, None], sounds).sounding[:, 0]
    mask = dilated(heat > network.settings.mask_above)
    by_hand = torch.stack(
        [(v * m).sum((1, 2)) / m.numel() for v, m in zip(visual, mask.float(), strict=True)]
    )
    torch.testing.assert_close(found, by_hand)


def test_a_mask_grows_to_its_four_neighbors_at_the_border_too():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0, 1] = mask[0, 3, 3] = True
    assert dilated(mask)[0].int().tolist() == [
        [1, 1, 1, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 1, 1],
    ]


@torch.inference_mode()
def test_the_loss_of_stage_two_is_its_formula_term_by_term(network):
    images, sounds = inputs(2)
    heard, expected = network.audio(sounds), torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    visual, own, crossed = network.visual(images), [], []
    for sound in (0, 1):
        for picture in (0, 1):
            heat = network.heat(images[picture][None, None], sounds[sound : sound + 1]).sounding[
                0, 0
            ]
            (own if sound == picture else crossed).append(heat)
    distribution = []
    for features, heat in zip(visual, own, strict=True):
        maps_of = [
            (0.7 * (features * d[:, None, None]).sum(0) + 0.2) * heat for d in network.objects
        ]
        distribution.append(torch.stack([part.mean() for part in maps_of]).softmax(0))
    seen = torch.stack(distribution)
    alignment = (expected * (expected.log() - seen.log())).sum() / (2 * K)
    quarters = torch.stack(
        [heat[y : y + 3, x : x + 3].max() for heat in crossed for y in (0, 3) for x in (0, 3)]
    )
    positive = torch.stack([heat.max() for heat in own])
    location = binary_cross_entropy(positive, torch.ones(2)) + binary_cross_entropy(
        quarters, torch.zeros(8)
    )
    step = network.mixed_loss(images, heard, ~torch.eye(2, dtype=torch.bool), expected)
    torch.testing.assert_close(step.loss, alignment + 0.5 * location / 2)


@torch.inference_mode()
def test_cluster_maps_share_each_place_between_the_clusters(network):
    images, sounds = inputs(2)
    clusters = network.heat(images[None], sounds[:1]).clusters
    assert clusters.shape == (1, 2, K, 6, 6)
    torch.testing.assert_close(clusters.sum(2), torch.ones(1, 2, 6, 6))


def test_every_frame_has_the_map_of_everything_and_one_a_category(made, taught, tmp_path):
    table = draw(made, taught["out"], tmp_path / "maps.parquet")
    categories = weights.load(taught["out"])[1]["categories"]
    assert set(categories) <= set(corpora.FOUR)
    assert len(set(categories.values())) == len(categories) > 0
    names = [None, *sorted(categories)]
    assert table["category"].to_pylist() == names * 6
    assert table["clip_id"].to_pylist()[:2] == ["mosaic-test-000000"] * 2
    heat = np.array(table["map"].to_pylist())
    assert 0 <= heat.min() <= heat.max() <= 1


def test_stage_two_listens_to_what_stage_one_left(four, made, taught, tmp_path):
    alone = weights.load(teach(four, None, tmp_path, mosaic_epochs=0)["out"])[0]
    both = weights.load(taught["out"])[0]
    same = {name for name, tensor in alone.items() if torch.equal(tensor, both[name])}
    assert {name for name in alone if name.startswith(("teacher", "objects", "hear_class"))} <= same
    assert {"gain", "scale", "see.0.weight", "audio.trunk.conv1.weight"}.isdisjoint(same)


def test_stage_two_learns_from_duets_after_the_mosaics(four, made, taught, tmp_path):
    rows = tables.read(four.index).to_pylist()
    for row in rows:
        if row["split"] == "train" and row["video_id"].endswith("-01"):
            row |= {"kind": "duet", "categories": [*row["categories"], "flute"]}
    tables.write_rows(tmp_path / "index.parquet", tables.INDEX, rows)
    with_duets = replace(four, index=tmp_path / "index.parquet")
    history = tables.read(teach(with_duets, made, tmp_path, duet_epochs=1)["history"]).to_pandas()
    mixed = history[history["name"] == "mixed loss"].set_index("epoch")["value"]
    assert mixed.index.tolist() == [2, 3]  # of mosaics, then of duets
    before = tables.read(taught["history"]).to_pandas()
    assert mixed.map(math.isfinite).all()
    assert (
        mixed[2] != before.set_index(["epoch", "name"])["value"][2, "mixed loss"]
    )  # stage one had fewer solos
    with pytest.raises(UserError, match="stage two has fewer than two scenes: see duet_epochs"):
        teach(four, made, tmp_path / "without", duet_epochs=1)


def test_both_stages_leave_their_figures(taught):
    history = tables.read(taught["history"]).to_pandas()
    train_rows = history[history["split"] == "train"]
    of_epoch = train_rows.groupby("epoch")["name"].agg(set).tolist()
    assert of_epoch[0] == {"loss", "accuracy"}
    assert of_epoch[1] == {"loss", "accuracy", "class loss", "image accuracy", "audio accuracy"}
    assert of_epoch[2] == {"mixed loss", "mixed accuracy"}


def test_a_run_killed_in_stage_two_resumes_to_the_same_bytes(
    four, made, taught, tmp_path, monkeypatch
):
    epoch = Network.epoch

    def killed(network: Network, lesson: Trainer, number: int):
        if number == 2:
            raise KeyboardInterrupt
        return epoch(network, lesson, number)

    monkeypatch.setattr(Network, "epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        teach(four, made, tmp_path)
    monkeypatch.setattr(Network, "epoch", epoch)
    resumed = teach(four, made, tmp_path)
    for name in ("out", "history"):
        assert resumed[name].read_bytes() == taught[name].read_bytes(), name


def test_what_it_lacks_is_said(four, tmp_path):
    with pytest.raises(UserError, match="dsol: mosaic_epochs wants the mosaics for training"):
        teach(four, None, tmp_path)
    with pytest.raises(
        UserError, match=r"methods\.dsol\.clusters: 99 want as many training clips; there are 8"
    ):
        teach(four, None, tmp_path, clusters=99, mosaic_epochs=0)
    with pytest.raises(ValueError, match="1 ends before the first clustering"):
        Settings(epochs=1)
