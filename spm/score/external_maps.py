"""Match maps of any system with boxes, and score them: what `spm score` does.

Maps and boxes belong together by their keys, or, if both have a video and a time, by time: a box
belongs to the nearest map within FRAME_MATCH_S, as in the workflow.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from spm.base.constants import FRAME_MATCH_S
from spm.base.errors import UserError
from spm.boxes import ground_truth
from spm.boxes.category_map import name_in_video
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame
from spm.boxes.statuses import BoxStatus
from spm.score import aggregation, evaluation
from spm.score.evaluation import FrameScores, Predictions, Truth
from spm.score.map_arrays import ExternalMaps
from spm.score.protocols import Protocol

Listed = Mapping[str, Collection[str]]  # the categories of each video of a manifest

KEYS_SHOWN = 3  # in a message
MAPS = "maps"  # the system's name in a table of scores; the others are baselines
MINUS = " − "  # between the names of two systems: a row of differences
CSV_COLUMNS = [
    "protocol", "metric", "value", "frames", "low", "high", "interval_over", "interval_groups",
]  # fmt: skip
KEY_OF_TIME = re.compile(r"(.+)/(\d+\.\d+)")  # what frames.frame_key writes


class ScoreRow(NamedTuple):
    """One figure."""

    protocol: str
    system: str  # "maps", the name of a baseline, or "maps − " and the name of a baseline
    metric: str
    value: float
    interval: tuple[float, float] | None  # 95 % bootstrap; None with fewer than two groups
    frames: int
    interval_over: str  # what the bootstrap draws: videos, or frames if the boxes name no videos
    interval_groups: int  # the number of these videos or frames


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
    boxed = {key for key, frame in frames.items() if _kept(frame, listed)}
    map_of_frame = _by_time(stored, frames) | _by_key(stored, frames)
    missing = boxed - map_of_frame.keys()
    if not boxed:
        raise UserError("no box counts; expected boxes of listed videos and categories")
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
    return _matched(stored, benchmark, map_of_frame, listed, notes)


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
    """The map of each frame with the same key; the name of a .npy file may lack a .jpg."""
    numbers = {f"{key}.jpg": number for number, key in enumerate(stored.keys)}
    numbers |= {key: number for number, key in enumerate(stored.keys)}
    return {key: numbers[key] for key in frames if key in numbers}


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
    """The maps that have a frame, sorted by the key of their first frame, with all its boxes."""
    boxes: dict[str, list[Box]] = {}
    first_key: dict[int, str] = {}
    videos: dict[str, str] = {}
    times: dict[str, tuple[str, float]] = {}
    statuses: Counter[str] = Counter()
    for key, frame in sorted(benchmark.frames.items()):
        number = map_of_frame.get(key)
        statuses.update(
            _status(box, frame, listed, has_map=number is not None) for box in frame.boxes
        )
        if number is not None:
            name = first_key.setdefault(number, key)
            boxes.setdefault(name, []).extend(_kept(frame, listed))
            videos.setdefault(name, _video(stored, stored.keys[number], key, frame))
            if found := _place(stored, stored.keys[number], key, frame):
                times.setdefault(name, found)
    unnamed = sum(video == key for key, video in videos.items())
    resampled = "frames" if unnamed == len(videos) else "videos"
    if 0 < unnamed < len(videos):
        notes = [*notes, f"{unnamed} frames name no video; each counts as a video of its own"]
    predictions = _predictions(stored, list(first_key), list(first_key.values()), videos)
    truth = Truth(boxes, benchmark.form, benchmark.annotators)
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
        None if stored.maps is None else stored.maps[numbers],
        None if stored.class_maps is None else stored.class_maps[numbers],
        stored.classes,
    )


def _shown(keys: Iterable[str]) -> str:
    """The first keys, for a message."""
    names = sorted(keys)
    return ", ".join(names[:KEYS_SHOWN]) + (", …" if len(names) > KEYS_SHOWN else "")


def scores(
    matched: Matched,
    protocols: Sequence[Protocol],
    *,
    resamples: int,
    seed: int,
    networks: Mapping[str, Predictions] | None = None,
) -> Iterator[list[ScoreRow]]:
    """Every figure of the maps and of the baselines on the same frames, a list per protocol.

    `networks` has the maps of networks that are baselines, of the same frames in the same order.
    The differences between the maps and these networks have rows of their own.
    """
    predictions, truth = matched.predictions, matched.truth
    results = evaluation.score(protocols, predictions, truth)
    of_networks = {
        name: evaluation.score(protocols, maps, truth) for name, maps in (networks or {}).items()
    }
    for protocol in protocols:
        selection, frame_scores = results[protocol.name]
        if not selection.frames:
            raise UserError(
                f"protocol {protocol.name}: no frame has a map and a box; expected at least one"
            )
        systems = {MAPS: frame_scores}
        systems |= evaluation.score_baselines(
            selection, predictions.map_shape(), np.empty((0, 4)), protocol, truth
        )
        systems |= {name: found[protocol.name][1] for name, found in of_networks.items()}
        videos = {predictions.videos[number] for number in selection.frames}
        drawn = (matched.resampled, len(videos))
        draws = aggregation.draw_videos(predictions, selection, resamples=resamples, seed=seed)
        rows = []
        for system, system_scores in systems.items():
            bounds = aggregation.intervals(system_scores, protocol, draws)
            rows += _rows(protocol, system, system_scores, bounds, drawn)
        for name in of_networks:
            gains = aggregation.differences(frame_scores, systems[name], protocol, draws)
            rows += _difference_rows(protocol, f"{MAPS}{MINUS}{name}", gains, rows[0])
        yield rows


def _rows(
    protocol: Protocol,
    system: str,
    frame_scores: FrameScores,
    bounds: aggregation.Figures,
    drawn: tuple[str, int],
) -> list[ScoreRow]:
    frames = len(frame_scores.ious)
    return [
        ScoreRow(protocol.name, system, metric, value, bounds[metric], frames, *drawn)
        for metric, value in aggregation.figures(frame_scores, protocol).items()
    ]


def _difference_rows(
    protocol: Protocol, system: str, gains: aggregation.Figures, like: ScoreRow
) -> list[ScoreRow]:
    """Rows of paired differences, with the counts of another row."""
    rows = []
    for metric, gain in gains.items():
        bounds = None if gain["low"] is None else (gain["low"], gain["high"])
        about = {"system": system, "metric": metric, "value": gain["value"], "interval": bounds}
        rows.append(like._replace(protocol=protocol.name, **about))
    return rows


def describe_intervals(row: ScoreRow) -> str:
    """One line on what the intervals of a protocol draw, or why there are none."""
    if row.interval_groups < 2:
        noun = "video" if row.interval_over == "videos" else "frame"
        return f"no intervals: there is one {noun} only"
    reason = ", because the boxes name no videos" if row.interval_over == "frames" else ""
    return f"95 % intervals over {row.interval_groups} {row.interval_over}{reason}"


def csv_rows(rows: Iterable[ScoreRow]) -> pd.DataFrame:
    """A row per figure; a name of the baseline comes before its metric."""
    records: list[dict[str, Any]] = []
    for row in rows:
        low, high = row.interval or (None, None)
        metric = row.metric if row.system == MAPS else f"{row.system} {row.metric}"
        values = (
            *(row.protocol, metric, row.value, row.frames, low, high),
            *(row.interval_over, row.interval_groups),
        )
        records.append(dict(zip(CSV_COLUMNS, values, strict=True)))
    return pd.DataFrame(records, columns=CSV_COLUMNS)
