"""detectron2, if it is installed: the same calls, files and tables as torchvision's."""

import json

import pandas as pd
import pytest
import torch

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.base.shards import table_of
from spm.boxes import detect, detector
from spm.boxes.detect import Detect
from spm.boxes.detector import Detector
from spm.boxes.network import build, losses
from spm.boxes.network import detect as detect_on

SMALL = {
    "source": "given",
    "size": 96,
    "max_frames": 2,
    "max_test_frames": 2,
    "batch": 2,
    "epochs": 1,
    "device": "cpu",
}


@pytest.fixture
def detectron2():
    return pytest.importorskip(
        "detectron2", reason="detectron2 is not installed: envs/detectron2.yaml has it"
    )


def train(squares, folder, **config):
    left = {name: folder / name for name in ("precision", "history", "state")}
    files = {"index": squares.index, "clips": squares.clips, "images": None, "boxes": squares.boxes}
    detector.run(Detector(**SMALL, **config), **files, **left, out=folder / "weights.safetensors")
    return pd.read_csv(left["precision"]), folder / "weights.safetensors"


def test_a_model_of_the_other_backend_is_an_error():
    with pytest.raises(
        UserError, match=r"'mobilenet_v2' with detector.backend: detectron2; detectron2 has"
    ):
        build("detectron2", "mobilenet_v2", ["a"], 64)
    with pytest.raises(UserError, match=r"'resnet50_fpn' with detector.backend: torchvision"):
        build("torchvision", "resnet50_fpn", ["a"], 64)


def test_published_weights_are_rejected_because_they_are_pickles(detectron2):
    with pytest.raises(
        UserError, match=r"detector.start: 'coco'; with detector.backend: detectron2 expected none"
    ):
        build("detectron2", "resnet50_fpn", ["a"], 64, "coco")


def test_its_loss_decreases_while_it_is_trained_on_one_image(detectron2):
    torch.manual_seed(0)
    network = build("detectron2", "resnet50_fpn", ["a", "b"], 64).train()
    picture = torch.zeros(2, 3, 48, 48)
    picture[:, 0, 12:36, 12:36] = 1
    target = [{"boxes": torch.tensor([[12.0, 12, 36, 36]]), "labels": torch.tensor([2])}] * 2
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    history = []
    for _ in range(5):
        loss = losses(network, picture, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.8 * history[0]


def test_its_boxes_are_in_pixels_of_the_image_at_any_size_of_resizing(detectron2):
    """An image of one color is the same at any size: only detections and targets scale with it."""
    torch.manual_seed(0)
    network = build("detectron2", "resnet50_fpn", ["a", "b"], 64)
    classifier = network.network.roi_heads.box_predictor.cls_score
    classifier.weight.data.zero_()  # a random one would detect nothing
    classifier.bias.data = torch.tensor([2.0, 1.0, 0.0])
    small, large = (torch.full((1, 3, side, side), 0.7) for side in (48, 96))
    found, twice = detect_on(network, small)[0], detect_on(network, large)[0]
    assert len(found["boxes"]) > 0
    assert found["boxes"].max() <= 48
    torch.testing.assert_close(2 * found["boxes"], twice["boxes"])
    assert set(found["labels"].tolist()) <= {1, 2}
    box, summed = torch.tensor([[6.0, 12, 30, 40]]), []
    for scale, picture in ((1, small), (2, large)):
        torch.manual_seed(1)
        target = [{"boxes": scale * box, "labels": torch.tensor([1])}]
        summed.append(losses(network.train(), picture, target).item())
    assert summed[0] == pytest.approx(summed[1], rel=1e-4)


def test_both_backends_write_the_same_files_and_tables(detectron2, squares, tmp_path):
    columns, written, about = [], [], []
    few = tables.read(table_of(squares.clips, 0)).slice(0, 3).to_pylist()
    tables.write_rows(tmp_path / "few.parquet", schemas.CLIPS, few)
    for backend, model in (("torchvision", "mobilenet_v2"), ("detectron2", "resnet50_fpn")):
        folder = tmp_path / backend
        precision, weights = train(squares, folder, backend=backend, model=model, start="none")
        columns.append(list(precision.columns))
        about.append(json.loads(weights.with_suffix(".json").read_text()))
        clips = tmp_path / "few.parquet"
        detect.run(
            Detect(device="cpu", frames=1, batch=8),
            clips=clips,
            weights=weights,
            out=folder / "found.parquet",
        )
        written.append(tables.read(folder / "found.parquet").schema)
    assert columns[0] == columns[1]
    assert written[0] == written[1] == schemas.DETECTIONS.schema
    assert about[0].keys() == about[1].keys()
    assert [part["backend"] for part in about] == ["torchvision", "detectron2"]
