"""The score table: every run under every protocol, and its company, with intervals and counts.

python -m spm.score.tables --config '{}' --summaries results/score/scores/spm/solo/given/spm-paper.json …
    --csv scores.csv --markdown scores.md
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section

KEY = ["kind", "boxes", "protocol"]
COUNTS = ["frames", "videos"]


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


def _row(source: Source, system: str, is_run: bool, counts: dict[str, Any], scores: dict[str, Any]) -> dict[str, Any]:
    row = {**source._asdict(), "run": system, "trained": is_run, **{name: counts[name] for name in COUNTS}}
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
            baseline = (*source[1:], name, tuple(summary["map_shape"]) if name == "oracle" else None)
            if baseline not in seen:
                seen.add(baseline)
                height, width = summary["map_shape"]
                yield _row(source, f"oracle {height}×{width}" if name == "oracle" else name, False, summary, scores)


def markdown(table: pd.DataFrame, digits: int) -> str:
    """One table for each test set, source of boxes and protocol: trained runs first, each group best first."""
    if table.empty:
        return "Nothing to score: corpus.boxes names no truth.\n"
    parts = []
    for (kind, boxes, protocol), group in table.groupby(KEY, sort=False):
        frames, videos = group[COUNTS].iloc[0]
        parts.append(f"## {kind}, {boxes} boxes, protocol {protocol}\n")
        if frames:
            interval = "; 95 % bootstrap over videos in brackets" if videos > 1 else ", too few for an interval"
            parts.append(f"{frames} frames of {videos} video{'s' * (videos > 1)}{interval}.\n")
            parts.append(_markdown_rows(group.dropna(axis=1, how="all"), digits))
        else:
            parts.append("No frame of this test set has a box that counts: nothing to score.\n")
    return "\n".join(parts)


def _cell(row: Mapping[Any, Any], score: str, digits: int) -> str:
    bounds = [row.get(f"{score} {side}") for side in ("low", "high")]
    interval = "" if pd.isna(bounds).any() else f" [{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"
    return f"{row[score]:.{digits}f}{interval}"


def _markdown_rows(group: pd.DataFrame, digits: int) -> str:
    plain = {*KEY, *COUNTS, "run", "trained"}
    scores = [name for name in group.columns if name not in plain and not name.endswith((" low", " high"))]
    lines = ["| | " + " | ".join(scores) + " |", "|---" * (len(scores) + 1) + "|"]
    for row in group.to_dict("records"):
        name = f"**{row['run']}**" if row["trained"] else row["run"]
        lines.append(" | ".join([f"| {name}", *(_cell(row, score, digits) for score in scores)]) + " |")
    return "\n".join(lines) + "\n"


def ordered(found: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows by test set, boxes and protocol, as they came; within each runs first, by falling AUC."""
    if not found:
        return pd.DataFrame(columns=[*Source._fields, "trained", *COUNTS])
    table = pd.DataFrame(found)
    place = {key: number for number, key in enumerate(dict.fromkeys(map(tuple, table[KEY].to_numpy())))}
    table["place"] = [place[tuple(key)] for key in table[KEY].to_numpy()]
    table = table.sort_values(
        ["place", "trained", "auc", "run"], ascending=[True, False, False, True], ignore_index=True
    )
    return table.drop(columns="place")


def run(config: Tables, *, summaries: list[Path], csv: Path, markdown_table: Path) -> None:
    """Gather the summaries into one table, as CSV with all digits and as Markdown to read."""
    table = ordered(list(rows(summaries)))
    with tables.whole(csv) as part:
        table.to_csv(part, index=False)
    with tables.whole(markdown_table) as part:
        part.write_text(markdown(table, config.digits), encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
