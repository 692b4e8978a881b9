"""Score the maps of a test set, and the baselines, frame by frame.

Pure functions: the stage `scores` and the command `spm score` read and write the files.
`spm.score.aggregation` turns the scores per frame into figures.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from spm.base.errors import UserError
from spm.boxes.formats.frames import Box, Form, MaskSource
from spm.score import baselines, map_streams, masks, metrics
from spm.score.map_streams import MapArray
from spm.score.masks import Maps
from spm.score.metrics import Doubles
from spm.score.protocols import EmptyTruth, Precision, Protocol

FrameKey = Any  # of any sortable type: (clip_id, frame), or the key that a benchmark gives


@dataclass(frozen=True)
class Truth:
    """The boxes of the frames of a test set."""

    boxes: Mapping[FrameKey, Sequence[Box]]
    form: Form = "xywh"
    annotators: int = 1  # boxes that make a pixel full truth; 2: a pixel in one box counts half
    masks: Mapping[FrameKey, MaskSource] = field(default_factory=dict)  # of frames that have one


@dataclass(frozen=True)
class Predictions:
    """The maps of some frames: one per frame, one per frame and class, or both."""

    keys: Sequence[FrameKey]
    videos: Sequence[tuple[str, ...]]  # of each frame: one video, or those of a mosaic
    frame_maps: MapArray | None = None  # (n, h, w); in memory, or in a file
    class_maps: MapArray | None = None  # (n, classes, h, w)
    classes: tuple[str, ...] = ()

    def parts(self) -> Iterator[tuple[slice, "Predictions"]]:
        """Ranges of frames, with their maps in memory: never more of them than of one range."""
        for part in map_streams.chunks(self.frame_maps, self.class_maps):
            numbers = range(part.start, part.stop)
            frame_maps, class_maps = (
                None if store is None else store[numbers]
                for store in (self.frame_maps, self.class_maps)
            )
            yield (
                part,
                Predictions(
                    self.keys[part], self.videos[part], frame_maps, class_maps, self.classes
                ),
            )

    def map_shape(self) -> tuple[int, int]:
        """Height and width of the maps."""
        maps = self.frame_maps if self.frame_maps is not None else self.class_maps
        return (maps.shape[-2], maps.shape[-1]) if maps is not None else (1, 1)

    def uses_class_maps(self, protocol: Protocol) -> bool:
        """Whether a protocol scores the class maps; otherwise it scores the one map per frame."""
        return protocol.class_aware and self.class_maps is not None


class Target(NamedTuple):
    """What one map is compared with: the boxes that the protocol unites to one truth."""

    frame: int  # index among the scored frames
    categories: frozenset[str]
    boxes: Doubles  # (k, 4)


@dataclass(frozen=True)
class Selection:
    """The frames that are scored, and why the others are not."""

    frames: list[int] = field(default_factory=list)  # indices into the predictions
    targets: list[Target] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)  # number of frames per reason

    def part(self, numbers: slice) -> "Selection":
        """The selected frames among a range of the predictions, counted from its start."""
        first, end = (bisect_left(self.frames, bound) for bound in (numbers.start, numbers.stop))
        start, stop = (
            bisect_left(self.targets, bound, key=lambda target: target.frame)
            for bound in (first, end)
        )
        return Selection(
            [number - numbers.start for number in self.frames[first:end]],
            [target._replace(frame=target.frame - first) for target in self.targets[start:stop]],
        )


@dataclass(frozen=True)
class FrameScores:
    """Scores of a run, or of a baseline."""

    target_ious: Doubles  # (targets,)
    ious: Doubles  # (frames,): the mean over a frame's targets, Eq. 7
    nsa: Doubles | None = None  # (frames,)
    pixel_ap: Doubles | None = None  # (frames,): the mean over a frame's targets
    pointing_game: Doubles | None = None  # (frames,): the same; None for a binary mask

    @classmethod
    def join(cls, parts: Sequence["FrameScores"]) -> "FrameScores":
        """The scores of the frames of all parts; None where a part has none."""
        return cls(
            np.concatenate([part.target_ious for part in parts]),
            np.concatenate([part.ious for part in parts]),
            _join([part.nsa for part in parts]),
            _join([part.pixel_ap for part in parts]),
            _join([part.pointing_game for part in parts]),
        )


def _join(columns: Sequence[Doubles | None]) -> Doubles | None:
    """All values, or None if a part has none."""
    present = [column for column in columns if column is not None]
    return np.concatenate(present) if len(present) == len(columns) else None


def targets(
    protocol: Protocol, frame: int, boxes: Sequence[Box], form: Form = "xywh"
) -> list[Target]:
    """Truths of one frame: one in all, or one per class, sorted by class.

    Boxes that cover no pixel are no truth, unless the protocol counts such frames as missed.
    """
    groups: dict[str, list[Box]] = defaultdict(list)
    for box in boxes:
        groups[box.category if protocol.class_aware else "any"].append(box)
    read_as = protocol.box_form or form
    found = []
    for _, group in sorted(groups.items()):
        visible = any(masks.covers(box.sides, protocol.raster_px, read_as) for box in group)
        if visible or protocol.empty_truth == EmptyTruth.MISSED:
            categories = frozenset(box.category for box in group)
            sides = np.array([box.sides for box in group], np.float64).reshape(-1, 4)
            found.append(Target(frame, categories, sides))
    return found


def select(
    protocol: Protocol,
    predictions: Predictions,
    truth: Truth,
    skip_reason: Callable[[FrameKey], str],
) -> Selection:
    """Frames that have a map and a truth, and the number of others per reason."""
    selection = Selection()
    for number, key in enumerate(predictions.keys):
        boxes = truth.boxes.get(key, ())
        frame_targets = targets(protocol, len(selection.frames), boxes, truth.form)
        if frame_targets:
            selection.frames.append(number)
            selection.targets.extend(frame_targets)
        else:
            selection.left_out["box smaller than a pixel" if boxes else skip_reason(key)] += 1
    return selection


def _target_maps(protocol: Protocol, predictions: Predictions, selection: Selection) -> Maps:
    """The map that each target is compared with, (targets, h, w)."""
    frames = [selection.frames[target.frame] for target in selection.targets]
    if not frames:
        return np.zeros((0, *predictions.map_shape()), np.float32)
    if predictions.uses_class_maps(protocol):
        assert predictions.class_maps is not None
        channels = [_channel(predictions, target) for target in selection.targets]
        return np.asarray(predictions.class_maps[frames, channels])
    if predictions.frame_maps is None:
        raise UserError(
            f"protocol {protocol.name} needs one map per frame, but there are only maps of classes"
        )
    return np.asarray(predictions.frame_maps[frames])


def _channel(predictions: Predictions, target: Target) -> int:
    """Index of the class map of a target."""
    (category,) = target.categories
    if category not in predictions.classes:
        raise UserError(
            f"no map of the sounding class {category!r}: there are maps of "
            f"{', '.join(predictions.classes)}"
        )
    return predictions.classes.index(category)


def score(
    protocols: Sequence[Protocol],
    predictions: Predictions,
    truth: Truth,
    skip_reason: Callable[[FrameKey], str] = lambda _: "no box",
) -> dict[str, tuple[Selection, FrameScores]]:
    """Select and score the frames under each of the protocols.

    Protocols that score the same frames, truths and pixels share one pass: every map is resized
    once for all of them.

    Parameters
    ----------
    skip_reason : callable
        Why a frame without a box that counts is left out.

    Returns
    -------
    The selected frames and their scores, by the name of the protocol.
    """
    passes = _passes(protocols)
    selections = {
        key: select(group[0], predictions, truth, skip_reason) for key, group in passes.items()
    }
    found: dict[Any, list[list[FrameScores]]] = {key: [] for key in passes}  # per part, protocol
    for numbers, loaded in predictions.parts():
        for key, group in passes.items():
            if (selection := selections[key].part(numbers)).frames:
                found[key].append(_score_pass(group, loaded, selection, truth))
    results: dict[str, tuple[Selection, FrameScores]] = {}
    for key, group in passes.items():
        parts = found[key] or [_score_pass(group, predictions, Selection(), truth)]
        for protocol, scores in zip(group, zip(*parts, strict=True), strict=True):
            results[protocol.name] = (selections[key], FrameScores.join(scores))
    return {protocol.name: results[protocol.name] for protocol in protocols}


def _score_pass(
    protocols: Sequence[Protocol], predictions: Predictions, selection: Selection, truth: Truth
) -> list[FrameScores]:
    """Scores under each of the protocols of one pass, in their order."""
    maps = _target_maps(protocols[0], predictions, selection)
    boxes = [target.boxes for target in selection.targets]
    overlap = masks.overlaps(protocols, maps, boxes, form=truth.form, annotators=truth.annotators)
    target_ious = overlap.iou
    swapped = overlap.swapped_precision(protocols[0].raster_px ** 2)
    pointing_game = _frame_means(overlap.hits, selection)
    levels = {protocol.nsa_at for protocol in protocols}
    nsa = {level: _nsa(protocols[0], level, predictions, selection) for level in levels}
    scores = []
    for number, protocol in enumerate(protocols):
        ious = target_ious[:, number]
        aps = None
        if protocol.precision == Precision.SWAPPED:
            aps = _frame_means(swapped[:, number], selection)
        elif protocol.precision == Precision.PIXELS:
            aps = _frame_means(_pixel_ap(protocol, maps, boxes, truth), selection)
        frame_ious, frame_nsa = _frame_means(ious, selection), nsa[protocol.nsa_at]
        scores.append(FrameScores(ious, frame_ious, frame_nsa, aps, pointing_game))
    return scores


def _frame_means(values: Doubles, selection: Selection) -> Doubles:
    """Mean over the targets of each frame, Eq. 7."""
    if not selection.frames:
        return np.empty(0)
    owners = [target.frame for target in selection.targets]
    return metrics.ciou(values, owners, len(selection.frames))


def _nsa(
    protocol: Protocol, level: float | None, predictions: Predictions, selection: Selection
) -> Doubles | None:
    """No-sounding area of each frame.

    None if the protocol has none, there are no class maps, or every class with a map sounds in some
    frame.
    """
    if level is None or not predictions.uses_class_maps(protocol) or not selection.frames:
        return None
    assert predictions.class_maps is not None
    sounding = np.zeros((len(selection.frames), len(predictions.classes)), bool)
    for target in selection.targets:
        sounding[target.frame, _channel(predictions, target)] = True
    if sounding.all(1).any():
        return None
    silent_maps = predictions.class_maps[selection.frames][~sounding]
    inactive = np.zeros(sounding.shape)
    inactive[~sounding] = masks.inactive_fractions(silent_maps, protocol.raster_px, level)
    return metrics.nsa(inactive, sounding)


def _pixel_ap(protocol: Protocol, maps: Maps, boxes: Sequence[Doubles], truth: Truth) -> Doubles:
    """Pixel AP of each target."""
    parts = [np.empty(0)]
    for start in range(0, len(maps), masks.BATCH):
        batch = slice(start, start + masks.BATCH)
        form = protocol.box_form or truth.form
        rasters = masks.rasters(boxes[batch], protocol.raster_px, form)
        parts.append(metrics.pixel_ap(masks.resized(protocol, maps[batch]), rasters))
    return np.concatenate(parts)


def score_baselines(
    protocols: Sequence[Protocol],
    results: Mapping[str, tuple[Selection, FrameScores]],
    map_shape: tuple[int, int],
    training_boxes: Doubles,
    truth: Truth,
) -> dict[str, dict[str, FrameScores]]:
    """Regions and oracle on the frames that `score` selected, by protocol and baseline.

    The oracle draws on the grid `map_shape` of the run. Baselines that are networks have maps of
    their own, which `score` compares like those of a run.
    """
    found: dict[str, dict[str, FrameScores]] = {}
    for group in _passes(protocols).values():
        first, (selection, _) = group[0], results[group[0].name]
        boxes = [target.boxes for target in selection.targets]
        regions = baselines.regions(training_boxes, first.raster_px)
        form = first.box_form or truth.form
        ious = baselines.region_ious([*regions.values()], boxes, form)
        of_regions = {
            name: _from_targets(column, selection)
            for name, column in zip(regions, ious.T, strict=True)
        }
        oracle = baselines.oracle_ious(group, boxes, *map_shape, form=truth.form)
        for protocol, column in zip(group, oracle.T, strict=True):
            found[protocol.name] = of_regions | {"oracle": _from_targets(column, selection)}
    return found


def _from_targets(ious: Doubles, selection: Selection) -> FrameScores:
    """Scores of which only the IoU of each target is known."""
    return FrameScores(ious, _frame_means(ious, selection))


def _passes(protocols: Sequence[Protocol]) -> dict[Any, list[Protocol]]:
    """Protocols that score the same frames, truths and pixels."""
    passes: dict[Any, list[Protocol]] = defaultdict(list)
    for protocol in protocols:
        passes[protocol.pass_key].append(protocol)
    return passes
