"""Scores of one run's maps under one protocol, with its uncertainty and its company.

python -m spm.score.scores --config '{}' --maps maps.parquet --annotations annotations.parquet --index index.parquet
    --protocol spm-paper --frames frames.parquet --summary summary.json
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import NonNegativeInt, PositiveInt, field_validator

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.score import baselines, metrics, protocols
from spm.score.metrics import Doubles
from spm.score.protocols import Maps, Protocol

Key = tuple[str, int]  # clip_id, frame
Row = dict[str, Any]
Figures = dict[str, Any]


class Scores(Section):
    """Which protocols every run is scored under, and how its uncertainty is drawn."""

    protocols: tuple[str, ...] = ("spm-paper", "dsol-solo", "ez-vsl", "sspl", "adaptive")  # names in docs/protocols.md
    bootstrap: PositiveInt = 1000  # resamples of the videos
    seed: NonNegativeInt = 0  # of the resampling

    @field_validator("protocols")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in protocols.PROTOCOLS]:
            raise ValueError(f"unknown {unknown[0]!r}: any of {', '.join(protocols.PROTOCOLS)} expected")
        return names


class Target(NamedTuple):
    """What one map is held against: the boxes that the protocol unites to one truth."""

    frame: int  # number of its frame among those scored
    categories: frozenset[str]
    boxes: Doubles  # (k, 4)


@dataclass(frozen=True)
class Selection:
    """The frames that are scored, and why the others are not."""

    keys: list[Key]  # sorted
    videos: list[str]  # of each frame
    targets: list[Target]
    left_out: Counter[str]  # frames by reason


def read_maps(path: Path) -> tuple[dict[Key, str], Maps]:
    """Video of each map by (clip_id, frame), sorted, and the maps in that order, shape (n, h, w).

    Raises
    ------
    UserError
        If a map appears twice, has another size than the first, does not fill it, or holds a value that is not finite.
    """
    table = tables.read(path).sort_by([("clip_id", "ascending"), ("frame", "ascending")])
    rows = table.drop_columns(["map"]).to_pylist()
    maps = [values.values.to_numpy() for values in table["map"]]
    shape = (rows[0]["height"], rows[0]["width"]) if rows else (1, 1)
    videos: dict[Key, str] = {}
    for row, values in zip(rows, maps, strict=True):
        key = (row["clip_id"], row["frame"])
        if key in videos:
            raise UserError(f"{path}: clip {key[0]!r}, frame {key[1]}: two maps; one expected")
        if fault := _fault(row, values, shape):
            raise UserError(f"{path}: clip {key[0]!r}, frame {key[1]}: {fault}")
        videos[key] = row["video_id"]
    return videos, np.array(maps, np.float32).reshape(-1, *shape)


def _fault(row: Row, values: Maps, shape: tuple[int, int]) -> str:
    size = (row["height"], row["width"])
    if size != shape or len(values) != size[0] * size[1]:
        return f"{len(values)} values for {size}; a map of {shape} expected, as the first"
    return "" if np.isfinite(values).all() else "NaN or infinity; finite numbers expected"


def by_frame(annotations: Sequence[Row]) -> dict[Key, list[Row]]:
    """Annotations of each frame, kept and fallen."""
    frames = defaultdict(list)
    for row in annotations:
        frames[row["clip_id"], row["frame"]].append(row)
    return dict(frames)


def _kept(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["status"] == "kept"]


def _boxes(rows: Sequence[Row]) -> Doubles:
    return np.array([[row[side] for side in "xywh"] for row in rows], np.float64).reshape(-1, 4)


def targets(protocol: Protocol, frame: int, kept: Sequence[Row]) -> list[Target]:
    """Truths of one frame: one in all, or one a class. Boxes too small to cover a pixel are no truth."""
    groups = defaultdict(list)
    for row in kept:
        groups[row["category"] if protocol.merge == "class" else "any"].append(row)
    found = [Target(frame, frozenset(row["category"] for row in rows), _boxes(rows)) for rows in groups.values()]
    drawn = [target for target in found if protocols.is_drawn(target.boxes, protocol.raster_px)]
    return sorted(drawn, key=lambda target: sorted(target.categories))


def _reason(rows: Sequence[Row]) -> str:
    """Why a frame with these annotations has no truth."""
    if _kept(rows):
        return "box smaller than a pixel"
    fallen = ", ".join(sorted({row["status"] for row in rows}))
    return f"no box kept: {fallen}" if fallen else "no box"


def select(protocol: Protocol, videos: dict[Key, str], annotated: dict[Key, list[Row]]) -> Selection:
    """Frames that have a map and a truth; the reason for each of the others."""
    selection = Selection([], [], [], Counter())
    for key, video in videos.items():
        rows = annotated.get(key, [])
        if found := targets(protocol, len(selection.keys), _kept(rows)):
            selection.keys.append(key)
            selection.videos.append(video)
            selection.targets.extend(found)
        else:
            selection.left_out[_reason(rows)] += 1
    return selection


def without_map(mapped: set[Key], annotated: dict[Key, list[Row]], clips: dict[str, Row]) -> int:
    """Number of boxed frames of the same test set (kind and split) that the run drew no map for."""
    set_of = {clip_id: (row["kind"], row["split"]) for clip_id, row in clips.items()}
    tested = {set_of[clip_id] for clip_id, _ in mapped}
    boxed = {key for key, rows in annotated.items() if _kept(rows)}
    return sum(set_of.get(clip_id) in tested for clip_id, _ in boxed - mapped)


def training_boxes(annotated: dict[Key, list[Row]], clips: dict[str, Row]) -> Doubles:
    """Kept boxes (k, 4) of the clips that are trained on."""
    trained = {clip_id for clip_id, row in clips.items() if row["split"] == "train"}
    return _boxes([row for key, rows in annotated.items() if key[0] in trained for row in _kept(rows)])


def figures(ious: Doubles, protocol: Protocol) -> Figures:
    """Scores of some frames: null where there is none."""
    iou_at, ciou_at = f"iou@{protocol.iou_at}", f"ciou@{protocol.ciou_at}"
    if not len(ious):
        return dict.fromkeys(("auc", iou_at, ciou_at, "mean_iou"))
    return {
        "auc": metrics.auc(ious),
        iou_at: metrics.ciou_at(ious, protocol.iou_at),
        ciou_at: metrics.ciou_at(ious, protocol.ciou_at),
        "mean_iou": float(ious.mean()),
    }


def intervals(ious: Doubles, videos: Sequence[str], protocol: Protocol, config: Scores) -> Figures:
    """95 % bootstrap interval, over videos, of each score: null where videos are too few to tell."""
    names = figures(np.empty(0), protocol)
    if not len(ious):
        return names
    rates = metrics.reached(ious, [protocol.iou_at, protocol.ciou_at]).T
    columns = [metrics.area_of_each(ious), *rates, ious]
    draw = {"resamples": config.bootstrap, "seed": config.seed}
    return {name: metrics.interval(column, videos, **draw) for name, column in zip(names, columns, strict=True)}


def _grouped(ious: Doubles, groups: Sequence[frozenset[str]], protocol: Protocol) -> dict[str, Figures]:
    """Figures of each group; a score counts in every group that it names."""
    picked = {name: ious[[name in group for group in groups]] for name in sorted(set().union(*groups))}
    return {name: {"truths": len(some)} | figures(some, protocol) for name, some in picked.items()}


def _mean(groups: dict[str, Figures], protocol: Protocol) -> Figures:
    """Mean over groups, each counting once however many frames it has."""
    names = figures(np.empty(0), protocol)
    return {name: float(np.mean([group[name] for group in groups.values()])) for name in names} if groups else names


def frame_ious(target_ious: Doubles, selection: Selection) -> Doubles:
    """Score of each frame: the mean over its truths (Eq. 7), shape (frames,)."""
    if not selection.keys:
        return np.empty(0)
    return metrics.ciou(target_ious, [target.frame for target in selection.targets], len(selection.keys))


def account(target_ious: Doubles, selection: Selection, protocol: Protocol, config: Scores) -> Figures:
    """All figures of one run or baseline: overall, with intervals, by class, and means over classes and videos."""
    ious = frame_ious(target_ious, selection)
    by_class = _grouped(target_ious, [target.categories for target in selection.targets], protocol)
    by_video = _grouped(ious, [frozenset([video]) for video in selection.videos], protocol)
    return figures(ious, protocol) | {
        "interval_95": intervals(ious, selection.videos, protocol, config),
        "per_class": by_class,
        "class_mean": _mean(by_class, protocol),
        "video_mean": _mean(by_video, protocol),
    }


def company(selection: Selection, shape: tuple[int, ...], training: Doubles, protocol: Protocol) -> dict[str, Doubles]:
    """IoU of every baseline with every truth; the oracle draws on a grid of the run's `shape` (h, w)."""
    boxes = [target.boxes for target in selection.targets]
    regions = baselines.regions(training, protocol.raster_px)
    scored = {name: baselines.region_ious(region, boxes) for name, region in regions.items()}
    return scored | {"oracle": baselines.oracle_ious(protocol, boxes, *shape)}


def counts(selection: Selection, training: Doubles) -> Figures:
    """How much was scored, and how much not."""
    return {
        "frames": len(selection.keys),
        "clips": len({clip_id for clip_id, _ in selection.keys}),
        "videos": len(set(selection.videos)),
        "boxes": sum(len(target.boxes) for target in selection.targets),
        "training_boxes": len(training),
        "left_out": dict(selection.left_out),
    }


def _frame_rows(selection: Selection, ious: Doubles) -> list[Row]:
    categories = [set[str]() for _ in selection.keys]
    for target in selection.targets:
        categories[target.frame] |= target.categories
    return [
        {"clip_id": clip_id, "video_id": video, "frame": frame, "categories": sorted(names), "iou": iou}
        for (clip_id, frame), video, names, iou in zip(selection.keys, selection.videos, categories, ious, strict=True)
    ]


def run(
    config: Scores, *, maps: Path, annotations: Path, index: Path, protocol: str, frames: Path, summary: Path
) -> None:
    """Score every map whose frame has a truth, and every baseline on the same frames."""
    rules = protocols.named(protocol)
    videos, drawn = read_maps(maps)
    annotated = by_frame(tables.read(annotations).to_pylist())
    clips = {row["clip_id"]: row for row in tables.read(index, ["clip_id", "kind", "split"]).to_pylist()}
    if strangers := sorted({clip_id for clip_id, _ in videos} - set(clips)):
        raise UserError(f"{maps}: clip {strangers[0]!r} is not in {index}; maps of indexed clips expected")

    selection = select(rules, videos, annotated)
    if missing := without_map(set(videos), annotated, clips):
        selection.left_out["no map"] = missing
    training = training_boxes(annotated, clips)

    place = {key: number for number, key in enumerate(videos)}
    picked = drawn[[place[selection.keys[target.frame]] for target in selection.targets]]
    scored = protocols.ious(rules, picked, [target.boxes for target in selection.targets])
    beside = company(selection, drawn.shape[1:], training, rules)

    tables.write_rows(frames, tables.SCORES, _frame_rows(selection, frame_ious(scored, selection)))
    content = counts(selection, training) | {
        "protocol": asdict(rules),
        "bootstrap": {"resamples": config.bootstrap, "seed": config.seed},
        "map_shape": drawn.shape[1:],
        "run": account(scored, selection, rules, config),
        "baselines": {name: account(ious, selection, rules, config) for name, ious in beside.items()},
        "baselines_left_out": {} if len(training) else {"mean-box": "no kept box in a training clip"},
    }
    with tables.whole(summary) as part:
        part.write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
