"""Maps that were made elsewhere, read with their keys and scored like our own: what `spm score` does.

maps.npz     `keys` (n,); `maps` (n, h, w), or (n, classes, h, w) with `classes`; where the maps are of clusters,
`cluster_of_class` too: class i is drawn by cluster `cluster_of_class[i]`
a folder     a map (h, w), or (classes, h, w), a .npy, whose name below the folder is its key
.parquet     `map`, `height`, `width`, and `key`, or `video_id` and `time_s`; `category` for maps of classes
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from spm.base.config import UserError
from spm.boxes.benchmarks import BenchmarkBoxes, key_of
from spm.score import evaluation
from spm.score.evaluation import Predictions, Scored, Truth
from spm.score.masks import Maps
from spm.score.protocols import Protocol, named

NAMED = 3  # keys that a message shows


@dataclass(frozen=True)
class ExternalMaps:
    """Maps by their keys: (n, h, w), or (n, classes, h, w) with the names of the classes."""

    keys: list[str]
    maps: Maps
    classes: tuple[str, ...] = ()


class ScoreRow(NamedTuple):
    """One figure."""

    protocol: str
    system: str  # "maps", or the name of a baseline
    metric: str
    value: float
    interval: tuple[float, float] | None  # 95 % bootstrap over videos
    frames: int


def read(path: Path, classes: Sequence[str] = ()) -> ExternalMaps:
    """Read maps; `classes` names their second axis where the file does not.

    Raises
    ------
    UserError
        Naming what is wrong: the form, a shape, a key that stands twice, a value that is not finite.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder of maps")
    try:
        stored = (_folder if path.is_dir() else _parquet if path.suffix == ".parquet" else _npz)(
            path, tuple(classes)
        )
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"{path}: not maps in a form that is known ({error})") from error
    if fault := _fault(stored):
        raise UserError(f"{path}: {fault}")
    return stored


def _npz(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    with np.load(path, allow_pickle=False) as file:
        if lacking := {"keys", "maps"} - set(file.files):
            raise UserError(
                f"{path}: no {' and no '.join(sorted(lacking))} in it; it holds {', '.join(file.files)}"
            )
        keys, maps = [str(key) for key in file["keys"]], np.asarray(file["maps"], np.float32)
        if maps.ndim == 4 and "cluster_of_class" in file.files:
            maps = maps[:, np.asarray(file["cluster_of_class"])]
        named = (
            tuple(str(name) for name in file["classes"])
            if "classes" in file.files and not classes
            else classes
        )
    return ExternalMaps(keys, maps, named)


def _folder(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    files = sorted(path.rglob("*.npy"))
    maps = [np.load(file, allow_pickle=False).astype(np.float32) for file in files]
    odd = next(
        (file for file, one in zip(files, maps, strict=True) if one.shape != maps[0].shape), None
    )
    if odd or not files:
        raise UserError(
            f"{odd or path}: " + ("another shape than the first map's" if odd else "no .npy in it")
        )
    return ExternalMaps(
        [file.relative_to(path).with_suffix("").as_posix() for file in files],
        np.stack(maps),
        classes,
    )


def _parquet(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    table = pq.read_table(path).to_pandas()
    if "key" not in table:
        pairs = zip(table["video_id"], table["time_s"], strict=True)
        table["key"] = [key_of(video, time_s) for video, time_s in pairs]
    shape = (int(table["height"].iloc[0]), int(table["width"].iloc[0]))
    table["map"] = [np.asarray(values, np.float32).reshape(shape) for values in table["map"]]
    if "category" not in table or table["category"].isna().all():
        return ExternalMaps(table["key"].tolist(), np.stack(table["map"]), classes)
    wide = table.dropna(subset=["category"]).pivot(index="key", columns="category", values="map")
    if wide.isna().any(axis=None):
        key, category = next((key, name) for name in wide for key in wide.index[wide[name].isna()])
        raise UserError(f"{path}: {key}: no map of {category}; one of each class expected")
    return ExternalMaps(
        list(wide.index), np.stack([np.stack(row) for row in wide.to_numpy()]), tuple(wide.columns)
    )


def _fault(stored: ExternalMaps) -> str:
    maps, keys = stored.maps, stored.keys
    if maps.ndim not in (3, 4):
        return f"maps of shape {maps.shape}; (n, h, w) or (n, classes, h, w) expected"
    if len(keys) != len(maps):
        return f"{len(keys)} keys for {len(maps)} maps"
    if len(set(keys)) < len(keys):
        return f"key {next(key for key in keys if keys.count(key) > 1)!r} stands twice"
    if maps.ndim == 4 and len(stored.classes) != maps.shape[1]:
        return f"{maps.shape[1]} maps a frame and {len(stored.classes)} names of classes: name each, in their order"
    finite = np.isfinite(maps).all(tuple(range(1, maps.ndim)))
    return (
        ""
        if finite.all()
        else f"{keys[int(finite.argmin())]}: NaN or infinity; finite numbers expected"
    )


def match_to_truth(
    stored: ExternalMaps, published: BenchmarkBoxes, *, partial: bool = False
) -> tuple[Predictions, Truth, list[str]]:
    """Bind maps to the frames of a truth by their keys.

    Returns
    -------
    The maps of known frames, the truth, and a note for each kind of key that only one of them has.

    Raises
    ------
    UserError
        If boxed frames have no map, unless `partial` allows it: scores of a part compare with nobody's.
    """
    place = {_known(key, published): number for number, key in enumerate(stored.keys)}
    boxed = {key for key, frame in published.frames.items() if frame.boxes}
    surplus, missing = sorted(place.keys() - published.frames.keys()), sorted(boxed - place.keys())
    if not place.keys() & boxed:
        raise UserError(
            f"no map has the key of a boxed frame: maps {_some(place)}; boxes {_some(boxed)}"
        )
    if missing and not partial:
        raise UserError(
            f"{len(missing)} of {len(boxed)} boxed frames have no map: {_some(missing)}; scores of a part compare with"
            " nobody's: --partial allows them"
        )
    kinds = {"boxed frames without a map": missing, "maps without a frame in the boxes": surplus}
    notes = [f"{len(keys)} {what}: {_some(keys)}" for what, keys in kinds.items() if keys]
    return _drawn(stored, place, published), _truth(published), notes


def _known(key: str, published: BenchmarkBoxes) -> str:
    """A key as the boxes have it: a file's name may have lost the picture's ending."""
    return key if key in published.frames or f"{key}.jpg" not in published.frames else f"{key}.jpg"


def _some(keys: Iterable[str]) -> str:
    several = sorted(keys)
    return ", ".join(several[:NAMED]) + (", …" if len(several) > NAMED else "")


def _drawn(stored: ExternalMaps, place: dict[str, int], published: BenchmarkBoxes) -> Predictions:
    keys = sorted(place.keys() & published.frames.keys())
    maps, videos = (
        stored.maps[[place[key] for key in keys]],
        [(published.frames[key].video_id,) for key in keys],
    )
    if maps.ndim == 3:
        return Predictions(keys, videos, single=maps)
    return Predictions(keys, videos, by_class=maps, classes=stored.classes)


def _truth(published: BenchmarkBoxes) -> Truth:
    boxes = {key: frame.boxes for key, frame in published.frames.items()}
    return Truth(boxes, published.form, published.annotators)


def scores(
    drawn: Predictions, truth: Truth, protocols: Sequence[Protocol], *, resamples: int, seed: int
) -> Iterator[list[ScoreRow]]:
    """Every figure of the maps, and of the trivial baselines on the same frames, a list a protocol."""
    for name, (selection, mine) in evaluation.score(protocols, drawn, truth).items():
        if not selection.frames:
            raise UserError(f"protocol {name}: no frame has both a map and a box: nothing to score")
        rules = named(name)
        shown = {"maps": mine} | evaluation.score_baselines(
            selection, drawn.shape(), np.empty((0, 4)), rules, truth
        )
        videos = [drawn.videos[number] for number in selection.frames]
        yield [
            line
            for system, scored in shown.items()
            for line in _lines(rules, system, scored, videos, resamples=resamples, seed=seed)
        ]


def _lines(
    protocol: Protocol,
    system: str,
    scored: Scored,
    videos: Sequence[tuple[str, ...]],
    *,
    resamples: int,
    seed: int,
) -> list[ScoreRow]:
    bounds = evaluation.intervals(scored, videos, protocol, resamples, seed)
    return [
        ScoreRow(protocol.name, system, metric, value, bounds[metric], len(scored.ious))
        for metric, value in evaluation.figures(scored, protocol).items()
    ]


def csv_rows(lines: Iterable[ScoreRow]) -> pd.DataFrame:
    """`protocol,metric,value,frames` in full precision; a baseline's metric has its name before it."""
    rows: list[dict[str, Any]] = [
        {
            "protocol": line.protocol,
            "metric": line.metric if line.system == "maps" else f"{line.system} {line.metric}",
            "value": line.value,
            "frames": line.frames,
        }
        for line in lines
    ]
    return pd.DataFrame(rows, columns=["protocol", "metric", "value", "frames"])
