"""Scores of one run's maps on one test set under each protocol, with intervals and baselines.

python -m spm.score.scores --config '{}' --maps maps.parquet --annotations annotations.parquet
    --index index.parquet --baseline-maps object-prior.parquet zero-shot.parquet --out scores

A table of --baseline-maps has the maps of a network that is a baseline, and the name of this
baseline.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import Field

from spm.base import json_file, schemas, stage, tables
from spm.base.config import UNIQUE, Section, Seed
from spm.base.statuses import PretrainedBaseline
from spm.boxes.formats.frames import Box
from spm.corpus import ids
from spm.score import aggregation, evaluation, negative_scores, protocols, workflow_tables
from spm.score.evaluation import FrameScores, Predictions, Selection, Truth
from spm.score.map_tables import TableRow
from spm.score.metrics import Doubles
from spm.score.protocols import Protocol, ProtocolName
from spm.score.workflow_tables import FrameKey


class Scores(Section):
    """How every run is scored: the protocols, and the bootstrap behind each interval."""

    protocols: tuple[ProtocolName, ...] = Field(
        ("spm-paper", "dsol-solo", "ez-vsl", "sspl", "adaptive"),
        min_length=1,
        json_schema_extra=UNIQUE,
        description="Protocols under which every run is scored; docs/protocols.md describes each.",
    )
    pretrained_baselines: tuple[PretrainedBaseline, ...] = Field(
        (PretrainedBaseline.OBJECT_PRIOR, PretrainedBaseline.ZERO_SHOT),
        json_schema_extra=UNIQUE,
        description="Baselines that are pretrained networks, which learn nothing from the corpus."
        " object-prior: strength of the features of an ImageNet network, whatever the sound is;"
        " zero-shot: objects that an ImageNet network sees and an AudioSet network hears. []: none,"
        " so that their weights are not needed.",
    )
    bootstrap: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Number of resamples of the videos behind each 95 % interval.",
    )
    seed: Seed = Field(0, description="Random seed of the resampling.")
    negative_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Threshold of all maps for the figures on silence, noise and off-screen sound."
        " null: that of the run at which three quarters of its maps of clips with such sounds are"
        " empty (negatives.threshold_clips), the universal threshold of Juanola et al.",
    )


def skip_reason(rows: Sequence[TableRow]) -> str:
    """Why a frame with these annotations, none of which is kept, has no truth."""
    statuses = ", ".join(sorted({row["status"] for row in rows}))
    return f"no box kept: {statuses}" if statuses else "no box"


def count_without_map(
    mapped: set[FrameKey], boxed: set[FrameKey], clips: dict[str, TableRow]
) -> int:
    """Number of boxed frames of the same test set (kind and split) that have no map."""
    group = {clip_id: (row["kind"], row["split"]) for clip_id, row in clips.items()}
    tested = {group[clip_id] for clip_id, _ in mapped}
    return sum(group.get(clip_id) in tested for clip_id, _ in boxed - mapped)


def not_scorable(
    predictions: Predictions, boxes: dict[FrameKey, list[Box]], clips: dict[str, TableRow]
) -> list[str]:
    """Categories of the clips that no kept box has: they can't be scored."""
    clip_ids = {clip_id for clip_id, _ in [*boxes, *predictions.keys]}
    categories: set[str] = set()
    for clip_id in clip_ids & clips.keys():
        categories |= set(clips[clip_id]["categories"] or ())
    boxed: set[str] = set()
    for frame_boxes in boxes.values():
        boxed |= {box.category for box in frame_boxes}
    return sorted(categories - boxed)


def counts(
    predictions: Predictions, selection: Selection, training: Doubles, without_map: int
) -> TableRow:
    """How much was scored, and how much was not; `without_map` boxed frames have no map."""
    keys = [predictions.keys[number] for number in selection.frames]
    videos: set[str] = set()
    for number in selection.frames:
        videos |= set(predictions.videos[number])
    return {
        "frames": len(keys),
        "clips": len({clip_id for clip_id, _ in keys}),
        "videos": len(videos),
        "boxes": sum(len(target.boxes) for target in selection.targets),
        "training_boxes": len(training),
        "left_out": selection.left_out | ({"no map": without_map} if without_map else {}),
    }


def frame_rows(
    predictions: Predictions, selection: Selection, scores: FrameScores
) -> list[TableRow]:
    """Rows of the table of scores, one per scored frame."""
    categories = [set[str]() for _ in selection.frames]
    for target in selection.targets:
        categories[target.frame] |= target.categories
    rows = []
    for n, number in enumerate(selection.frames):
        clip_id, frame = predictions.keys[number]
        row = {
            "clip_id": clip_id,
            "video_id": ids.join_ids(predictions.videos[number]),
            "frame": frame,
            "categories": sorted(categories[n]),
            "iou": scores.ious[n],
        }
        if scores.nsa is not None:
            row["nsa"] = float(scores.nsa[n])
        if scores.pointing_game is not None:
            row["pointing_game"] = float(scores.pointing_game[n])
        if scores.pixel_ap is not None:
            row["pixel_ap"] = float(scores.pixel_ap[n])
        rows.append(row)
    return rows


def _summary(
    config: Scores,
    protocol: Protocol,
    predictions: Predictions,
    selection: Selection,
    systems: dict[str, FrameScores],
) -> TableRow:
    """Figures of the run and of the baselines, and the protocol and bootstrap behind them."""
    bootstrap = {"resamples": config.bootstrap, "seed": config.seed}
    draws = aggregation.draw_videos(predictions, selection, **bootstrap)
    figures = {
        name: aggregation.summarize(scores, predictions, selection, protocol, draws)
        for name, scores in systems.items()
    }
    differences = {
        name: aggregation.differences(systems["run"], scores, protocol, draws)
        for name, scores in systems.items()
        if name not in ("run", "oracle")  # the oracle knows the truth
    }
    return {
        "protocol": asdict(protocol),
        "bootstrap": bootstrap,
        "map_shape": predictions.map_shape(),
        "run": figures.pop("run"),
        "baselines": figures,
        "differences": differences,
    }


def negative_figures(
    config: Scores, boxes: dict[FrameKey, list[Box]], maps: Path | None, baselines: Sequence[Path]
) -> TableRow | None:
    """Figures of the run and of the networks on negative sounds; None without such maps."""
    if maps is None:
        return None
    found = {}
    for path in (maps, *baselines):
        found[path] = negative_scores.summarize(
            negative_scores.read(path),
            boxes,
            config.negative_threshold,
            resamples=config.bootstrap,
            seed=config.seed,
        )
    return {"run": found.pop(maps), "baselines": {path.stem: each for path, each in found.items()}}


def _common(
    predictions: Predictions,
    boxes: dict[FrameKey, list[Box]],
    clips: dict[str, TableRow],
    training: Doubles,
) -> TableRow:
    """The part of the summaries that is the same under every protocol."""
    left_out = {} if len(training) else {"mean-box": "no kept box in a training clip"}
    return {
        "not_scorable": not_scorable(predictions, boxes, clips),
        "baselines_left_out": left_out,
    }


def run(
    config: Scores,
    *,
    maps: Path,
    annotations: Path,
    index: Path,
    baseline_maps: list[Path],
    out: Path,
    negatives: Path | None = None,
    baseline_negatives: list[Path],
) -> None:
    """Score every map whose frame has a truth, and the baselines on the same frames.

    Each protocol leaves two files in `out`: the scores per frame, and a summary. `negatives` and
    `baseline_negatives` are the maps of the run and of the baselines with other sounds.
    """
    predictions = workflow_tables.read_maps(maps)
    clips = workflow_tables.read_clips(index, maps, predictions)
    annotated = workflow_tables.by_frame(tables.read(annotations).to_pylist())
    boxes = workflow_tables.kept_boxes(annotated)
    truth, training = Truth(boxes), workflow_tables.training_boxes(boxes, clips)
    common = _common(predictions, boxes, clips, training)
    common["negatives"] = negative_figures(config, boxes, negatives, baseline_negatives)
    without_map = count_without_map(set(predictions.keys), set(boxes), clips)
    chosen = [protocols.find(name) for name in config.protocols]
    results = evaluation.score(
        chosen, predictions, truth, lambda key: skip_reason(annotated.get(key, []))
    )
    networks = {
        path.stem: evaluation.score(chosen, workflow_tables.on_frames_of(predictions, path), truth)
        for path in baseline_maps
    }
    of_baselines = evaluation.score_baselines(
        chosen, results, predictions.map_shape(), training, truth
    )
    for protocol in chosen:
        selection, scores = results[protocol.name]
        systems = {"run": scores} | of_baselines[protocol.name]
        systems |= {name: found[protocol.name][1] for name, found in networks.items()}
        content = common | counts(predictions, selection, training, without_map)
        content |= _summary(config, protocol, predictions, selection, systems)
        frames = frame_rows(predictions, selection, scores)
        tables.write_rows(out / f"{protocol.name}.parquet", schemas.SCORES, frames)
        json_file.write(out / f"{protocol.name}.json", content)


if __name__ == "__main__":
    stage.main(run)
