"""Every figure of maps and of the baselines on the same frames, as rows of a table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from spm.base.errors import UserError
from spm.score import (
    aggregation,
    evaluation,
    mask_scores,
    protocols,
    segmentation,
    silent_frames,
    uncertainty,
)
from spm.score.evaluation import FrameScores, Predictions
from spm.score.external_maps import Matched
from spm.score.metrics import Doubles
from spm.score.protocols import Protocol

MAPS = "maps"  # the system's name in a table of scores; the others are baselines
MINUS = " − "  # between the names of two systems: a row of differences
SILENT = "silent"  # start of the name of the protocol of silent frames
PAIR_PROTOCOLS = ("lvs", "adaptive")  # those of SSLalignment's evaluator
CSV_COLUMNS = [
    "protocol", "metric", "value", "frames", "low", "high", "interval_over", "interval_groups",
]  # fmt: skip


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


def scores(
    matched: Matched,
    chosen: Sequence[Protocol],
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
    results = evaluation.score(chosen, predictions, truth)
    of_networks = {
        name: evaluation.score(chosen, maps, truth) for name, maps in (networks or {}).items()
    }
    for name, (selection, _) in results.items():
        if not selection.frames:
            raise UserError(f"protocol {name}: no frame has a map and a box; expected at least one")
    of_baselines = evaluation.score_baselines(
        chosen, results, predictions.map_shape(), np.empty((0, 4)), truth
    )
    for protocol in chosen:
        selection, frame_scores = results[protocol.name]
        systems = {MAPS: frame_scores} | of_baselines[protocol.name]
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


def of_masks(matched: Matched, *, resamples: int, seed: int) -> Iterator[list[ScoreRow]]:
    """The mIoU and F of the maps and of the baselines, a list of rows per protocol of masks."""
    predictions = matched.predictions
    videos = [names[0] for names in predictions.videos]
    draws = uncertainty.draw(videos, resamples=resamples, seed=seed)
    drawn = (matched.resampled, len(set(videos)))
    for protocol, systems in mask_scores.score(predictions, matched.truth).items():
        rows = []
        for system, found in systems.items():
            bounds = segmentation.intervals(found, videos, draws)
            rows += [
                ScoreRow(protocol, system, metric, value, bounds[metric], len(videos), *drawn)
                for metric, value in segmentation.figures(found, videos).items()
            ]
        yield rows


def of_silent_frames(
    matched: Matched, threshold: float | None, *, resamples: int, seed: int
) -> list[list[ScoreRow]]:
    """Figures of a set in some of whose frames nothing sounds; empty if there is no such frame.

    The protocol's name has the threshold: `silent>0.4312`.
    """
    predictions, truth = matched.predictions, matched.truth
    if all(truth.boxes.get(key) for key in predictions.keys):
        return []
    level, found = silent_frames.measure(predictions, truth, threshold)
    draws = uncertainty.draw(predictions.videos, resamples=resamples, seed=seed)
    values = silent_frames.figures(found, level)
    resampled = silent_frames.figures(found, level, draws) if draws else {}
    name, videos = f"{SILENT}>{level:.4g}", {names[0] for names in predictions.videos}
    about = (len(predictions.keys), matched.resampled, len(videos))
    return [
        [
            ScoreRow(name, MAPS, metric, float(value[0]), _bounds(resampled, metric), *about)
            for metric, value in values.items()
        ]
    ]


def _bounds(resampled: Mapping[str, Doubles], metric: str) -> tuple[float, float] | None:
    return uncertainty.quantiles(resampled[metric]) if metric in resampled else None


def of_pairs(matched: Matched, *, resamples: int, seed: int) -> list[ScoreRow]:
    """IIoU and IAUC of a set whose pictures have several sounds each, under each of PAIR_PROTOCOLS.

    A picture counts with the sounds that have a map.
    """
    rows: list[ScoreRow] = []
    chosen = [protocols.find(name) for name in PAIR_PROTOCOLS]
    results = evaluation.score(chosen, matched.predictions, matched.truth)
    for name, (selection, scores) in results.items():
        videos = [matched.predictions.videos[number][0] for number in selection.frames]
        columns, pictures = silent_frames.pair_columns(scores.ious, videos)
        draws = uncertainty.draw(pictures, resamples=resamples, seed=seed)
        about = (len(pictures), "videos", len(pictures))
        for metric, column in zip(("iiou", "iauc"), columns.T, strict=True):
            bounds = uncertainty.interval_of(column, draws)
            rows.append(ScoreRow(name, MAPS, metric, float(column.mean()), bounds, *about))
    return rows


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
