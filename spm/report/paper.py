"""The paper's tables: what it printed beside what was measured here, for the runs that the config names.

python -m spm.report.paper --config '{}' --table table1 --summaries …/dsol/synthetic/given/dsol-synthetic.json …
    --histories …/dsol/history.parquet … --csv table1.csv --markdown-table table1.md
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from spm.base import stage, tables
from spm.base.config import Section
from spm.report.tables import pairs, rows, source_of

SCORES = {"ciou@0.3": "CIoU@0.3", "auc": "AUC"}
ACCURACY = "matching accuracy"
Printed = Mapping[str, Mapping[str, float]]

PRINTED: Mapping[
    str, Printed
] = {  # in percent, by the names that workflow/configs/paper.yaml gives to runs
    "table1": {
        "sound-of-pixels": {"CIoU@0.3": 8.1, "AUC": 11.8},
        "object-that-sound": {"CIoU@0.3": 3.7, "AUC": 10.2},
        "dmc": {"CIoU@0.3": 7.0, "AUC": 16.3},
        "dsol": {"CIoU@0.3": 30.6, "AUC": 22.4},
        "dsol-promoted": {"CIoU@0.3": 33.4, "AUC": 24.7},
    },
    "table2": {
        "augment-A": {"CIoU@0.3": 34.4},
        "augment-B": {"CIoU@0.3": 35.6},
        "augment-C": {"CIoU@0.3": 35.8},
    },
    "ablation": {  # read off Figs. 3 and 5
        "dsol": {ACCURACY: 94.5},
        "dsol-promoted": {ACCURACY: 96.5},
        "dsol-not-frozen": {ACCURACY: 94.3},
    },
    "promotion": {},
}
TITLES = {
    "table1": "Table 1: methods",
    "table2": "Table 2: augmentation by another frame (A), the most similar sound (B), or both (C)",
    "ablation": "Fig. 5: pretrained, frozen, or neither",
    "promotion": "Each method without and with the promoted, frozen audio network",
}


class Paper(Section):
    """Which runs stand in each table, and what they are scored on."""

    kind: Literal["solo", "duet", "synthetic", "validation"] = "synthetic"
    protocol: str = "dsol-synthetic"
    table1: tuple[str, ...] = (
        "sound-of-pixels",
        "object-that-sound",
        "dmc",
        "dsol",
        "dsol-promoted",
    )
    table2: tuple[str, ...] = ("augment-A", "augment-B", "augment-C")
    ablation: tuple[str, ...] = ("dsol", "dsol-not-frozen", "dsol-promoted")
    promotion: tuple[str, ...] = ()  # two and two: a run without, and with


def accuracy(history: Path) -> float | None:
    """Matching accuracy in the last epoch that measured it on training clips."""
    table = tables.read(history).to_pandas()
    found = table[(table["split"] == "train") & (table["name"] == "accuracy")].sort_values("epoch")[
        "value"
    ]
    return None if found.empty else float(found.iloc[-1])


def measured(summaries: Sequence[Path], histories: Mapping[str, Path]) -> pd.DataFrame:
    """A row for each run and baseline, with intervals, classes and the matching accuracy."""
    by_class: dict[str, dict[str, float | None]] = {
        source_of(path).run: classes(path) for path in summaries
    }
    found = []
    for row in rows(summaries):
        scores = {SCORES[name]: row[name] for name in SCORES}
        bounds = {
            f"{SCORES[name]} {side}": row[f"{name} {side}"]
            for name in SCORES
            for side in ("low", "high")
        }
        about = {
            name: row[name]
            for name in ("run", "trained", "kind", "boxes", "protocol", "frames", "videos")
        }
        own = (
            by_class[row["run"]] | {ACCURACY: accuracy(histories[row["run"]])}
            if row["trained"]
            else {}
        )
        found.append({**about, **scores, **bounds, **own})
    return pd.DataFrame(found)


def classes(summary: Path) -> dict[str, float | None]:
    """CIoU@0.3 of each class (Fig. 7)."""
    per_class = json.loads(summary.read_text(encoding="utf-8"))["run"]["per_class"]
    return {f"CIoU@0.3 {name}": figures["ciou@0.3"] for name, figures in per_class.items()}


def beside_printed(table: pd.DataFrame, printed: Printed) -> pd.DataFrame:
    """The same with what the paper printed, as fractions; a printed row without a run has nothing measured."""
    lines = [
        {"run": run, **{f"printed {name}": value / 100 for name, value in scores.items()}}
        for run, scores in printed.items()
    ]
    if not lines:
        return table
    both = table.merge(pd.DataFrame(lines), on="run", how="outer", sort=False)
    order = [*table["run"], *(run for run in printed if run not in set(table["run"]))]
    return both.set_index("run").loc[order].reset_index()


def gains(summaries: Sequence[Path], pairing: Sequence[str]) -> pd.DataFrame:
    """What promotion adds to each run, with its paired 95 % interval: runs come two and two, without and with."""
    of_run = {source_of(path).run: path for path in summaries}
    found = []
    for without, promoted in zip(pairing[::2], pairing[1::2], strict=True):
        table = pairs([of_run[without], of_run[promoted]])
        sign = 1 if len(table) and table["run"].iloc[0] == promoted else -1
        for row in table[table["metric"].isin(SCORES)].to_dict("records"):
            low, high = (
                sorted((sign * row["low"], sign * row["high"]))
                if row["low"] is not None
                else (None, None)
            )
            gain = {"gain": sign * row["difference"], "low": low, "high": high}
            found.append(
                {"run": promoted, "over": without, "score": SCORES[str(row["metric"])], **gain}
            )
    return pd.DataFrame(found, columns=["run", "over", "score", "gain", "low", "high"])


def _number(value: Any, digits: int = 3) -> str:
    """A figure as it is printed; none is a dash, and what rounds to nothing has no sign.

    >>> _number(-0.0001), _number(None)
    ('0.000', '–')
    """
    return "–" if value is None or pd.isna(value) else f"{value:z.{digits}f}"


def _line(row: Mapping[Any, Any], scores: Sequence[str]) -> str:
    cells = [f"**{row['run']}**" if row["trained"] is True else str(row["run"])]
    for score in scores:
        bounds = [_number(row.get(f"{score} {side}")) for side in ("low", "high")]
        interval = "" if "–" in bounds else f" [{', '.join(bounds)}]"
        cells.append(f"{_number(row.get(score))}{interval}")
    return "| " + " | ".join(cells) + " |"


def markdown(name: str, table: pd.DataFrame, gained: pd.DataFrame) -> str:
    """The table with a caption that says the corpus's test set, the protocol and the counts."""
    some = table.dropna(subset=["protocol"]).iloc[0]
    counts = f"{int(some['frames'])} frames of {int(some['videos'])} videos"
    rules = f"{some['kind']} test set, {some['boxes']} boxes, protocol {some['protocol']}; 95 % intervals in brackets"
    names = [str(column) for column in table if table[column].notna().any()]
    scores = [name for name in names if name.startswith(("CIoU", "AUC", ACCURACY, "printed"))]
    scores = [name for name in scores if not name.endswith((" low", " high"))]
    head = ["| | " + " | ".join(scores) + " |", "|---" * (len(scores) + 1) + "|"]
    lines = [_line(row, scores) for row in table.to_dict("records")]
    parts = [f"# {TITLES[name]}", f"Measured on {counts}, {rules}.", "\n".join([*head, *lines])]
    for row in gained.to_dict("records"):
        interval = (
            f" [{_number(row['low'])}, {_number(row['high'])}]"
            if _number(row["low"]) != "–"
            else ""
        )
        parts.append(
            f"- {row['run']} over {row['over']}, {row['score']}: {row['gain']:+z.3f}{interval}"
        )
    return "\n\n".join(parts) + "\n"


def run(
    config: Paper,
    *,
    table: str,
    summaries: list[Path],
    histories: list[Path],
    csv: Path,
    markdown_table: Path,
) -> None:
    """Write one of the paper's tables as CSV with all digits and as Markdown to read."""
    found = beside_printed(
        measured(summaries, {path.parent.name: path for path in histories}), PRINTED[table]
    )
    gained = gains(summaries, config.promotion) if table == "promotion" else gains([], ())
    with tables.atomic_write(csv) as part:
        found.to_csv(part, index=False)
    with tables.atomic_write(markdown_table) as part:
        part.write_text(markdown(table, found, gained), encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
