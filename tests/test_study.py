"""The study of docs/training-study.md: its splits, and its trainings, which are the workflow's."""

from collections import defaultdict

import pytest
import torch

from benchmarks.study import splits
from benchmarks.study.frames import Folders, read_clips
from benchmarks.study.run import train_run
from spm.audio.network import AudioNetwork
from spm.corpus import clip_reader
from spm.fusion import methods, train
from spm.fusion.settings import RunConfig
from spm.learn import weights


def test_no_recording_is_in_two_splits_and_boxes_are_of_test_recordings(shared, tmp_path):
    splits.write_all(shared, tmp_path)
    rows = splits.read(tmp_path / "solos/manifest.csv")
    assert len({row["video_id"] for row in rows}) == len(rows) == 135
    by_category = defaultdict(list)
    for row in rows:
        by_category[row["categories"]].append(row["split"])
    for found in by_category.values():
        assert "train" in found
        assert ("test" in found) is (len(found) > 1)
    tested = {row["video_id"] for row in rows if row["split"] == "test"}
    assert {row["video_id"] for row in splits.read(tmp_path / "solos/boxes.csv")} <= tested
    elsewhere = {row["video_id"] for row in splits.read(tmp_path / "boxed/boxes.csv")} - tested
    assert len(elsewhere) == 12
    assert all("-w" in name for name in elsewhere)


def test_settings_are_compared_on_recordings_that_no_run_is_tested_on(shared, tmp_path):
    splits.write_all(shared, tmp_path / "final")
    splits.write_all(shared, tmp_path / "choice", choose=True)
    final = {
        row["video_id"]: row["split"] for row in splits.read(tmp_path / "final/solos/manifest.csv")
    }
    choice = splits.read(tmp_path / "choice/solos/manifest.csv")
    assert {final[row["video_id"]] for row in choice if row["split"] == "test"} == {"val"}
    assert {final[row["video_id"]] for row in choice if row["split"] == "train"} == {"train"}


@pytest.mark.slow
def test_a_run_of_the_study_has_the_weights_of_the_stage_train(squares, tmp_path):
    pretrained = tmp_path / "audio.safetensors"
    network = AudioNetwork("yamnet")
    network.load_yamnet()
    weights.save(pretrained, network.state_dict(), {"config": {"network": "yamnet"}})
    config = RunConfig(
        method="spm", visual="efficientnet_lite0", start="imagenet", freeze_visual=True, crop=64,
        batch=16, device="cpu", epochs=2,
    )  # fmt: skip
    out = tmp_path / "network.safetensors"
    folders = Folders(squares.index, squares.clips, squares.spectrograms)
    files = {"history": tmp_path / "history.parquet", "state": tmp_path / "state"}
    train.run(config, **folders._asdict(), mosaics=None, pretrained=pretrained, out=out, **files)
    settings = methods.settings_of(config)
    rows = clip_reader.select(squares.index, split="train")
    clips = read_clips(rows, folders, methods.build(settings), settings.crop)
    own = train_run(settings, pretrained, clips, clips, tmp_path / "own.safetensors").state_dict()
    expected, _ = weights.load(out)
    assert all(torch.equal(own[name], expected[name]) for name in expected)
