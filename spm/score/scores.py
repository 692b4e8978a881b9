"""Scores of one run's maps under each protocol, with their uncertainty and their company.

python -m spm.score.scores --config '{}' --maps maps.parquet --annotations annotations.parquet --index index.parquet
    --out scores
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import NonNegativeInt, PositiveInt, field_validator

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.boxes.benchmarks import Box
from spm.corpus import ids
from spm.score import evaluation, protocols
from spm.score.evaluation import Predictions, Scored, Selection, Truth
from spm.score.masks import Maps
from spm.score.metrics import Doubles
from spm.score.protocols import Protocol

Key = tuple[str, int]  # clip_id, frame
Row = dict[str, Any]


class Scores(Section):
    """Which protocols every run is scored under, and how its uncertainty is drawn."""

    protocols: tuple[str, ...] = (
        "spm-paper",
        "dsol-solo",
        "ez-vsl",
        "sspl",
        "adaptive",
    )  # names in docs/protocols.md
    bootstrap: PositiveInt = 1000  # resamples of the videos
    seed: NonNegativeInt = 0  # of the resampling

    @field_validator("protocols")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in protocols.PROTOCOLS]:
            raise ValueError(
                f"unknown {unknown[0]!r}: any of {', '.join(protocols.PROTOCOLS)} expected"
            )
        return names


def read_maps(path: Path) -> Predictions:
    """Maps of every frame by (clip_id, frame), sorted; of each class too where the run tells classes apart.

    Raises
    ------
    UserError
        If a map appears twice or lacks, has another size than the first, does not fill it, or holds a value that is
        not finite.
    """
    table = tables.read(path).sort_by(
        [(name, "ascending") for name in ("category", "clip_id", "frame")]
    )
    rows = table.drop_columns(["map"]).to_pylist()
    maps = [values.values.to_numpy() for values in table["map"]]
    shape = (rows[0]["height"], rows[0]["width"]) if rows else (1, 1)
    channels: dict[str | None, dict[Key, Maps]] = defaultdict(dict)
    videos: dict[Key, str] = {}
    for row, values in zip(rows, maps, strict=True):
        key, channel = (row["clip_id"], row["frame"]), channels[row["category"]]
        if fault := "two maps; one expected" if key in channel else _fault(row, values, shape):
            raise UserError(f"{path}: clip {key[0]!r}, frame {key[1]}: {fault}")
        channel[key], videos[key] = values, row["video_id"]
    return _drawn(path, channels, dict(sorted(videos.items())), shape)


def _drawn(
    path: Path,
    channels: dict[str | None, dict[Key, Maps]],
    videos: dict[Key, str],
    shape: tuple[int, int],
) -> Predictions:
    for category, channel in channels.items():
        if lacking := sorted(videos.keys() - channel.keys()):
            clip_id, frame = lacking[0]
            of = f"of {category}" if category else "of the frame as a whole"
            raise UserError(
                f"{path}: clip {clip_id!r}, frame {frame}: no map {of}; one of each expected"
            )
    stacks = {name: np.array([maps[key] for key in videos], np.float32).reshape(-1, *shape)
              for name, maps in channels.items()}  # fmt: skip
    classes = tuple(sorted(name for name in stacks if name is not None))
    by_class = np.stack([stacks[name] for name in classes], axis=1) if classes else None
    single = stacks.get(None) if stacks else np.zeros((0, 1, 1), np.float32)
    return Predictions(
        list(videos), [ids.split_ids(video) for video in videos.values()], single, by_class, classes
    )


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


def boxes_of(rows: Sequence[Row]) -> list[Box]:
    """The boxes of one frame that count."""
    return [
        Box(row["category"], (row["x"], row["y"], row["w"], row["h"]))
        for row in rows
        if row["status"] == "kept"
    ]


def reason(rows: Sequence[Row]) -> str:
    """Why a frame with these annotations, none of which is kept, has no truth."""
    fallen = ", ".join(sorted({row["status"] for row in rows}))
    return f"no box kept: {fallen}" if fallen else "no box"


def without_map(mapped: set[Key], boxed: set[Key], clips: dict[str, Row]) -> int:
    """Number of boxed frames of the same test set (kind and split) that the run drew no map for."""
    set_of = {clip_id: (row["kind"], row["split"]) for clip_id, row in clips.items()}
    tested = {set_of[clip_id] for clip_id, _ in mapped}
    return sum(set_of.get(clip_id) in tested for clip_id, _ in boxed - mapped)


def training_boxes(boxes: dict[Key, list[Box]], clips: dict[str, Row]) -> Doubles:
    """Kept boxes (k, 4) of the clips that are trained on."""
    trained = {clip_id for clip_id, row in clips.items() if row["split"] == "train"}
    sides = [box.sides for key, some in boxes.items() if key[0] in trained for box in some]
    return np.array(sides, np.float64).reshape(-1, 4)


def not_scorable(
    drawn: Predictions, boxes: dict[Key, list[Box]], clips: dict[str, Row]
) -> list[str]:
    """Categories of the clips with maps that no box of the whole truth names: nothing can be said of them."""
    shown = {name for clip_id in {key[0] for key in boxes | dict.fromkeys(drawn.keys)} if clip_id in clips
             for name in clips[clip_id]["categories"] or ()}  # fmt: skip
    return sorted(shown - {box.category for some in boxes.values() for box in some})


def counts(drawn: Predictions, selection: Selection, training: Doubles, missing: int) -> Row:
    """How much was scored, and how much not; `missing` is how many boxed frames have no map."""
    keys = [drawn.keys[number] for number in selection.frames]
    return {
        "frames": len(keys),
        "clips": len({clip_id for clip_id, _ in keys}),
        "videos": len({video for number in selection.frames for video in drawn.videos[number]}),
        "boxes": sum(len(target.boxes) for target in selection.targets),
        "training_boxes": len(training),
        "left_out": selection.left_out | ({"no map": missing} if missing else {}),
    }


def _frame_rows(drawn: Predictions, selection: Selection, scored: Scored) -> list[Row]:
    categories = [set[str]() for _ in selection.frames]
    for target in selection.targets:
        categories[target.frame] |= target.categories
    keys = [drawn.keys[number] for number in selection.frames]
    videos = [ids.join_ids(drawn.videos[number]) for number in selection.frames]
    extra = {"nsa": scored.nsa, "pixel_ap": scored.precision}
    return [
        {
            "clip_id": key[0],
            "video_id": video,
            "frame": key[1],
            "categories": sorted(heard),
            "iou": iou,
        }
        | {name: float(column[n]) for name, column in extra.items() if column is not None}
        for n, (key, video, heard, iou) in enumerate(
            zip(keys, videos, categories, scored.ious, strict=True)
        )
    ]


def _summary(
    config: Scores,
    rules: Protocol,
    drawn: Predictions,
    selection: Selection,
    scored: Scored,
    beside: dict[str, Scored],
) -> Row:
    """Every figure of a run and of the baselines beside it, and by which rules and draws."""
    figures = {
        name: evaluation.summarize(
            one, drawn, selection, rules, resamples=config.bootstrap, seed=config.seed
        )
        for name, one in {"run": scored, **beside}.items()
    }
    return {
        "protocol": asdict(rules),
        "bootstrap": {"resamples": config.bootstrap, "seed": config.seed},
        "map_shape": drawn.shape(),
        "run": figures.pop("run"),
        "baselines": figures,
    }


def run(config: Scores, *, maps: Path, annotations: Path, index: Path, out: Path) -> None:
    """Score every map whose frame has a truth, and every baseline on the same frames: two files a protocol in `out`."""
    drawn, annotated = read_maps(maps), by_frame(tables.read(annotations).to_pylist())
    table = tables.read(index, ["clip_id", "kind", "split", "categories"])
    clips = {row["clip_id"]: row for row in table.to_pylist()}
    mapped: set[Any] = set(drawn.keys)
    if strangers := sorted({clip_id for clip_id, _ in mapped} - set(clips)):
        raise UserError(
            f"{maps}: clip {strangers[0]!r} is not in {index}; maps of indexed clips expected"
        )

    boxes = {key: some for key, rows in annotated.items() if (some := boxes_of(rows))}
    truth, training = Truth(boxes), training_boxes(boxes, clips)
    missing = without_map(mapped, set(boxes), clips)
    of_all = {
        "not_scorable": not_scorable(drawn, boxes, clips),
        "baselines_left_out": {}
        if len(training)
        else {"mean-box": "no kept box in a training clip"},
    }
    wanted = [protocols.named(name) for name in config.protocols]
    found = evaluation.score(wanted, drawn, truth, lambda key: reason(annotated.get(key, [])))
    for rules in wanted:
        selection, scored = found[rules.name]
        beside = evaluation.score_baselines(selection, drawn.shape(), training, rules, truth)
        content = of_all | counts(drawn, selection, training, missing)
        content |= _summary(config, rules, drawn, selection, scored, beside)
        tables.write_rows(
            out / f"{rules.name}.parquet", tables.SCORES, _frame_rows(drawn, selection, scored)
        )
        with tables.atomic_write(out / f"{rules.name}.json") as part:
            part.write_text(
                json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n",
                encoding="utf-8",
            )


if __name__ == "__main__":
    stage.main(run)
