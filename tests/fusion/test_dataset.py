import numpy as np
import pytest
import torch

from spm.base.errors import UserError
from spm.fusion import train
from spm.fusion.dataset import ClipDataset, nearest_clips, sample_pairs
from spm.fusion.methods.spm import Settings
from spm.fusion.settings import Outside
from spm.learn.dataloading import make_generator

VIDEOS = torch.tensor([0, 0, 0, 1, 1, 2])


def clips() -> ClipDataset:
    features = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.9, 0], [0.1, 1], [1, 1]])
    jpegs = [[b""]] * len(VIDEOS)
    nearest = nearest_clips(features, VIDEOS, Outside.VIDEO)
    return ClipDataset(jpegs, torch.empty(0), VIDEOS, None, nearest)


def test_the_nearest_clip_is_searched_outside_the_clip_or_the_video():
    features = torch.tensor([[1.0, 0], [5, 0.5], [0, 1], [0.9, 0.4]])
    videos = torch.tensor([0, 0, 1, 1])
    assert nearest_clips(features, videos, Outside.CLIP).tolist() == [1, 0, 3, 1]
    assert nearest_clips(features, videos, Outside.VIDEO).tolist() == [3, 3, 1, 1]
    one_video = nearest_clips(features[:2], videos[:2], Outside.VIDEO)
    assert one_video.tolist() == [0, 1]  # each clip itself


@pytest.mark.parametrize(
    ("augment", "changes_frames", "changes_sounds"),
    [("A", True, False), ("B", False, True), ("C", True, True)],
)
def test_augmentation_changes_frames_or_sounds_or_both_and_frames_stay_in_their_video(
    augment, changes_frames, changes_sounds
):
    indices = np.tile(np.arange(6), 50)
    config = Settings(augment=augment, augment_share=1.0)
    frames, sounds = sample_pairs(clips(), indices, config, make_generator(0))
    videos, nearest = VIDEOS.numpy(), clips().nearest.numpy()
    assert np.array_equal(videos[frames], videos[indices])
    assert np.array_equal(frames, indices) is not changes_frames
    assert np.array_equal(sounds, nearest[indices]) is changes_sounds
    assert np.array_equal(sounds, indices) is not changes_sounds


def test_a_share_of_the_clips_is_augmented_and_none_by_default():
    indices = np.tile(np.arange(6), 500)
    config = Settings(augment="B", augment_share=0.25)
    _, sounds = sample_pairs(clips(), indices, config, make_generator(0))
    assert (sounds != indices).mean() == pytest.approx(0.25, abs=0.03)
    generator = make_generator(0)
    before = generator.get_state()
    assert sample_pairs(clips(), indices, Settings(), generator)[0] is indices
    assert torch.equal(before, generator.get_state())  # nothing was drawn


def test_similar_sounds_need_the_promoted_network():
    config = Settings(augment="C", promote=False)
    message = r"train\.augment: C compares sounds by the promoted audio network"
    with pytest.raises(UserError, match=message):
        train.with_nearest(clips(), None, config)
