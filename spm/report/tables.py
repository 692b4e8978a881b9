"""The score table: every run under every protocol, and its company; and what tells two runs apart.

python -m spm.report.tables --config '{}' --summaries results/score/scores/spm/solo/given/spm-paper.json …
    --csv scores.csv --pairs-table pairs.csv --markdown-table scores.md

A summary has the scores of its frames beside it, `.parquet` for `.json`.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section
from spm.corpus import ids
from spm.score import evaluation, uncertainty
from spm.score.protocols import Protocol

KEY = ["kind", "boxes", "protocol"]
COUNTS = ["frames", "videos"]
PAIR = ["run", "against"]


class Tables(Section):
    """How scores are written."""

    digits: int = Field(3, ge=1, le=9)  # after the point, in Markdown; the CSV has all


class Source(NamedTuple):
    """What a summary is about, as its path says: …/<run>/<kind>/<boxes>/<protocol>.json."""

    run: str
    kind: str
    boxes: str
    protocol: str


def source_of(path: Path) -> Source:
    """Read a summary's path."""
    run, kind, boxes = path.parts[-4:-1]
    return Source(run, kind, boxes, path.stem)


def _row(
    source: Source, system: str, is_run: bool, counts: dict[str, Any], scores: dict[str, Any]
) -> dict[str, Any]:
    row = {
        **source._asdict(),
        "run": system,
        "trained": is_run,
        **{name: counts[name] for name in COUNTS},
    }
    for name, interval in scores["interval_95"].items():
        low, high = interval or (None, None)  # none with a single video
        row |= {name: scores[name], f"{name} low": low, f"{name} high": high}
    return row


def rows(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """A row for each run and each baseline of every summary; baselines of the same frames come once."""
    seen = set()
    for path in paths:
        source, summary = source_of(path), json.loads(path.read_text(encoding="utf-8"))
        yield _row(source, source.run, True, summary, summary["run"])
        for name, scores in summary["baselines"].items():
            baseline = (
                *source[1:],
                name,
                tuple(summary["map_shape"]) if name == "oracle" else None,
            )
            if baseline not in seen:
                seen.add(baseline)
                height, width = summary["map_shape"]
                yield _row(
                    source,
                    f"oracle {height}×{width}" if name == "oracle" else name,
                    False,
                    summary,
                    scores,
                )


def markdown(table: pd.DataFrame, digits: int) -> str:
    """One table for each test set, source of boxes and protocol: trained runs first, each group best first."""
    if table.empty:
        return "Nothing to score: corpus.boxes names no truth.\n"
    parts = []
    for (kind, boxes, protocol), group in table.groupby(KEY, sort=False):
        frames, videos = group[COUNTS].iloc[0]
        parts.append(f"## {kind}, {boxes} boxes, protocol {protocol}\n")
        if frames:
            interval = (
                "; 95 % bootstrap over videos in brackets"
                if videos > 1
                else ", too few for an interval"
            )
            parts.append(f"{frames} frames of {videos} video{'s' * (videos > 1)}{interval}.\n")
            parts.append(_markdown_rows(group.dropna(axis=1, how="all"), digits))
        else:
            parts.append("No frame of this test set has a box that counts: nothing to score.\n")
    return "\n".join(parts)


def _cell(row: Mapping[Any, Any], score: str, digits: int) -> str:
    if pd.isna(row[score]):  # the no-sounding area of a run whose maps do not tell classes apart
        return "–"
    bounds = [row.get(f"{score} {side}") for side in ("low", "high")]
    interval = "" if pd.isna(bounds).any() else f" [{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"
    return f"{row[score]:.{digits}f}{interval}"


def _markdown_rows(group: pd.DataFrame, digits: int) -> str:
    plain = {*KEY, *COUNTS, "run", "trained"}
    scores = [
        name for name in group.columns if name not in plain and not name.endswith((" low", " high"))
    ]
    lines = ["| | " + " | ".join(scores) + " |", "|---" * (len(scores) + 1) + "|"]
    for row in group.to_dict("records"):
        name = f"**{row['run']}**" if row["trained"] else row["run"]
        lines.append(
            " | ".join([f"| {name}", *(_cell(row, score, digits) for score in scores)]) + " |"
        )
    return "\n".join(lines) + "\n"


def ordered(found: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows by test set, boxes and protocol, as they came; within each runs first, by falling AUC."""
    if not found:
        return pd.DataFrame(columns=[*Source._fields, "trained", *COUNTS])
    table = pd.DataFrame(found)
    place = {
        key: number for number, key in enumerate(dict.fromkeys(map(tuple, table[KEY].to_numpy())))
    }
    table["place"] = [place[tuple(key)] for key in table[KEY].to_numpy()]
    table = table.sort_values(
        ["place", "trained", "auc", "run"], ascending=[True, False, False, True], ignore_index=True
    )
    return table.drop(columns="place")


def pairs(paths: Iterable[Path]) -> pd.DataFrame:
    """Every two runs on the frames that both were scored on: differences with paired 95 % bootstrap intervals."""
    alike: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for path in paths:
        alike[source_of(path)[1:]].append(path)
    found = [
        dict(zip(KEY, place, strict=True)) | row
        for place, several in alike.items()
        for one, other in combinations(sorted(several), 2)
        for row in _differences(one, other)
    ]
    return pd.DataFrame(
        found, columns=[*KEY, *PAIR, "metric", "difference", "low", "high", *COUNTS]
    )


def _differences(one: Path, other: Path) -> Iterator[dict[str, Any]]:
    summary = json.loads(one.read_text(encoding="utf-8"))
    protocol, draws = Protocol(**summary["protocol"]), summary["bootstrap"]
    left, right = (tables.read(path.with_suffix(".parquet")).to_pandas() for path in (one, other))
    both = left.merge(right, on=["clip_id", "video_id", "frame"], suffixes=("", " other"))
    if both.empty:
        return
    videos = [ids.split_ids(video) for video in both["video_id"]]
    ours, theirs = (
        evaluation.columns(evaluation.from_ious(both[name].to_numpy()), protocol)
        for name in ("iou", "iou other")
    )
    for metric in ours:
        gain, bounds = uncertainty.difference(ours[metric], theirs[metric], videos, **draws)
        yield {
            "run": source_of(one).run, "against": source_of(other).run, "metric": metric, "difference": gain,
            "low": bounds and bounds[0], "high": bounds and bounds[1],
            "frames": len(both), "videos": len(set(chain.from_iterable(videos))),
        }  # fmt: skip


def pairs_markdown(table: pd.DataFrame, digits: int) -> str:
    """A line for two runs under one protocol; what other videos would hardly turn round is bold."""
    if table.empty:
        return ""
    metrics = list(dict.fromkeys(table["metric"]))
    lines = [
        "## Between runs\n",
        "Differences, with paired 95 % bootstrap over videos; bold: without 0.\n",
    ]
    lines += ["| | " + " | ".join(metrics) + " |", "|---" * (len(metrics) + 1) + "|"]
    for key, group in table.groupby([*KEY, *PAIR], sort=False):
        kind, boxes, protocol, one, other = key
        cells = {row["metric"]: _difference_cell(row, digits) for row in group.to_dict("records")}
        name = f"{one} − {other}: {kind}, {boxes} boxes, {protocol}"
        lines.append(
            " | ".join([f"| {name}", *(cells.get(metric, "") for metric in metrics)]) + " |"
        )
    return "\n".join(lines) + "\n"


def _difference_cell(row: Mapping[Any, Any], digits: int) -> str:
    plain = f"{row['difference']:+z.{digits}f}"  # z: what rounds to nothing is +0
    if pd.isna(row["low"]):
        return plain
    text = f"{plain} [{row['low']:+z.{digits}f}, {row['high']:+z.{digits}f}]"
    return f"**{text}**" if row["low"] > 0 or row["high"] < 0 else text


def run(
    config: Tables, *, summaries: list[Path], csv: Path, pairs_table: Path, markdown_table: Path
) -> None:
    """Gather the summaries into one table, as CSV with all digits and as Markdown to read, and compare the runs."""
    table, compared = ordered(list(rows(summaries))), pairs(summaries)
    for path, content in ((csv, table), (pairs_table, compared)):
        with tables.atomic_write(path) as part:
            content.to_csv(part, index=False)
    text = "\n".join(
        filter(None, [markdown(table, config.digits), pairs_markdown(compared, config.digits)])
    )
    with tables.atomic_write(markdown_table) as part:
        part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
