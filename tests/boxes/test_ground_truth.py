"""Which frame a box belongs to: the nearest one of its video within 0.15 s."""

import pytest

from spm.boxes.ground_truth import group_by_video, nearest_frames


def clip(video_id, start_s, frames=4):
    times_s = [start_s + frame / 4 for frame in range(frames)]
    return {"clip_id": f"{video_id}_{start_s}", "video_id": video_id, "frame_time_s": times_s}


CLIPS = [clip("v", 0), clip("v", 1), clip("w", 0), clip("empty", 0, frames=0)]


def matched(*times_s, video_id="v"):
    """Clip and frame of each box that has one, with the number of its boxes."""
    boxes = [{"video_id": video_id, "time_s": time_s} for time_s in times_s]
    found = nearest_frames(group_by_video(boxes), CLIPS)
    return [(item.clip["clip_id"], item.frame, len(item.boxes)) for item in found]


@pytest.mark.parametrize(
    ("time_s", "expected"),
    [
        (0, [("v_0", 0, 1)]),
        (0.13, [("v_0", 1, 1)]),
        (0.87, [("v_0", 3, 1)]),
        (0.998, [("v_1", 0, 1)]),  # a clip later, but 2 ms away
        (0.9, [("v_1", 0, 1)]),
        (1.9, [("v_1", 3, 1)]),
        (1.91, []),
        (7, []),
    ],
)
def test_a_box_belongs_to_the_nearest_frame_of_all_clips_of_its_video(time_s, expected):
    assert matched(time_s) == expected


def test_boxes_of_one_frame_are_together_and_frames_are_in_order():
    assert matched(1.5, 0.02, 0, 0.51) == [("v_0", 0, 2), ("v_0", 2, 1), ("v_1", 2, 1)]


def test_boxes_of_other_videos_and_of_videos_without_frames_have_no_frame():
    assert matched(0, video_id="x") == []
    assert matched(0, video_id="empty") == []
