"""Match maps of any system with boxes; `score_rows` scores them.

Maps and boxes belong together by their keys, or, if both have a video and a time, by time: a box
belongs to the nearest map within FRAME_MATCH_S, as in the workflow.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from spm.base.constants import FRAME_MATCH_S
from spm.base.errors import UserError
from spm.boxes import ground_truth
from spm.boxes.category_map import name_in_video
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame, MaskSource
from spm.boxes.statuses import BoxStatus
from spm.score import map_streams
from spm.score.evaluation import Predictions, Truth
from spm.score.map_arrays import ExternalMaps

Listed = Mapping[str, Collection[str]]  # the categories of each video of a manifest

KEYS_SHOWN = 3  # in a message
IMAGE = re.compile(r"\.(?:jpe?g|png)$", re.IGNORECASE)
KEY_OF_TIME = re.compile(r"(.+)/(\d+\.\d+)")  # what frames.frame_key writes


@dataclass(frozen=True)
class Matched:
    """Maps and boxes of the same frames."""

    predictions: Predictions
    truth: Truth
    resampled: str  # what the intervals draw: videos, or frames if nothing names their videos
    boxes: Counter[str] = field(default_factory=Counter)  # number of boxes per status
    notes: list[str] = field(default_factory=list)  # on what only the maps or only the boxes have
    # Video and time in s of each frame whose boxes or map name both.
    times: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    silent: bool = False  # whether nothing visible sounds in frames without boxes
    missing: tuple[str, ...] = ()  # keys of frames of the set that have no map


def rename_unlisted(
    benchmark: BenchmarkBoxes, listed: Listed, class_map: Mapping[str, str]
) -> BenchmarkBoxes:
    """Boxes with the manifest's names of their categories; listed categories stay as they are.

    Raises
    ------
    UserError
        If the boxes name no videos.
    """
    if not any(_names_video(key, frame) for key, frame in benchmark.frames.items()):
        raise UserError("--manifest: the boxes name no videos; expected boxes with video_id")
    frames = {}
    for key, frame in benchmark.frames.items():
        names = listed.get(frame.video_id, ())
        boxes = [
            box._replace(category=name_in_video(box.category, names, class_map))
            for box in frame.boxes
        ]
        frames[key] = replace(frame, boxes=tuple(boxes))
    return replace(benchmark, frames=frames)


def match_to_truth(
    stored: ExternalMaps,
    benchmark: BenchmarkBoxes,
    listed: Listed | None = None,
    *,
    partial: bool = False,
) -> Matched:
    """Match maps with the frames of a benchmark.

    With `listed`, boxes of other videos and categories do not count, as in the workflow.

    Raises
    ------
    UserError
        If boxed frames have no map and `partial` does not allow it: scores of a subset are not
        comparable with published ones.
    """
    frames = benchmark.frames
    boxed = {key for key, frame in frames.items() if _kept(frame, listed) or benchmark.silent}
    map_of_frame = _by_time(stored, frames) | _by_key(stored, frames)
    missing = boxed - map_of_frame.keys()
    if not boxed:
        raise UserError(
            "no box counts: the manifest (--manifest) has other videos or categories; expected"
            " those of the boxes"
        )
    if missing == boxed:
        raise UserError(
            "no map has the key of a boxed frame, or its video and a time within"
            f" {FRAME_MATCH_S} s: the maps have {_shown(stored.keys)};"
            f" the boxes have {_shown(boxed)}"
        )
    if missing and not partial:
        raise UserError(
            f"{len(missing)} of {len(boxed)} boxed frames have no map: {_shown(missing)}. Scores of"
            " a subset are not comparable with published ones. Pass --partial to score it anyway."
        )
    used = set(map_of_frame.values())
    surplus = [key for number, key in enumerate(stored.keys) if number not in used]
    unmatched = {
        "boxed frames without a map": missing,
        "maps without a frame in the boxes": surplus,
    }
    notes = [f"{len(keys)} {noun}: {_shown(keys)}" for noun, keys in unmatched.items() if keys]
    matched = _matched(stored, benchmark, map_of_frame, listed, notes)
    return replace(matched, silent=benchmark.silent, missing=tuple(sorted(missing)))


def matches(stored: ExternalMaps, benchmark: BenchmarkBoxes) -> bool:
    """Whether any frame that needs a map has one."""
    frames = benchmark.frames
    mapped = _by_time(stored, frames).keys() | _by_key(stored, frames).keys()
    return any(benchmark.silent or frames[key].boxes for key in mapped)


def _status(box: Box, frame: Frame, listed: Listed | None, *, has_map: bool = True) -> BoxStatus:
    """Status of a box by the workflow's rules for given boxes."""
    if listed is not None and frame.video_id not in listed:
        return BoxStatus.UNKNOWN_VIDEO
    if not has_map:
        return BoxStatus.UNMATCHED
    names = listed[frame.video_id] if listed is not None else ()
    if names and box.category not in names:
        return BoxStatus.OTHER_CATEGORY
    return BoxStatus.KEPT


def _kept(frame: Frame, listed: Listed | None) -> list[Box]:
    """The boxes of a frame that count if the frame has a map."""
    return [box for box in frame.boxes if _status(box, frame, listed) == BoxStatus.KEPT]


def _by_key(stored: ExternalMaps, frames: Mapping[str, Frame]) -> dict[str, int]:
    """The map of each frame with the same key; one of the two may lack a .jpg or .png."""
    numbers = {IMAGE.sub("", key): number for number, key in enumerate(stored.keys)}
    exact = {key: number for number, key in enumerate(stored.keys)}
    found = {key: exact.get(key, numbers.get(IMAGE.sub("", key))) for key in frames}
    return {key: number for key, number in found.items() if number is not None}


def _by_time(stored: ExternalMaps, frames: Mapping[str, Frame]) -> dict[str, int]:
    """The map of each frame that is nearest in time, among the maps of its video."""
    maps_of_video: dict[str, list[int]] = defaultdict(list)
    times_s = np.full(len(stored.keys), np.nan)
    for number, key in enumerate(stored.keys):
        if found := _video_and_time(stored, key):
            maps_of_video[found[0]].append(number)
            times_s[number] = found[1]
    nearest = {}
    for key, frame in frames.items():
        if frame.time_s is not None and frame.video_id in maps_of_video:
            numbers = maps_of_video[frame.video_id]
            place = ground_truth.nearest_frame(times_s[numbers], frame.time_s)
            if place is not None:
                nearest[key] = numbers[place]
    return nearest


def _video_and_time(stored: ExternalMaps, key: str) -> tuple[str, float] | None:
    """Video and time of a map, from the columns of its file or from its key."""
    if key in stored.times:
        return stored.times[key]
    match = KEY_OF_TIME.fullmatch(key)
    return (match[1], float(match[2])) if match else None


def _names_video(key: str, frame: Frame) -> bool:
    """Whether the boxes of a frame name its video; readers fall back on the key."""
    return frame.video_id != key


def _matched(
    stored: ExternalMaps,
    benchmark: BenchmarkBoxes,
    map_of_frame: Mapping[str, int],
    listed: Listed | None,
    notes: list[str],
) -> Matched:
    """The maps that have a frame, in their order, under the key of their first frame."""
    boxes: dict[str, list[Box]] = {}
    first_key: dict[int, str] = {}
    videos: dict[str, str] = {}
    times: dict[str, tuple[str, float]] = {}
    masks: dict[str, MaskSource] = {}
    statuses: Counter[str] = Counter()
    for key, frame in sorted(benchmark.frames.items()):
        number = map_of_frame.get(key)
        statuses.update(
            _status(box, frame, listed, has_map=number is not None) for box in frame.boxes
        )
        if number is not None:
            name = first_key.setdefault(number, key)
            boxes.setdefault(name, []).extend(_kept(frame, listed))
            if frame.mask is not None:
                masks.setdefault(name, frame.mask)
            videos.setdefault(name, _video(stored, stored.keys[number], key, frame))
            if found := _place(stored, stored.keys[number], key, frame):
                times.setdefault(name, found)
    unnamed = sum(video == key for key, video in videos.items())
    resampled = "frames" if unnamed == len(videos) else "videos"
    if 0 < unnamed < len(videos):
        notes = [*notes, f"{unnamed} frames name no video; each counts as a video of its own"]
    numbers = sorted(first_key)  # the order of the file: a large one is then read once, in order
    keys = [first_key[number] for number in numbers]
    predictions = _predictions(stored, numbers, keys, videos)
    truth = Truth(boxes, benchmark.form, benchmark.annotators, masks)
    return Matched(predictions, truth, resampled, statuses, notes, times)


def _video(stored: ExternalMaps, map_key: str, key: str, frame: Frame) -> str:
    """The video of a frame, from its boxes, or else from its map; the key if neither names it."""
    if _names_video(key, frame):
        return frame.video_id
    found = _video_and_time(stored, map_key)
    return found[0] if found else key


def _place(stored: ExternalMaps, map_key: str, key: str, frame: Frame) -> tuple[str, float] | None:
    """Video and time of a frame, from its map, or else from its boxes."""
    if _names_video(key, frame) and frame.time_s is not None:
        return _video_and_time(stored, map_key) or (frame.video_id, frame.time_s)
    return _video_and_time(stored, map_key)


def _predictions(
    stored: ExternalMaps, numbers: list[int], keys: list[str], videos: Mapping[str, str]
) -> Predictions:
    """Some of the maps, with the keys and videos of their frames."""
    return Predictions(
        keys,
        [(videos[key],) for key in keys],
        map_streams.select(stored.maps, numbers),
        map_streams.select(stored.class_maps, numbers),
        stored.classes,
    )


def _shown(keys: Iterable[str]) -> str:
    """The first keys, for a message."""
    names = sorted(keys)
    return ", ".join(names[:KEYS_SHOWN]) + (", …" if len(names) > KEYS_SHOWN else "")
