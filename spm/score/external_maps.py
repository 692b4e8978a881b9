"""Read maps that another system made, and score them: what `spm score` does.

Three forms of files are read:

    maps.npz    `keys` (n,) and `maps`, (n, h, w), or (n, classes, h, w) with their `classes`;
                if the second axis is clusters, `cluster_of_class` has the cluster of each class
    a folder    .npy files, each with the map (h, w) or the maps (classes, h, w) of one frame; the
                frame's key is the path of the file in the folder, without .npy
    .parquet    `map`, `height`, `width`, and `key`, or `video_id` and `time_s`; with maps of
                classes also `category`
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from spm.base.errors import UserError
from spm.boxes.formats.frames import BenchmarkBoxes, frame_key
from spm.score import aggregation, evaluation
from spm.score.evaluation import FrameScores, Predictions, Truth
from spm.score.masks import Maps
from spm.score.protocols import Protocol

KEYS_SHOWN = 3  # in a message
MAPS = "maps"  # the system's name in a table of scores; the others are baselines


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
    """Read maps; `classes` names their second axis if the file does not.

    Raises
    ------
    UserError
        If the file has none of the three forms, a key is repeated, or a value is not finite.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder of maps")
    try:
        stored = _reader(path)(path, tuple(classes))
    except (ValueError, KeyError, OSError) as error:
        raise UserError(
            f"{path}: can't be read as maps ({error}); expected .npz, .parquet or a folder of .npy"
        ) from error
    if fault := _fault(stored):
        raise UserError(f"{path}: {fault}")
    return stored


def _reader(path: Path) -> Callable[[Path, tuple[str, ...]], ExternalMaps]:
    """The reader of a file's or folder's form."""
    if path.is_dir():
        return _read_folder
    return _read_parquet if path.suffix == ".parquet" else _read_npz


def _read_npz(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    with np.load(path, allow_pickle=False) as file:
        if missing := sorted({"keys", "maps"} - set(file.files)):
            raise UserError(
                f"{path}: no array named {' or '.join(missing)}: it holds {', '.join(file.files)}"
            )
        keys, maps = [str(key) for key in file["keys"]], np.asarray(file["maps"], np.float32)
        if maps.ndim == 4 and "cluster_of_class" in file.files:
            maps = maps[:, np.asarray(file["cluster_of_class"])]
        if "classes" in file.files and not classes:
            classes = tuple(str(name) for name in file["classes"])
    return ExternalMaps(keys, maps, classes)


def _read_folder(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    files = sorted(path.rglob("*.npy"))
    if not files:
        raise UserError(f"{path}: no .npy file in this folder")
    maps = [np.load(file, allow_pickle=False).astype(np.float32) for file in files]
    for file, array in zip(files, maps, strict=True):
        if array.shape != maps[0].shape:
            raise UserError(
                f"{file}: shape {array.shape}; expected that of the first map, {maps[0].shape}"
            )
    keys = [file.relative_to(path).with_suffix("").as_posix() for file in files]
    return ExternalMaps(keys, np.stack(maps), classes)


def _read_parquet(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    table = pq.read_table(path).to_pandas()
    if "key" not in table:
        frames = zip(table["video_id"], table["time_s"], strict=True)
        table["key"] = [frame_key(video, time_s) for video, time_s in frames]
    shape = (int(table["height"].iloc[0]), int(table["width"].iloc[0]))
    table["map"] = [np.asarray(values, np.float32).reshape(shape) for values in table["map"]]
    if "category" not in table or table["category"].isna().all():
        return ExternalMaps(table["key"].tolist(), np.stack(table["map"]), classes)
    # one row per frame, one column per class
    wide = table.dropna(subset=["category"]).pivot(index="key", columns="category", values="map")
    for category in wide:
        if wide[category].isna().any():
            key = wide.index[wide[category].isna()][0]
            raise UserError(f"{path}: {key}: no map of {category}; expected one of each class")
    maps = np.stack([np.stack(row) for row in wide.to_numpy()])
    return ExternalMaps(list(wide.index), maps, tuple(wide.columns))


def _fault(stored: ExternalMaps) -> str:
    """What is wrong with the maps; empty if nothing is."""
    maps, keys = stored.maps, stored.keys
    if maps.ndim not in (3, 4):
        return f"maps of shape {maps.shape}; expected (n, h, w) or (n, classes, h, w)"
    if len(keys) != len(maps):
        return f"{len(keys)} keys for {len(maps)} maps; expected one key per map"
    if len(set(keys)) < len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        return f"key {repeated!r} is repeated; expected each key once"
    if maps.ndim == 4 and len(stored.classes) != maps.shape[1]:
        return (
            f"{maps.shape[1]} maps per frame and {len(stored.classes)} class names: "
            "name every class with --classes, in the order of the maps"
        )
    finite = np.isfinite(maps).all(tuple(range(1, maps.ndim)))
    if not finite.all():
        return f"{keys[int(finite.argmin())]}: NaN or infinity; expected finite numbers"
    return ""


def match_to_truth(
    stored: ExternalMaps, benchmark: BenchmarkBoxes, *, partial: bool = False
) -> tuple[Predictions, Truth, list[str]]:
    """Match maps with the frames of a benchmark by their keys.

    Returns
    -------
    The maps of the frames that the benchmark has, the truth, and a note for each kind of key that
    only the maps or only the boxes have.

    Raises
    ------
    UserError
        If boxed frames have no map and `partial` does not allow it: scores of a subset are not
        comparable with published ones.
    """
    place = {_benchmark_key(key, benchmark): number for number, key in enumerate(stored.keys)}
    boxed = {key for key, frame in benchmark.frames.items() if frame.boxes}
    surplus, missing = sorted(place.keys() - benchmark.frames.keys()), sorted(boxed - place.keys())
    if not place.keys() & boxed:
        raise UserError(
            f"no map has the key of a boxed frame: the maps have {_shown(place)}; "
            f"the boxes have {_shown(boxed)}"
        )
    if missing and not partial:
        raise UserError(
            f"{len(missing)} of {len(boxed)} boxed frames have no map: {_shown(missing)}. Scores of"
            " a subset are not comparable with published ones. Pass --partial to score it anyway."
        )
    unmatched = {
        "boxed frames without a map": missing,
        "maps without a frame in the boxes": surplus,
    }
    notes = [f"{len(keys)} {noun}: {_shown(keys)}" for noun, keys in unmatched.items() if keys]
    return _predictions(stored, place, benchmark), _truth(benchmark), notes


def _benchmark_key(key: str, benchmark: BenchmarkBoxes) -> str:
    """The benchmark's form of a key: the name of a .npy file may lack the image's .jpg."""
    if key not in benchmark.frames and f"{key}.jpg" in benchmark.frames:
        return f"{key}.jpg"
    return key


def _shown(keys: Iterable[str]) -> str:
    """The first keys, for a message."""
    names = sorted(keys)
    return ", ".join(names[:KEYS_SHOWN]) + (", …" if len(names) > KEYS_SHOWN else "")


def _predictions(
    stored: ExternalMaps, place: dict[str, int], benchmark: BenchmarkBoxes
) -> Predictions:
    """The maps of the benchmark's frames, sorted by key."""
    keys = sorted(place.keys() & benchmark.frames.keys())
    maps = stored.maps[[place[key] for key in keys]]
    videos = [(benchmark.frames[key].video_id,) for key in keys]
    if maps.ndim == 3:
        return Predictions(keys, videos, frame_maps=maps)
    return Predictions(keys, videos, class_maps=maps, classes=stored.classes)


def _truth(benchmark: BenchmarkBoxes) -> Truth:
    boxes = {key: frame.boxes for key, frame in benchmark.frames.items()}
    return Truth(boxes, benchmark.form, benchmark.annotators)


def scores(
    predictions: Predictions,
    truth: Truth,
    protocols: Sequence[Protocol],
    *,
    resamples: int,
    seed: int,
) -> Iterator[list[ScoreRow]]:
    """Every figure of the maps and of the baselines on the same frames, a list per protocol."""
    results = evaluation.score(protocols, predictions, truth)
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
        videos = [predictions.videos[number] for number in selection.frames]
        rows = []
        for system, system_scores in systems.items():
            bounds = aggregation.intervals(system_scores, videos, protocol, resamples, seed)
            rows += _rows(protocol, system, system_scores, bounds)
        yield rows


def _rows(
    protocol: Protocol, system: str, frame_scores: FrameScores, bounds: aggregation.Figures
) -> list[ScoreRow]:
    frames = len(frame_scores.ious)
    return [
        ScoreRow(protocol.name, system, metric, value, bounds[metric], frames)
        for metric, value in aggregation.figures(frame_scores, protocol).items()
    ]


def csv_rows(rows: Iterable[ScoreRow]) -> pd.DataFrame:
    """`protocol,metric,value,frames`; a name of the baseline comes before its metric."""
    records: list[dict[str, Any]] = [
        {
            "protocol": row.protocol,
            "metric": row.metric if row.system == MAPS else f"{row.system} {row.metric}",
            "value": row.value,
            "frames": row.frames,
        }
        for row in rows
    ]
    return pd.DataFrame(records, columns=["protocol", "metric", "value", "frames"])
