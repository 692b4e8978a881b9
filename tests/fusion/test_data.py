import pytest
import torch

from spm.base.config import UserError
from spm.fusion import train
from spm.fusion.data import Data, most_similar, paired
from spm.fusion.methods.spm import Settings
from spm.learn.batches import seeded

VIDEOS = torch.tensor([0, 0, 0, 1, 1, 2])


def clips() -> Data:
    features = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.9, 0], [0.1, 1], [1, 1]])
    jpegs = [[b""]] * len(VIDEOS)
    return Data(jpegs, torch.empty(0), VIDEOS, None, most_similar(features, VIDEOS, "video"))


def test_the_most_similar_sound_is_looked_for_outside_the_clip_or_the_video():
    features = torch.tensor([[1.0, 0], [5, 0.5], [0, 1], [0.9, 0.4]])
    videos = torch.tensor([0, 0, 1, 1])
    assert most_similar(features, videos, "clip").tolist() == [1, 0, 3, 1]
    assert most_similar(features, videos, "video").tolist() == [3, 3, 1, 1]
    assert most_similar(features[:2], videos[:2], "video").tolist() == [0, 1]  # nothing outside: their own


@pytest.mark.parametrize(("augment", "frames", "sounds"), [("A", True, False), ("B", False, True), ("C", True, True)])
def test_augmentation_changes_frames_or_sounds_or_both_and_frames_stay_in_their_video(augment, frames, sounds):
    at = torch.arange(6).repeat(50)
    shown, heard = paired(clips(), at, Settings(augment=augment, augment_share=1.0), seeded(0))
    assert torch.equal(VIDEOS[shown], VIDEOS[at])
    assert torch.equal(shown, at) is not frames
    assert torch.equal(heard, clips().similar[at]) is sounds
    assert torch.equal(heard, at) is not sounds


def test_a_share_of_the_clips_is_augmented_and_none_by_default():
    at = torch.arange(6).repeat(500)
    _, heard = paired(clips(), at, Settings(augment="B", augment_share=0.25), seeded(0))
    assert (heard != at).float().mean().item() == pytest.approx(0.25, abs=0.03)
    random = seeded(0)
    before = random.get_state()
    assert paired(clips(), at, Settings(), random)[0] is at
    assert torch.equal(before, random.get_state())


def test_similar_sounds_want_the_promoted_network():
    config = Settings(augment="C", promote=False)
    with pytest.raises(UserError, match=r"train\.augment: C compares sounds by the promoted network"):
        train.with_similar(clips(), None, config)
