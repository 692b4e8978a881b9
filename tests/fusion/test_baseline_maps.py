"""Maps of the pretrained networks that are baselines: spm/fusion/baseline_maps.py."""

import numpy as np
import pytest
import torch
from torch import nn

from spm.base import tables
from spm.base.errors import UserError
from spm.base.statuses import PretrainedBaseline
from spm.corpus import clip_reader
from spm.fusion import baseline_maps
from spm.fusion.baseline_maps import BaselineMaps, run
from spm.fusion.cached_features import CachedTrunk
from tests.support import corpora

pytestmark = pytest.mark.usefixtures("parts")
SMALL = BaselineMaps(image_px=64, device="cpu")  # maps of 2 × 2
NAMES = tuple(PretrainedBaseline)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A corpus with two test clips, of two frames each."""
    return corpora.write(tmp_path_factory.mktemp("few"), train=1, test=1, seconds=1)


def maps(corpus, folder, names, testset="solo"):
    """Run the stage: the tables of the networks by their names."""
    paths = {name: folder / testset / f"{name}.parquet" for name in names}
    files = {"index": corpus.index, "clips": corpus.clips, "out": list(paths.values())}
    run(SMALL, **files, testset=testset, out_negatives=[])
    return {name: tables.read(path).to_pandas() for name, path in paths.items()}


@pytest.fixture(scope="module")
def solo(few, tmp_path_factory):
    return maps(few, tmp_path_factory.mktemp("maps"), NAMES)


@pytest.mark.slow
def test_every_frame_has_a_map_of_each_network_and_zero_shot_one_per_category(few, solo):
    clips = clip_reader.select(few.index, split="test", audible=False)["clip_id"].to_pylist()
    frames = {(clip, frame) for clip in clips for frame in (0, 1)}
    for name, categories in (("object-prior", []), ("zero-shot", ["cello", "flute"])):
        table = solo[name]
        assert set(zip(table["clip_id"], table["frame"], strict=True)) == frames
        per_frame = table.fillna({"category": "sound"}).groupby(["clip_id", "frame"])["category"]
        assert per_frame.apply(list).tolist() == [["sound", *categories]] * len(frames)
        assert set(table["height"]) == set(table["width"]) == {2}
        assert np.stack(table["map"]).min() >= 0
        assert np.stack(table["map"]).max() <= 1


@pytest.mark.slow
def test_a_network_gives_the_same_maps_alone_and_beside_another_one(few, solo, tmp_path):
    """They share the image trunk, whose features are computed once."""
    for name in NAMES:
        alone = maps(few, tmp_path, [name])[name]
        assert np.stack(alone["map"]).tolist() == np.stack(solo[name]["map"]).tolist()


def test_the_test_set_validation_has_the_validation_solos(few, tmp_path):
    table = maps(few, tmp_path, ["object-prior"], "validation")["object-prior"]
    clips = clip_reader.select(few.index, split="val", audible=False)["clip_id"].to_pylist()
    assert set(table["clip_id"]) == set(clips)


def test_a_table_with_another_name_is_an_error():
    with pytest.raises(UserError, match="no such baseline; expected tables named object-prior or"):
        baseline_maps.build(["nosuch"])


def test_a_trunk_computes_the_features_of_the_same_frames_once():
    trunk = nn.Conv2d(3, 2, 1)
    calls = []
    trunk.register_forward_hook(lambda *arguments: calls.append(arguments))
    cached, frames = CachedTrunk(trunk), torch.rand(2, 3, 4, 4)
    first = cached(frames)
    assert cached(frames.clone()) is first
    assert len(calls) == 1
    other = cached(frames.flip(0))
    assert len(calls) == 2
    assert torch.equal(other, first.flip(0))
    assert len(cached(frames[:1])) == 1
