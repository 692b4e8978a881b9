"""Detection processes every frame, and names weights that do not fit."""

import json

import pytest
import torch

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.base.shards import table_of
from spm.boxes.detect import Detect, FrameId, count_frames, detection_columns, load, run
from spm.boxes.network import build
from spm.learn import weights

ABOUT = {
    "backend": "torchvision",
    "model": "mobilenet_v2",
    "size": 64,
    "categories": ["cello", "flute"],
}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "weights.safetensors"
    network = build("torchvision", "mobilenet_v2", ABOUT["categories"], 64)
    weights.save(path, network.state_dict(), ABOUT)
    return path


def rewrite(path, **changed):
    about = {key: value for key, value in (ABOUT | changed).items() if value is not None}
    path.with_suffix(".json").write_text(json.dumps(about))


@pytest.mark.slow
def test_weights_are_loaded_with_their_classes(saved):
    assert load(saved)[1] == ["cello", "flute"]
    rewrite(saved, backend=None)  # as those of the first version were
    assert load(saved)[1] == ["cello", "flute"]


def test_a_truncated_file_is_named(saved):
    saved.write_bytes(saved.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"no complete weights at .*weights.safetensors"):
        load(saved)


@pytest.mark.slow
def test_weights_of_another_class_list_are_named(saved):
    rewrite(saved, categories=["cello", "flute", "harp"])
    with pytest.raises(
        UserError, match=r"weights.safetensors holds other weights than mobilenet_v2 of 3 classes"
    ):
        load(saved)


def test_a_description_without_classes_is_named(saved):
    rewrite(saved, categories=None)
    with pytest.raises(
        UserError, match=r"weights.json: 'categories' is missing: expected model, categories, size"
    ):
        load(saved)


@pytest.mark.slow
def test_every_frame_is_processed_with_any_batch_size(squares, saved, tmp_path):
    """An untrained detector has detections on every frame, so a skipped frame would be noticed."""
    clips = tables.read(table_of(squares.clips, 0)).slice(0, 5)
    tables.write_rows(tmp_path / "clips.parquet", schemas.CLIPS, clips.to_pylist())
    found = {}
    for batch in (1, 3, 64):
        out = tmp_path / f"{batch}.parquet"
        run(
            Detect(batch=batch, device="cpu"),
            clips=tmp_path / "clips.parquet",
            weights=saved,
            out=out,
        )
        found[batch] = tables.read(out).to_pandas()
    processed = {(clip["clip_id"], n) for clip in clips.to_pylist() for n in range(2)}
    for table in found.values():
        assert set(zip(table["clip_id"], table["frame"], strict=True)) == processed


def test_a_frame_that_is_no_image_is_an_error_that_names_its_clip(squares, saved, tmp_path):
    clips = tables.read(table_of(squares.clips, 0)).slice(0, 3).to_pylist()
    clips[1]["frames"][1] = b"no image"
    tables.write_rows(tmp_path / "clips.parquet", schemas.CLIPS, clips)
    files = {"clips": tmp_path / "clips.parquet", "weights": saved, "out": tmp_path / "out.parquet"}
    with pytest.raises(UserError, match=rf"clip {clips[1]['clip_id']}: a frame is not a complete"):
        run(Detect(device="cpu"), **files)
    assert not files["out"].exists()


def test_the_number_of_frames_is_known_before_they_are_read(squares):
    clips = table_of(squares.clips, 0)
    rows = tables.read(clips).num_rows
    assert [count_frames(clips, limit) for limit in (None, 1, 5)] == [2 * rows, rows, 2 * rows]


def test_detections_are_fractions_inside_the_frame_with_category_names():
    frames = [FrameId(clip_id, 0, 0.5) for clip_id in "abc"]
    boxes = [[[-5.0, 10, 50, 110]], [], [[0.0, 0, 25, 50], [50, 50, 100, 100]]]
    detections = [
        {
            "boxes": torch.tensor(box).view(-1, 4),
            "labels": torch.ones(len(box)).long(),
            "scores": torch.ones(len(box)),
        }
        for box in boxes
    ]
    columns = detection_columns(frames, detections, ["cello"], 100)
    assert columns["clip_id"] == ["a", "c", "c"]
    assert list(columns["category"]) == ["cello"] * 3
    assert [list(columns[side]) for side in "xywh"] == [
        [0, 0, 0.5],
        [0.1, 0, 0.5],
        [0.5, 0.25, 0.5],
        [0.9, 0.5, 0.5],
    ]
