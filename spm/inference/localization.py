"""What `spm localize` finds in a video: heat maps, what was heard, and rows per second.

One scale holds for heat, box and score: a map's value is the network's confidence, from 0 to 1,
that the sound comes from this place. It is not stretched to the brightest place of a frame or of a
video, so that values of two frames can be compared. The score of a frame is the maximum of its
heat. A frame has a box if its score reaches the threshold.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from spm.corpus.media.contents import Media

BOX_THRESHOLD = 0.25  # score from which a frame has a box
BOX_EXTENT = 0.5  # share of a frame's maximum; cells above it belong to the box
SILENT_DB = -60.0  # re full scale; a quieter second counts as silent
CLASSES_PER_SECOND, CLASSES_PER_VIDEO = 3, 5  # most audio classes that are named
LOWEST_CLASS_SCORE = 0.1  # classes with lower scores are not named
SAME_OBJECT = 0.3  # share of the smaller box in the other one, from which both show one object
NAMED_SHARE = 0.8  # of the frame's score, that the hottest category must have
SECOND_SHARE = 0.5  # of the hottest category's score, that other categories must have
SIDES = ("x", "y", "w", "h")
# Methods that scale each map from its own minimum to its own maximum.
RELATIVE_METHODS = {
    "attention", "dmc", "ez_vsl", "iterative_contrastive", "lcbm", "lvs", "object_prior",
    "sound_of_pixels", "sspl",
}  # fmt: skip

Maps = NDArray[np.float32]


@dataclass(frozen=True)
class NetworkInfo:
    """Which network made the maps."""

    name: str  # zero-shot, or of the run, of the file, or OWNER/NAME of a hub
    method: str
    digest: str  # SHA-256 of the weights, as `sha256sum network.safetensors` prints it
    crop: int  # px: frames are resized to squares of this size

    def __str__(self) -> str:
        return f"{self.name} (method {self.method}, SHA-256 {self.digest[:12]})"


@dataclass(frozen=True)
class ClassScores:
    """What an audio tagger hears: c classes with a score each."""

    names: tuple[str, ...]  # (c,)
    values: Maps  # (n, c), in [0, 1], of the second of each frame
    classes_of: dict[str, tuple[int, ...]]  # numbers of the classes of each category

    def is_heard(self, category: str, frame: int) -> bool:
        """Whether one of a category's own classes is heard."""
        classes = self.classes_of.get(category)
        return classes is None or self.values[frame, classes].max() >= LOWEST_CLASS_SCORE

    def top(self, scores: Maps, most: int) -> list[dict[str, Any]]:
        """The classes with the highest of the scores (c,), at most `most`, highest first."""
        order = np.argsort(-scores, kind="stable")[:most].tolist()
        return [
            {"class": self.names[n], "score": round(float(scores[n]), 3)}
            for n in order
            if scores[n] >= LOWEST_CLASS_SCORE
        ]


@dataclass(frozen=True)
class Localization:
    """The maps of one video: n frames, several per second, with a map each."""

    video: Path
    size: tuple[int, int]  # width and height of the video in px, as players show it
    network: NetworkInfo
    maps_per_s: int
    times_s: NDArray[np.float64]  # (n,) time of each frame in the video
    maps: Maps  # (n, h, w), in [0, 1]
    by_category: dict[str, Maps]  # maps of each category, if the network is class-aware
    frames: list[bytes]  # n square JPEG images
    rms_db: NDArray[np.float64]  # (n,) level of the frame's second, re full scale
    class_scores: ClassScores | None = None  # None: the network has no audio classes
    generic: frozenset[str] = frozenset()  # categories whose maps show any object
    threshold: float = BOX_THRESHOLD
    media: Media | None = None  # the tracks of the video
    name: str = ""  # of the video in the table of maps; empty: that of its file

    @cached_property
    def audible(self) -> NDArray[np.bool_]:
        """Whether there is sound in the second of each frame, (n,)."""
        return self.rms_db >= SILENT_DB

    @cached_property
    def heat(self) -> Maps:
        """The maps, with zeros in silent seconds: (n, h, w)."""
        return self.maps * self.audible[:, None, None]

    def seconds(self) -> pd.DataFrame:
        """A row per second: `rows` as a table."""
        table = pd.DataFrame(self.rows())
        numbers = ["peak_x", "peak_y", *SIDES]
        return table.astype(dict.fromkeys(numbers, float))

    def rows(self) -> list[dict[str, Any]]:
        """A row per second, of the frame with the highest score; `UNITS` describes the columns."""
        return [self.row(frame) for frame in self.strongest_frames()]

    def strongest_frames(self) -> Iterator[int]:
        """Number of the frame with the highest score of each second."""
        starts, scores = np.floor(self.times_s).astype(int), self.heat.max((1, 2))
        for second in np.unique(starts):
            frames = np.flatnonzero(starts == second)
            yield int(frames[scores[frames].argmax()])

    def row(self, frame: int) -> dict[str, Any]:
        """What is known about a frame; places and sizes are fractions of its width and height."""
        heat = self.heat[frame]
        score = float(heat.max())
        row = {
            "start_s": int(self.times_s[frame]),
            "time_s": float(self.times_s[frame]),
            "rms_db": float(self.rms_db[frame]),
            "audible": bool(self.audible[frame]),
            "score": score,
            **(peak(heat) if score else {"peak_x": None, "peak_y": None}),
            **(box(heat) if self._is_hot(score) else dict.fromkeys(SIDES)),
        }
        if self.class_scores:
            row["heard"] = self.class_scores.top(
                self.class_scores.values[frame], CLASSES_PER_SECOND
            )
        if self.by_category or self.class_scores:
            objects = self.objects(frame)
            row["category"] = objects[0]["category"] if objects else None
            row["objects"] = objects
        return row

    def objects(self, frame: int) -> list[dict[str, Any]]:
        """Boxes and scores of the categories that explain the heat of a frame, hottest first.

        The hottest category must have nearly the frame's score: otherwise something else makes the
        sound, and nothing is named. Others must be heard under their own names (a bus, not just a
        vehicle), in another place. Generic categories are named only where no other one is, and
        where they are heard under their own names.
        """
        lowest = NAMED_SHARE * float(self.heat[frame].max())
        specific = self.by_category.keys() - self.generic
        generic = self.by_category.keys() & self.generic
        for group in (specific, {name for name in generic if self._is_heard(name, frame)}):
            found = self._hot_categories(frame, group)
            if found and found[0]["score"] >= lowest:
                return found
        return []

    def _hot_categories(self, frame: int, names: Set[str]) -> list[dict[str, Any]]:
        maps = {name: self.by_category[name][frame] for name in names}
        scores = {name: float(maps[name].max()) * bool(self.audible[frame]) for name in names}
        lowest = SECOND_SHARE * max(scores.values(), default=0.0)
        found: list[dict[str, Any]] = []
        for name in sorted(names, key=lambda name: (-scores[name], name)):
            if not self._is_hot(scores[name]) or scores[name] < lowest:
                break
            place = box(maps[name])
            if not found or self._is_another(name, place, frame, found):
                found.append({"category": name, "score": scores[name], **place})
        return found

    def _is_another(
        self, name: str, place: dict[str, float], frame: int, found: list[dict[str, Any]]
    ) -> bool:
        """Whether a category is one more source: heard itself, and not at the place of another."""
        return self._is_heard(name, frame) and not any(
            _overlap(place, other) > SAME_OBJECT for other in found
        )

    def _is_heard(self, category: str, frame: int) -> bool:
        return self.class_scores is None or self.class_scores.is_heard(category, frame)

    def audio_classes(self) -> list[dict[str, Any]]:
        """What was heard in the video: audio classes with their mean scores over audible seconds.

        Empty if the network has no audio classes, or all seconds are silent.
        """
        if self.class_scores is None or not self.audible.any():
            return []
        mean = self.class_scores.values[self.audible].mean(0)
        return self.class_scores.top(mean, CLASSES_PER_VIDEO)

    def _is_hot(self, score: float) -> bool:
        return score > 0 and score >= self.threshold


def _overlap(first: dict[str, Any], second: dict[str, Any]) -> float:
    """Share of the smaller one of two boxes that is in the other one."""
    shared = 1.0
    for start, side in (("x", "w"), ("y", "h")):
        end = min(first[start] + first[side], second[start] + second[side])
        shared *= max(end - max(first[start], second[start]), 0)
    return float(shared / min(first["w"] * first["h"], second["w"] * second["h"]))


def peak(heat: Maps) -> dict[str, float]:
    """Center of the cell with the highest value, as fractions of the frame."""
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    height, width = heat.shape
    return {"peak_x": (float(column) + 0.5) / width, "peak_y": (float(row) + 0.5) / height}


def box(heat: Maps) -> dict[str, float]:
    """The box around the cells above half of the map's maximum that are connected with its peak.

    >>> box(np.float32([[0, 0, 0, 0.7], [0, 1, 0, 0], [0, 0.6, 0, 0]]))
    {'x': 0.25, 'y': 0.3333333333333333, 'w': 0.25, 'h': 0.6666666666666666}
    """
    labels, _ = ndimage.label(heat > BOX_EXTENT * heat.max())
    inside = labels == labels.flat[heat.argmax()]
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    height, width = heat.shape
    return {
        "x": float(columns[0]) / width,
        "y": float(rows[0]) / height,
        "w": float(columns[-1] + 1 - columns[0]) / width,
        "h": float(rows[-1] + 1 - rows[0]) / height,
    }
