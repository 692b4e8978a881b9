"""Pictures of benchmark sets, from a folder or a hub, and the object prior on them."""

import numpy as np
import pytest
from PIL import Image

from spm.base.errors import UserError
from spm.boxes import benchmarks
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame
from spm.inference import benchmark_pictures
from tests.support.command import run_command

KEYS = ["cat_dog_1_cat", "cat_dog_1_dog", "7_9@8_8"]
VIDEOS = ["cat_dog_1", "cat_dog_1", "7_9"]


@pytest.fixture
def folder(tmp_path):
    """A square on the left of one picture, a mask of the same name, and a second picture."""
    pixels = np.full((60, 80, 3), 90, np.uint8)
    pixels[20:40, 5:25] = (250, 30, 30)
    for name in ("images/cat_dog_1.png", "images/7_9.jpg"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "data" / name)
    (tmp_path / "data/gt_masks").mkdir()
    Image.new("L", (80, 60)).save(tmp_path / "data/gt_masks/cat_dog_1.png")
    return tmp_path / "data"


def test_a_picture_is_found_by_its_key_or_by_the_picture_of_its_key(folder):
    found = benchmark_pictures.pictures_of(KEYS, VIDEOS, folder)
    assert [path.name for path in found.values()] == ["cat_dog_1.png"] * 2 + ["7_9.jpg"]
    assert found["cat_dog_1_cat"].parent.name == "images"
    Image.new("RGB", (8, 8)).save(folder / "images/cat_dog_1_dog.jpg")
    found = benchmark_pictures.pictures_of(KEYS, VIDEOS, folder)
    assert found["cat_dog_1_dog"].name == "cat_dog_1_dog.jpg"


def test_a_missing_picture_and_two_of_one_name_are_one_line(folder):
    with pytest.raises(UserError, match="no picture of a_b; expected an image named a_b or a"):
        benchmark_pictures.pictures_of(["a_b"], ["a"], folder)
    (folder / "more").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "more/7_9.png")
    with pytest.raises(UserError, match=r"can both be the picture of 7_9@8_8; keep one"):
        benchmark_pictures.pictures_of(KEYS, VIDEOS, folder)
    with pytest.raises(UserError, match="nowhere: no such folder of pictures"):
        benchmark_pictures.find("nowhere")


@pytest.mark.slow
def test_the_object_prior_of_pictures_is_a_row_beside_the_maps(folder, tmp_path, monkeypatch):
    boxes = (Box("cat", (0.05, 0.3, 0.35, 0.7)),)
    frames = {key: Frame(boxes, video) for key, video in zip(KEYS[:2], VIDEOS, strict=False)}
    monkeypatch.setattr(benchmarks, "read", lambda name: BenchmarkBoxes(frames, "xyxy"))
    np.savez(
        tmp_path / "maps.npz", keys=KEYS[:2], maps=np.eye(7, dtype=np.float32)[None].repeat(2, 0)
    )
    done = run_command(
        "benchmark", tmp_path / "maps.npz", "--suite", "vpo-ss", "--pictures", f"vpo-ss={folder}",
        "--out", tmp_path / "out", "--bootstrap", "20",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "out/scores.csv").read_text()
    assert "adaptive,object-prior auc," in table
    assert "adaptive,maps − object-prior auc," in table
    wrong = run_command(
        "benchmark", tmp_path / "maps.npz", "--suite", "vpo-ss", "--pictures", "a=b"
    )
    assert "--pictures a: no such set; expected one of dsol-solo, " in wrong.stderr
