"""The clips of a test set in batches: spm/fusion/testsets.py."""

import pytest
import torch

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.base.shards import table_of
from spm.corpus import clip_reader
from spm.fusion import methods
from spm.fusion.settings import RunConfig
from spm.fusion.testsets import ClipFiles, batches, plan_batches
from spm.learn import transforms
from tests.support import corpora

CROP = 48


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A corpus with four test videos of two clips, in two shards."""
    return corpora.write(tmp_path_factory.mktemp("few"), train=1, test=2, seconds=2)


@pytest.fixture(scope="module")
def network():
    """A network that reads log-mels."""
    config = RunConfig(method="spm", visual="mobilenet_v2", start="none", crop=CROP)
    return methods.build(methods.settings_of(config)).eval()


def read(corpus, network, size, mapped=None, clips=None):
    folder = clips or corpus.clips
    rows = clip_reader.testset_rows(corpus.index, "solo")
    testset = ClipFiles(rows, folder, corpus.spectrograms, mapped)
    return list(batches(testset, [network], size, CROP, "test"))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_every_clip_has_its_frames_its_times_and_its_sound(size, few, network, tmp_path):
    found = read(few, network, size, tmp_path / "mapped")
    rows = clip_reader.select(few.index, split="test", audible=False)
    assert [row["clip_id"] for part in found for row in part.rows] == rows["clip_id"].to_pylist()
    for part in found:
        assert len({row["shard"] for row in part.rows}) == 1
    times_s = [times for part in found for times in part.times_s]
    assert times_s == clip_reader.frame_times(rows, few.clips)
    for n, jpegs in enumerate(clip_reader.frames(rows, few.clips)):
        images = transforms.resize_normalize(transforms.decode(jpegs), CROP)
        torch.testing.assert_close(torch.cat([part.images for part in found])[n], images)
    sounds = torch.cat([part.sounds[0] for part in found])
    expected = clip_reader.log_mels(rows, few.spectrograms).reshape(sounds.shape)
    assert torch.equal(sounds, torch.from_numpy(expected))


def test_clips_are_the_same_with_and_without_memory_mapped_files(few, network, tmp_path):
    in_memory, mapped = read(few, network, 3), read(few, network, 3, tmp_path / "mapped")
    for first, second in zip(in_memory, mapped, strict=True):
        assert first.rows == second.rows
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.sounds[0], second.sounds[0])


def test_a_frame_that_is_no_image_is_an_error_that_names_the_clip(few, network, tmp_path):
    for shard in range(corpora.SHARDS):
        clips = tables.read(table_of(few.clips, shard)).to_pylist()
        if shard:
            clips[-1]["frames"][1] = b"no image"
        tables.write_rows(table_of(tmp_path / "clips", shard), schemas.CLIPS, clips)
    with pytest.raises(UserError, match=rf"clip {clips[-1]['clip_id']}: a frame is not a"):
        read(few, network, 2, clips=tmp_path / "clips")


def test_a_test_set_without_clips_has_no_batch(few, network):
    rows = clip_reader.testset_rows(few.index, "duet")
    testset = ClipFiles(rows, few.clips, few.spectrograms, None)
    assert testset.frames_per_clip == 0
    assert list(batches(testset, [network], 4, CROP, "test")) == []
    assert list(plan_batches(rows["shard"].to_numpy(), 4)) == []
