"""Figures of a system on frames that are shown with their own sounds and with other sounds.

Pure functions after `read`: the stage `scores` reads the maps and writes the figures. Every figure
is a function of means over frames, so that its interval is that of resampled means.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spm.base.statuses import NegativeUse, PlayedSound
from spm.boxes.formats.frames import Box
from spm.corpus import ids
from spm.score import map_streams, map_tables, masks, metrics, negatives, uncertainty
from spm.score.map_streams import MapArray
from spm.score.masks import Maps
from spm.score.metrics import Doubles, Floats, Mask
from spm.score.negatives import Detections
from spm.score.uncertainty import Draws
from spm.score.workflow_tables import FrameKey

Means = Callable[[NDArray[Any]], Doubles]  # (n, k) → (resamples, k): means over frames
Figures = dict[str, Any]
POSITIVE_FIGURES = ("ciou", "auc", "loc_acc", "maximum")


class NegativeKey(NamedTuple):
    """A frame of a clip with a sound."""

    use: str
    sound: str
    clip_id: str
    frame: int

    def __str__(self) -> str:
        """The frame in an error."""
        return f"clip {self.clip_id!r}, frame {self.frame}, {self.sound}"


class SoundMaps(NamedTuple):
    """The maps of frames with one sound, sorted by frame."""

    keys: list[FrameKey]
    videos: list[tuple[str, ...]]
    maps: MapArray  # (n, h, w); in memory, or in a file

    def of_frames(self, numbers: Sequence[int]) -> "SoundMaps":
        """Some of the frames; maps of a file stay there."""
        maps = map_streams.select(self.maps, numbers)
        assert maps is not None
        keys = [self.keys[number] for number in numbers]
        return SoundMaps(keys, [self.videos[number] for number in numbers], maps)


@dataclass(frozen=True)
class SystemMaps:
    """The maps of a system by sound: of the frames that are scored, and of those for thresholds."""

    test: Mapping[PlayedSound, SoundMaps]
    threshold: Mapping[PlayedSound, SoundMaps]


class FrameMeasures(NamedTuple):
    """What each frame with one sound has: (n,) each."""

    maximum: Doubles
    iou: Doubles  # of the foreground with the frame's boxes
    share: Doubles  # of the image that is foreground
    same: Doubles  # IoU of the foregrounds with this and with the own sound


def read(path: Path) -> SystemMaps:
    """The maps of one system.

    Raises
    ------
    UserError
        If the table is not one of maps; `map_tables.read` lists the checks.
    """
    table = map_tables.read(
        path,
        lambda row: NegativeKey(row["use"], row["sound"], row["clip_id"], row["frame"]),
        NegativeKey._fields,
    )
    keys = [*table.frames]
    found: dict[str, dict[PlayedSound, SoundMaps]] = {use.value: {} for use in NegativeUse}
    assert table.frame_maps is not None
    for use, sound in product(NegativeUse, PlayedSound):
        numbers = [number for number, key in enumerate(keys) if key[:2] == (use, sound)]
        if not numbers:
            continue
        videos = [ids.split_ids(table.frames[keys[number]]["video_id"]) for number in numbers]
        frames = [FrameKey(keys[number].clip_id, keys[number].frame) for number in numbers]
        maps = map_streams.select(table.frame_maps, numbers)
        assert maps is not None
        found[use][sound] = SoundMaps(frames, videos, maps)
    return SystemMaps(found[NegativeUse.TEST], found[NegativeUse.THRESHOLD])


def negative_sounds(maps: Iterable[PlayedSound]) -> list[PlayedSound]:
    """Those of the sounds that nothing in the frames makes."""
    return [sound for sound in maps if sound.is_negative]


def choose_threshold(maps: SystemMaps) -> tuple[float, str]:
    """The universal threshold of a system, and whether it is chosen on `threshold` or `test`.

    It is chosen on test frames only if there are no others.
    """
    for name, sounds in (("threshold", maps.threshold), ("test", maps.test)):
        maxima = [
            negatives.maximum(maps)
            for sound in negative_sounds(sounds)
            for (maps,) in _parts(sounds[sound].maps)
        ]
        if maxima:
            return negatives.universal_threshold(np.concatenate(maxima)), name
    return 0.5, "no frame"


def on_common_frames(
    sounds: Mapping[PlayedSound, SoundMaps], boxes: Mapping[FrameKey, Sequence[Box]]
) -> dict[PlayedSound, SoundMaps]:
    """The maps of the frames that have boxes and a map with every sound."""
    common = set(boxes).intersection(*(part.keys for part in sounds.values()))
    found = {}
    for sound, part in sounds.items():
        numbers = [number for number, key in enumerate(part.keys) if key in common]
        found[sound] = part.of_frames(numbers)
    return found


def _parts(*stores: MapArray) -> Iterator[list[Maps]]:
    """The maps of the same frames of all stores, a range of frames at a time."""
    for numbers in map_streams.chunks(*stores):
        yield [np.asarray(store[np.arange(numbers.start, numbers.stop)]) for store in stores]


def _sides(boxes: Sequence[Box]) -> Doubles:
    """The sides of boxes, (k, 4)."""
    return np.array([box.sides for box in boxes], np.float64)


def measure(
    sounds: Mapping[PlayedSound, SoundMaps],
    boxes: Mapping[FrameKey, Sequence[Box]],
    threshold: float,
) -> dict[PlayedSound, FrameMeasures]:
    """Measure every map of common frames under one threshold."""
    protocol, found = negatives.protocol(threshold), {}
    keys, _, own = sounds[PlayedSound.OWN]
    sides = [_sides(boxes[key]) for key in keys]
    for sound, (_, _, every) in sounds.items():
        parts, start = [], 0
        for own_maps, maps in _parts(own, every):
            part = FrameMeasures(
                negatives.maximum(maps),
                masks.ious(protocol, maps, sides[start : start + len(maps)]),
                negatives.foreground_share(maps, threshold),
                negatives.map_ious(own_maps, maps, threshold),
            )
            parts.append(part)
            start += len(maps)
        columns = zip(*parts, strict=True)
        found[sound] = FrameMeasures(*(np.concatenate(column) for column in columns))
    return found


def _mean(values: Floats | Mask, means: Means) -> Doubles:
    """Mean of values of frames, (n,) → (resamples,)."""
    return means(np.asarray(values, np.float64)[:, None])[:, 0]


def positive_figures(measured: FrameMeasures, means: Means) -> dict[str, Doubles]:
    """Figures of frames whose own sound is heard, alone or in a mixture."""
    located = np.asarray(measured.iou > 0.5, np.float64)
    values = (measured.iou, metrics.auc_per_frame(measured.iou), located, measured.maximum)
    return {name: _mean(v, means) for name, v in zip(POSITIVE_FIGURES, values, strict=True)}


def negative_figures(
    own: FrameMeasures, others: Sequence[FrameMeasures], threshold: float, means: Means
) -> dict[str, Doubles]:
    """Figures of frames with one negative sound, or means over several sounds.

    Average precision and F1 count the frames with their own sounds, and those with each other one.
    """

    def mean(values: Callable[[FrameMeasures], Floats | Mask]) -> Doubles:
        return np.asarray(np.mean([_mean(values(other), means) for other in others], 0))

    ciou, auc = _mean(own.iou, means), _mean(metrics.auc_per_frame(own.iou), means)
    share = mean(lambda other: other.share)
    inactive = mean(lambda other: negatives.inactive_auc_per_frame(other.share))
    return {
        "fpr": mean(lambda other: other.maximum > threshold),
        "pia": share,
        "auc_pia": inactive,
        "f": negatives.harmonic_mean(ciou, 1 - share),
        "f_auc": negatives.harmonic_mean(auc, inactive),
        "ap": _detection(own, others, negatives.ap_thresholds, means, _area),
        "ap_slavc": _detection(own, others, negatives.ap_thresholds, means, _area_of_slavc),
        "max_f1": _detection(own, others, negatives.f1_thresholds, means, _largest_f1),
        "g_miou": negatives.harmonic_mean(ciou, 1 - mean(lambda other: other.iou)),
        "same": mean(lambda other: other.same),
        "maximum": mean(lambda other: other.maximum),
    }


def _area(precisions: Doubles, recalls: Doubles) -> Doubles:
    return negatives.area_under_precision(precisions, recalls)


def _area_of_slavc(precisions: Doubles, recalls: Doubles) -> Doubles:
    return negatives.area_under_precision(precisions, recalls, from_zero=False)


def _largest_f1(precisions: Doubles, recalls: Doubles) -> Doubles:
    return np.asarray(negatives.f1(precisions, recalls).max(-1))


def _detection(
    own: FrameMeasures,
    others: Sequence[FrameMeasures],
    thresholds_of: Callable[[Doubles], Doubles],
    means: Means,
    figure: Callable[[Doubles, Doubles], Doubles],
) -> Doubles:
    """A figure of precision and recall over confidence, (resamples,)."""
    thresholds = thresholds_of(np.concatenate([own.maximum, *(each.maximum for each in others)]))
    if not len(thresholds):
        return _mean(np.zeros(len(own.iou)), means)
    counts = [np.zeros((len(own.iou), len(thresholds)), np.uint8) for _ in range(3)]
    for each in (own, *others):
        sounding = np.full(len(each.iou), each is own)
        detections = Detections(each.iou, each.maximum, sounding)
        for total, part in zip(
            counts, negatives.detection_counts(detections, thresholds), strict=True
        ):
            total += part
    return figure(*negatives.precision_recall(*(means(total) for total in counts)))


def figures(
    measured: Mapping[PlayedSound, FrameMeasures], threshold: float, means: Means
) -> Figures:
    """All figures of a system, by sound; `all` joins the negative sounds."""
    own, found = measured[PlayedSound.OWN], {}
    for sound in measured:
        if not sound.is_negative:
            found[sound.value] = positive_figures(measured[sound], means)
        else:
            found[sound.value] = negative_figures(own, [measured[sound]], threshold, means)
    others = [measured[sound] for sound in negative_sounds(measured)]
    if others:
        found["all"] = negative_figures(own, others, threshold, means)
    return found


def summarize(
    maps: SystemMaps,
    boxes: Mapping[FrameKey, Sequence[Box]],
    threshold: float | None,
    *,
    resamples: int,
    seed: int,
) -> Figures:
    """Figures of a system with 95 % bootstrap intervals over videos.

    Parameters
    ----------
    maps : SystemMaps
    boxes : mapping
        The boxes that count, of the frames that have such boxes.
    threshold : float or None
        Of all maps; None: `choose_threshold` chooses it.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    The threshold, where it comes from, the numbers of frames and videos, and `sounds`: figures and
    `interval_95` of each sound. Without frames, `sounds` is empty.
    """
    level, chosen_on = (threshold, "stated") if threshold is not None else choose_threshold(maps)
    sounds = on_common_frames(maps.test, boxes) if PlayedSound.OWN in maps.test else {}
    keys, videos = sounds[PlayedSound.OWN][:2] if sounds else ([], [])
    about = {
        "threshold": level,
        "threshold_from": chosen_on,
        "frames": len(keys),
        "videos": len({name for names in videos for name in names}),
    }
    if not keys:
        return about | {"sounds": {}}
    measured = measure(sounds, boxes, level)
    values = figures(measured, level, lambda columns: columns.mean(0, keepdims=True))
    draws = uncertainty.draw(videos, resamples=resamples, seed=seed)
    resampled = _resampled(measured, level, draws)
    found = {}
    for sound, of_sound in values.items():
        intervals = {name: _interval(resampled, sound, name) for name in of_sound}
        numbers = {name: float(value[0]) for name, value in of_sound.items()}
        found[sound] = numbers | {"interval_95": intervals}
    return about | {"sounds": found}


def _resampled(
    measured: Mapping[PlayedSound, FrameMeasures], threshold: float, draws: Draws | None
) -> Figures | None:
    if draws is None:
        return None
    return figures(measured, threshold, lambda columns: uncertainty.column_means(columns, draws))


def _interval(resampled: Figures | None, sound: str, name: str) -> tuple[float, float] | None:
    return uncertainty.quantiles(resampled[sound][name]) if resampled else None
