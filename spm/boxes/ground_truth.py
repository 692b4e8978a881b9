"""Ground truth is stored by time: which frame of which clip a box belongs to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from spm.base.constants import CLIP_S, FRAME_MATCH_S
from spm.boxes.formats.frames import BoxRow

ClipRow = dict[str, Any]  # of the index or of the clips, with video_id, start_s, frame_time_s


class BoxedFrame(NamedTuple):
    """A frame of a clip, and the boxes that belong to it."""

    clip: ClipRow
    frame: int
    boxes: list[BoxRow]


def nearest_frames(
    boxes: Mapping[str, Sequence[BoxRow]], clips: Iterable[ClipRow]
) -> Iterator[BoxedFrame]:
    """Frames that have boxes; a box belongs to the nearest frame within FRAME_MATCH_S.

    Parameters
    ----------
    boxes : mapping of video_id to boxes
        With `time_s`, from the start of the video.
    clips : iterable
        With `video_id`, `start_s` and `frame_time_s`.
    """
    for clip in clips:
        frame_times_s = np.array(clip["frame_time_s"])
        by_frame: dict[int, list[BoxRow]] = {}
        for box in boxes.get(clip["video_id"], []):
            distance_s = np.abs(frame_times_s - box["time_s"])
            in_clip = clip["start_s"] <= box["time_s"] < clip["start_s"] + CLIP_S
            # Objects move: a box drawn at another time does not show where they are.
            if in_clip and distance_s.min() <= FRAME_MATCH_S:
                by_frame.setdefault(int(distance_s.argmin()), []).append(box)
        for frame in sorted(by_frame):
            yield BoxedFrame(clip, frame, by_frame[frame])


def group_by_video(boxes: Iterable[BoxRow]) -> dict[str, list[BoxRow]]:
    """The boxes of each video, in their order."""
    groups: dict[str, list[BoxRow]] = {}
    for box in boxes:
        groups.setdefault(box["video_id"], []).append(box)
    return groups
