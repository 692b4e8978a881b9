"""Maps held against truths under one protocol: scores of frames, their uncertainty, and trivial baselines beside them.

Pure: the stage `scores` and the command `spm score` read the files.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from spm.base.config import UserError
from spm.boxes.benchmarks import Box
from spm.score import baselines, masks, metrics, uncertainty
from spm.score.masks import Maps
from spm.score.metrics import Doubles
from spm.score.protocols import Form, Protocol

Key = Any  # of a frame: whatever its files call it, and that sorts
Figures = dict[str, Any]


@dataclass(frozen=True)
class Truth:
    """What the frames of a test set show, and how it is written."""

    boxes: Mapping[Key, Sequence[Box]]
    form: Form = "xywh"
    annotators: int = (
        1  # boxes that make a pixel certain; 2: a consensus, where one box counts half
    )


@dataclass(frozen=True)
class Predictions:
    """The maps of some frames: one a frame, one of each class, or both."""

    keys: Sequence[Key]
    videos: Sequence[tuple[str, ...]]  # that each frame is made of: one, but for mosaics
    single: Maps | None = None  # (n, h, w)
    by_class: Maps | None = None  # (n, classes, h, w)
    classes: tuple[str, ...] = ()

    def shape(self) -> tuple[int, int]:
        """Height and width of the maps."""
        found = self.single if self.single is not None else self.by_class
        return found.shape[-2:] if found is not None else (1, 1)

    def tells_classes(self, protocol: Protocol) -> bool:
        """Whether a protocol looks at the maps of the classes; all others look at the one map."""
        return protocol.class_aware and self.by_class is not None


class Target(NamedTuple):
    """What one map is held against: the boxes that the protocol unites to one truth."""

    frame: int  # number of its frame among those scored
    categories: frozenset[str]
    boxes: Doubles  # (k, 4)


@dataclass(frozen=True)
class Selection:
    """The frames that are scored, and why the others are not."""

    frames: list[int] = field(default_factory=list)  # among those drawn
    targets: list[Target] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)  # frames by reason


@dataclass(frozen=True)
class Scored:
    """What came out of one run, or of one baseline."""

    target_ious: Doubles  # (targets,)
    ious: Doubles  # (frames,): the mean over a frame's truths, Eq. 7
    nsa: Doubles | None = None  # (frames,)
    precision: Doubles | None = None  # (frames,): pixel AP, the mean over a frame's truths


def targets(
    protocol: Protocol, frame: int, boxes: Sequence[Box], form: Form = "xywh"
) -> list[Target]:
    """Truths of one frame: one in all, or one a class.

    Boxes too small to cover a pixel are no truth, unless the protocol counts such frames as missed.
    """
    groups: dict[str, list[Box]] = defaultdict(list)
    for box in boxes:
        groups[box.category if protocol.class_aware else "any"].append(box)
    read = protocol.boxes or form
    return [
        Target(frame, frozenset(box.category for box in some), _sides(some))
        for _, some in sorted(groups.items())
        if protocol.empty == "missed"
        or any(masks.covers(box.sides, protocol.raster_px, read) for box in some)
    ]


def _sides(boxes: Sequence[Box]) -> Doubles:
    return np.array([box.sides for box in boxes], np.float64).reshape(-1, 4)


def select(
    protocol: Protocol, drawn: Predictions, truth: Truth, why: Callable[[Key], str]
) -> Selection:
    """Frames that have a map and a truth; the reason for each of the others."""
    selection = Selection()
    for number, key in enumerate(drawn.keys):
        boxes = truth.boxes.get(key, ())
        if found := targets(protocol, len(selection.frames), boxes, truth.form):
            selection.frames.append(number)
            selection.targets.extend(found)
        else:
            selection.left_out["box smaller than a pixel" if boxes else why(key)] += 1
    return selection


def _held_against(protocol: Protocol, drawn: Predictions, selection: Selection) -> Maps:
    """The map of each target, (targets, h, w)."""
    frames = [selection.frames[target.frame] for target in selection.targets]
    if not frames:
        return np.zeros((0, *drawn.shape()), np.float32)
    if drawn.tells_classes(protocol):
        assert drawn.by_class is not None
        return drawn.by_class[frames, [_place(drawn, target) for target in selection.targets]]
    if drawn.single is None:
        raise UserError(
            f"protocol {protocol.name} holds one map against a frame; these are maps of classes"
        )
    return drawn.single[frames]


def _place(drawn: Predictions, target: Target) -> int:
    (category,) = target.categories
    if category not in drawn.classes:
        raise UserError(
            f"no map of the sounding class {category!r}: there are maps of {', '.join(drawn.classes)}"
        )
    return drawn.classes.index(category)


def score(
    protocols: Sequence[Protocol],
    drawn: Predictions,
    truth: Truth,
    why: Callable[[Key], str] = lambda _: "no box",
) -> dict[str, tuple[Selection, Scored]]:
    """Select and score the frames under each of several protocols.

    Protocols that look at the same frames and truths share one pass: every map is enlarged once for all of them.

    Parameters
    ----------
    why : callable
        What to say of a frame without a box that counts.

    Returns
    -------
    The frames that each protocol scores and what came out, by its name.
    """
    alike: dict[Any, list[Protocol]] = defaultdict(list)
    for protocol in protocols:
        alike[protocol.sees].append(protocol)
    found: dict[str, tuple[Selection, Scored]] = {}
    for some in alike.values():
        selection = select(some[0], drawn, truth, why)
        scored = _score_alike(some, drawn, selection, truth)
        found |= {
            protocol.name: (selection, one) for protocol, one in zip(some, scored, strict=True)
        }
    return {protocol.name: found[protocol.name] for protocol in protocols}


def _score_alike(
    protocols: Sequence[Protocol], drawn: Predictions, selection: Selection, truth: Truth
) -> Iterator[Scored]:
    maps, boxes = (
        _held_against(protocols[0], drawn, selection),
        [target.boxes for target in selection.targets],
    )
    overlap = masks.overlaps(protocols, maps, boxes, form=truth.form, annotators=truth.annotators)
    swapped = overlap.swapped_precision(protocols[0].raster_px ** 2)
    silence = {
        protocol.nsa_at: _nsa(protocol, drawn, selection)
        for protocol in {one.nsa_at: one for one in protocols}.values()
    }
    for protocol, ious, aps in zip(protocols, overlap.iou.T, swapped.T, strict=True):
        precision = (
            _precision(protocol, maps, boxes, truth) if protocol.precision != "swapped" else aps
        )
        yield Scored(
            ious,
            _by_frame(ious, selection),
            silence[protocol.nsa_at],
            None if precision is None else _by_frame(precision, selection),
        )


def _by_frame(values: Doubles, selection: Selection) -> Doubles:
    if not selection.frames:
        return np.empty(0)
    return metrics.ciou(
        values, [target.frame for target in selection.targets], len(selection.frames)
    )


def _nsa(protocol: Protocol, drawn: Predictions, selection: Selection) -> Doubles | None:
    """No-sounding area of each frame.

    None where the protocol has none, maps do not tell classes apart, or in some frame every class with a map sounds.
    """
    if protocol.nsa_at is None or not drawn.tells_classes(protocol) or not selection.frames:
        return None
    assert drawn.by_class is not None
    sounding = np.zeros((len(selection.frames), len(drawn.classes)), bool)
    for target in selection.targets:
        sounding[target.frame, _place(drawn, target)] = True
    if sounding.all(1).any():
        return None
    return metrics.mean_over_silent(
        masks.dark(protocol, drawn.by_class[selection.frames]), sounding
    )


def _precision(
    protocol: Protocol, maps: Maps, boxes: Sequence[Doubles], truth: Truth
) -> Doubles | None:
    """Pixel AP of each target."""
    if protocol.precision == "none":
        return None
    parts = [np.empty(0)]
    for start in range(0, len(maps), masks.BATCH):
        part = slice(start, start + masks.BATCH)
        drawn = [
            masks.raster(some, protocol.raster_px, protocol.boxes or truth.form)
            for some in boxes[part]
        ]
        parts.append(metrics.pixel_ap(masks.enlarged(protocol, maps[part]), np.stack(drawn)))
    return np.concatenate(parts)


def columns(scored: Scored, protocol: Protocol) -> dict[str, Doubles]:
    """What each frame adds to each figure: every figure is the mean of its column."""
    rates = metrics.success_matrix(
        scored.ious, [protocol.iou_at, protocol.ciou_at], beyond=protocol.beyond
    ).T
    found = {
        "auc": metrics.auc_per_frame(
            scored.ious, 1 / protocol.auc_steps * np.arange(protocol.auc_steps + 1)
        ),
        f"iou@{protocol.iou_at}": rates[0].astype(float),
        f"ciou@{protocol.ciou_at}": rates[1].astype(float),
        "mean_iou": scored.ious,
        "nsa": scored.nsa,
        "pixel_ap": scored.precision,
    }
    return {name: column for name, column in found.items() if column is not None}


def names(protocol: Protocol) -> list[str]:
    """The figures that every run and baseline has."""
    return ["auc", f"iou@{protocol.iou_at}", f"ciou@{protocol.ciou_at}", "mean_iou"]


def figures(scored: Scored, protocol: Protocol) -> Figures:
    """Scores of some frames: null where there is none."""
    if not len(scored.ious):
        return dict.fromkeys(names(protocol))
    return {name: float(column.mean()) for name, column in columns(scored, protocol).items()}


def from_ious(ious: Doubles) -> Scored:
    """Frames with one truth each, of which nothing but the IoU is known."""
    return Scored(ious, ious)


def intervals(
    scored: Scored, videos: Sequence[tuple[str, ...]], protocol: Protocol, resamples: int, seed: int
) -> Figures:
    """95 % bootstrap interval, over videos, of each score: null where videos are too few to tell."""
    if not len(scored.ious):
        return dict.fromkeys(names(protocol))
    return {
        name: uncertainty.interval(column, videos, resamples=resamples, seed=seed)
        for name, column in columns(scored, protocol).items()
    }


def _grouped(
    ious: Doubles, groups: Sequence[frozenset[str]], protocol: Protocol
) -> dict[str, Figures]:
    """Figures of each group; a score counts in every group that it names."""
    picked = {
        name: ious[[name in group for group in groups]] for name in sorted(set().union(*groups))
    }
    return {
        name: {"truths": len(some)} | figures(from_ious(some), protocol)
        for name, some in picked.items()
    }


def _mean(groups: dict[str, Figures], protocol: Protocol) -> Figures:
    """Mean over groups, each counting once however many frames it has."""
    return {
        name: float(np.mean([group[name] for group in groups.values()])) if groups else None
        for name in names(protocol)
    }


def summarize(
    scored: Scored,
    drawn: Predictions,
    selection: Selection,
    protocol: Protocol,
    *,
    resamples: int,
    seed: int,
) -> Figures:
    """All figures of one run or baseline: overall, with intervals, by class, and means over classes and videos."""
    videos = [drawn.videos[number] for number in selection.frames]
    by_class = _grouped(
        scored.target_ious, [target.categories for target in selection.targets], protocol
    )
    by_video = _grouped(scored.ious, [frozenset(several) for several in videos], protocol)
    return figures(scored, protocol) | {
        "interval_95": intervals(scored, videos, protocol, resamples, seed),
        "per_class": by_class,
        "class_mean": _mean(by_class, protocol),
        "video_mean": _mean(by_video, protocol),
    }


def score_baselines(
    selection: Selection,
    shape: tuple[int, int],
    training: Doubles,
    protocol: Protocol,
    truth: Truth,
) -> dict[str, Scored]:
    """Every baseline on the same truths; the oracle draws on a grid of the run's `shape` (h, w)."""
    boxes = [target.boxes for target in selection.targets]
    read = {"form": protocol.boxes or truth.form}
    regions = baselines.regions(training, protocol.raster_px)
    scored = {
        name: baselines.region_ious(region, boxes, **read) for name, region in regions.items()
    }
    scored["oracle"] = baselines.oracle_ious(protocol, boxes, *shape, form=truth.form)
    return {name: Scored(ious, _by_frame(ious, selection)) for name, ious in scored.items()}
