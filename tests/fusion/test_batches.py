from dataclasses import replace

import pytest
import torch

from spm.corpus import clip_reader
from spm.fusion import dataset
from spm.fusion.batches import batches, whole_frames
from spm.fusion.methods.spm import Settings
from spm.fusion.settings import Outside
from spm.learn import distributed, transforms
from spm.learn.dataloading import make_generator

CPU = torch.device("cpu")
CONFIG = Settings(crop=48, batch=20, augment="C", negatives="one")
VIEWS = 2


@pytest.fixture(scope="module")
def clips(squares, tmp_path_factory):
    """The training clips, with a similar clip of each."""
    rows = clip_reader.select(squares.index, split="train")
    mapped = tmp_path_factory.mktemp("mapped")
    data = dataset.load(rows, squares.clips, squares.spectrograms, mapped=mapped)
    features = torch.randn(len(data), 4, generator=make_generator(1))
    return replace(data, nearest=dataset.nearest_clips(features, data.videos, Outside.CLIP))


def read(clips, config=CONFIG, views=VIEWS, **options):
    return list(batches(clips, config, views, make_generator(0), device=CPU, **options))


def equal(one, two) -> bool:
    """Whether two lists of batches are the same."""
    pairs = [pair for batch in zip(one, two, strict=True) for pair in zip(*batch, strict=True)]
    return all(torch.equal(*pair) for pair in pairs)


@pytest.mark.slow
def test_batches_do_not_depend_on_the_number_of_workers(clips):
    expected = read(clips, workers=0)
    assert len(expected) == 5
    assert expected[0].images.shape == (40, 3, 48, 48)
    assert sorted(torch.cat([batch.indices for batch in expected]).tolist()) == list(range(96))
    for workers in (1, 2):
        assert equal(read(clips, workers=workers), expected)


def test_a_resumed_epoch_reads_only_the_batches_that_are_left(clips, monkeypatch):
    expected = read(clips, workers=0)
    cropped = []
    crop = transforms.crop_batch
    monkeypatch.setattr(
        transforms, "crop_batch", lambda *images: cropped.append(1) or crop(*images)
    )
    assert equal(read(clips, workers=0, skip=3), expected[3:])
    assert len(cropped) == 2


@pytest.mark.slow
def test_two_processes_read_their_own_rows_of_each_view(clips, monkeypatch):
    whole, parts = read(clips, workers=0), []
    for own in (slice(0, 11), slice(11, 20)):
        monkeypatch.setattr(distributed, "own_part", lambda _, own=own: own)
        parts.append(read(clips, workers=1))
    for batch, one, two in zip(whole, *parts, strict=True):
        assert torch.equal(one.indices, batch.indices)
        assert torch.equal(two.negative, batch.negative)
        assert torch.equal(torch.cat([one.sounds, two.sounds]), batch.sounds)
        views = [part.images.unflatten(0, (VIEWS, -1)) for part in (one, two)]
        assert torch.equal(torch.cat(views, 1).flatten(0, 1), batch.images)


def test_features_of_frozen_networks_are_those_of_the_whole_batch(clips, monkeypatch):
    visual = dataset.FrameFeatures(
        torch.arange(2.0 * len(clips)).view(-1, 1, 1, 1), 2 * torch.arange(len(clips) + 1)
    )
    frozen = replace(
        clips, audio_embeddings=torch.arange(len(clips))[:, None], visual_features=visual
    )
    monkeypatch.setattr(distributed, "own_part", lambda _: slice(0, 3))
    batch = read(frozen, Settings(batch=20, negatives="all"), views=1)[0]
    assert torch.equal(batch.sounds[:, 0], batch.indices)
    assert torch.equal(batch.images.flatten() // 2, batch.indices)
    assert batch.images.dtype == torch.float32


def test_whole_frames_are_resized_and_read_by_every_process(clips, monkeypatch):
    monkeypatch.setattr(distributed, "own_part", lambda _: slice(0, 1))
    parts = torch.arange(5).split(3)
    found = list(whole_frames(clips, parts, 32, device=CPU, workers=1))
    assert [batch.images.shape[0] for batch in found] == [3, 2]
    first = transforms.decode([clips.jpegs.frame(4, 0)])
    expected = transforms.resize_normalize(first, 32)[0]
    assert torch.equal(found[1].images[1], expected)
    assert torch.equal(found[0].sounds, clips.sounds.sounds([0, 1, 2]))
