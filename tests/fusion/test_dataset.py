import pytest
import torch

from spm.base.config import UserError
from spm.fusion import train
from spm.fusion.dataset import ClipDataset, most_similar, sample_pairs
from spm.fusion.methods.spm import Settings
from spm.learn.dataloading import make_generator

VIDEOS = torch.tensor([0, 0, 0, 1, 1, 2])


def clips() -> ClipDataset:
    features = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.9, 0], [0.1, 1], [1, 1]])
    jpegs = [[b""]] * len(VIDEOS)
    return ClipDataset(jpegs, torch.empty(0), VIDEOS, None, most_similar(features, VIDEOS, "video"))


def test_the_most_similar_sound_is_looked_for_outside_the_clip_or_the_video():
    features = torch.tensor([[1.0, 0], [5, 0.5], [0, 1], [0.9, 0.4]])
    videos = torch.tensor([0, 0, 1, 1])
    assert most_similar(features, videos, "clip").tolist() == [1, 0, 3, 1]
    assert most_similar(features, videos, "video").tolist() == [3, 3, 1, 1]
    assert most_similar(features[:2], videos[:2], "video").tolist() == [
        0,
        1,
    ]  # nothing outside: their own


@pytest.mark.parametrize(
    ("augment", "frames", "sounds"), [("A", True, False), ("B", False, True), ("C", True, True)]
)
def test_augmentation_changes_frames_or_sounds_or_both_and_frames_stay_in_their_video(
    augment, frames, sounds
):
    at = torch.arange(6).repeat(50)
    shown, heard = sample_pairs(
        clips(), at, Settings(augment=augment, augment_share=1.0), make_generator(0)
    )
    assert torch.equal(VIDEOS[shown], VIDEOS[at])
    assert torch.equal(shown, at) is not frames
    assert torch.equal(heard, clips().similar[at]) is sounds
    assert torch.equal(heard, at) is not sounds


def test_a_share_of_the_clips_is_augmented_and_none_by_default():
    at = torch.arange(6).repeat(500)
    _, heard = sample_pairs(
        clips(), at, Settings(augment="B", augment_share=0.25), make_generator(0)
    )
    assert (heard != at).float().mean().item() == pytest.approx(0.25, abs=0.03)
    random = make_generator(0)
    before = random.get_state()
    assert sample_pairs(clips(), at, Settings(), random)[0] is at
    assert torch.equal(before, random.get_state())


def test_similar_sounds_want_the_promoted_network():
    config = Settings(augment="C", promote=False)
    with pytest.raises(
        UserError, match=r"train\.augment: C compares sounds by the promoted network"
    ):
        train.with_similar(clips(), None, config)
