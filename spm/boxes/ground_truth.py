"""Ground truth is stored by time: which frame of which clip a box belongs to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spm.base.constants import FRAME_MATCH_S
from spm.boxes.formats.frames import BoxRow

ClipRow = dict[str, Any]  # of the index or of the clips, with video_id, frame_time_s


class BoxedFrame(NamedTuple):
    """A frame of a clip, and the boxes that belong to it."""

    clip: ClipRow
    frame: int
    boxes: list[BoxRow]


def nearest_frame(frame_times_s: ArrayLike, time_s: float) -> int | None:
    """Index of the frame that is nearest to a time; None if none is within FRAME_MATCH_S.

    Objects move: a box drawn at another time does not show where they are.

    >>> nearest_frame([0.0, 0.25, 0.5], 0.3)
    1
    """
    distance_s = np.abs(np.asarray(frame_times_s, np.float64) - time_s)
    return int(distance_s.argmin()) if (distance_s <= FRAME_MATCH_S).any() else None


def nearest_frames(
    boxes: Mapping[str, Sequence[BoxRow]], clips: Iterable[ClipRow]
) -> Iterator[BoxedFrame]:
    """Frames that have boxes; a box belongs to the nearest frame of all clips of its video.

    Parameters
    ----------
    boxes : mapping of video_id to boxes
        With `time_s`, from the start of the video.
    clips : iterable
        With `video_id` and `frame_time_s`.
    """
    for video_id, video_clips in group_by_video(clips).items():
        frames: list[tuple[ClipRow, int]] = []
        for clip in video_clips:
            frames += [(clip, frame) for frame in range(len(clip["frame_time_s"]))]
        times_s = np.concatenate([clip["frame_time_s"] for clip in video_clips])
        by_frame: dict[int, list[BoxRow]] = {}
        for box in boxes.get(video_id, []):
            nearest = nearest_frame(times_s, box["time_s"])
            if nearest is not None:
                by_frame.setdefault(nearest, []).append(box)
        for number in sorted(by_frame):
            yield BoxedFrame(*frames[number], by_frame[number])


def group_by_video(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The boxes or clips of each video, in their order."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["video_id"], []).append(row)
    return groups
