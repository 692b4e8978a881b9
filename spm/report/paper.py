"""The paper's tables: printed numbers beside those measured here, for the runs in the config.

python -m spm.report.paper --config '{}' --table table1
    --summaries …/dsol/synthetic/given/dsol-synthetic.json …
    --histories …/dsol/history.parquet … --csv table1.csv --markdown-table table1.md
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import UNIQUE, Section, Text
from spm.base.statuses import Split
from spm.report.differences import pairs
from spm.report.summaries import COUNTS, KEY, read, summary_key
from spm.report.tables import rows
from spm.score.protocols import ProtocolName

SCORES = {"ciou@0.3": "CIoU@0.3", "auc": "AUC"}
ACCURACY = "matching accuracy"
Printed = Mapping[str, Mapping[str, float]]

# Printed numbers in percent, by the names of the runs in workflow/configs/paper.yaml.
PRINTED: Mapping[str, Printed] = {
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
    "ablation": {  # read from the curves of Figs. 3 and 5
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
    """The paper's tables and figures; workflow/configs/paper.yaml defines their runs."""

    testset: Literal["solo", "duet", "synthetic", "validation"] = Field(
        "synthetic", description="Test set on which the runs are compared."
    )
    protocol: ProtocolName = Field(
        "dsol-synthetic", description="Protocol of the scores in the tables; see docs/protocols.md."
    )
    table1: tuple[Text, ...] = Field(
        ("sound-of-pixels", "object-that-sound", "dmc", "dsol", "dsol-promoted"),
        json_schema_extra=UNIQUE,
        description="Names of the runs in Table 1, the comparison of methods.",
    )
    table2: tuple[Text, ...] = Field(
        ("augment-A", "augment-B", "augment-C"),
        json_schema_extra=UNIQUE,
        description="Names of the runs in Table 2, the comparison of augmentations.",
    )
    ablation: tuple[Text, ...] = Field(
        ("dsol", "dsol-not-frozen", "dsol-promoted"),
        json_schema_extra=UNIQUE,
        description="Names of the runs that show the effects of pretraining and freezing (Fig. 5).",
    )
    promotion: tuple[Text, ...] = Field(
        (),
        description="Names of runs in pairs: a run without the promoted audio network, then the run"
        " with it.",
    )


def accuracy(history: Path) -> float | None:
    """Matching accuracy on training clips, in the last epoch that measured it."""
    table = tables.read(history).to_pandas()
    measured_rows = (table["split"] == Split.TRAIN) & (table["name"] == "accuracy")
    values = table[measured_rows].sort_values("epoch")["value"]
    return None if values.empty else float(values.iloc[-1])


def measured(summaries: Sequence[Path], histories: Mapping[str, Path]) -> pd.DataFrame:
    """Scores and intervals of runs and baselines; for runs also those per class, and accuracy."""
    summary_of = {summary_key(path).run: path for path in summaries}
    found = []
    for row in rows(summaries):
        line = {name: row[name] for name in ("run", "trained", *KEY, *COUNTS)}
        line |= {title: row[name] for name, title in SCORES.items()}
        for name, title in SCORES.items():
            line |= {f"{title} {side}": row[f"{name} {side}"] for side in ("low", "high")}
        if row["trained"]:
            line |= classes(summary_of[row["run"]])
            line[ACCURACY] = accuracy(histories[row["run"]])
        found.append(line)
    return pd.DataFrame(found)


def classes(summary: Path) -> dict[str, float | None]:
    """CIoU@0.3 of each class (Fig. 7)."""
    per_class = read(summary)["run"]["per_class"]
    return {f"CIoU@0.3 {name}": scores["ciou@0.3"] for name, scores in per_class.items()}


def beside_printed(table: pd.DataFrame, printed: Printed) -> pd.DataFrame:
    """Add columns with the printed numbers, as fractions.

    A run that is printed but was not measured gets a row with the printed numbers only.
    """
    lines = []
    for run, scores in printed.items():
        fractions = {f"printed {name}": value / 100 for name, value in scores.items()}
        lines.append({"run": run, **fractions})
    if not lines:
        return table
    both = table.merge(pd.DataFrame(lines), on="run", how="outer", sort=False)
    measured_runs = list(table["run"])
    order = [*measured_runs, *(run for run in printed if run not in set(measured_runs))]
    return both.set_index("run").loc[order].reset_index()


def gains(summaries: Sequence[Path], promotion: Sequence[str]) -> pd.DataFrame:
    """The gain of each promoted run over the run without promotion, with paired 95 % intervals.

    `promotion` names the runs in pairs: without, with, without, with, …
    """
    summary_of = {summary_key(path).run: path for path in summaries}
    found = []
    for without, promoted in zip(promotion[::2], promotion[1::2], strict=True):
        table = pairs([summary_of[without], summary_of[promoted]])
        for row in table[table["metric"].isin(SCORES)].to_dict("records"):
            about = {"run": promoted, "over": without, "score": SCORES[str(row["metric"])]}
            found.append({**about, **_gain(row, promoted)})
    return pd.DataFrame(found, columns=["run", "over", "score", "gain", "low", "high"])


def _gain(row: Mapping[Any, Any], promoted: str) -> dict[str, float | None]:
    """A difference between two runs as the gain of the promoted one."""
    sign = 1 if row["run"] == promoted else -1
    low, high = row["low"], row["high"]
    if low is not None:
        low, high = sorted((sign * low, sign * high))
    return {"gain": sign * row["difference"], "low": low, "high": high}


def _number(value: Any, digits: int = 3) -> str:
    """A number as it is printed; a missing one is a dash, and one that rounds to 0 has no sign.

    >>> _number(-0.0001), _number(None)
    ('0.000', '–')
    """
    return "–" if value is None or pd.isna(value) else f"{value:z.{digits}f}"


def _interval(low: Any, high: Any) -> str:
    """An interval in brackets, after a space; empty where there is none."""
    bounds = [_number(low), _number(high)]
    return "" if "–" in bounds else f" [{', '.join(bounds)}]"


def _line(row: Mapping[Any, Any], scores: Sequence[str]) -> str:
    """A row of the Markdown table; trained runs are bold."""
    cells = [f"**{row['run']}**" if row["trained"] is True else str(row["run"])]
    for score in scores:
        interval = _interval(row.get(f"{score} low"), row.get(f"{score} high"))
        cells.append(f"{_number(row.get(score))}{interval}")
    return "| " + " | ".join(cells) + " |"


def _score_columns(table: pd.DataFrame) -> list[str]:
    """The columns with scores that at least one row has, without the ends of intervals."""
    names = [str(column) for column in table if table[column].notna().any()]
    scores = [name for name in names if name.startswith(("CIoU", "AUC", ACCURACY, "printed"))]
    return [name for name in scores if not name.endswith((" low", " high"))]


def markdown(name: str, table: pd.DataFrame, gained: pd.DataFrame) -> str:
    """The table as Markdown; its caption names the test set, the protocol and the counts."""
    first = table.dropna(subset=["protocol"]).iloc[0]
    counts = f"{int(first['frames'])} frames of {int(first['videos'])} videos"
    testset = f"{first['testset']} test set, {first['box_source']} boxes"
    caption = f"Measured on {counts}, {testset}, protocol {first['protocol']}"
    scores = _score_columns(table)
    head = ["| | " + " | ".join(scores) + " |", "|---" * (len(scores) + 1) + "|"]
    lines = [_line(row, scores) for row in table.to_dict("records")]
    parts = [
        f"# {TITLES[name]}",
        f"{caption}; 95 % intervals in brackets.",
        "\n".join([*head, *lines]),
    ]
    for row in gained.to_dict("records"):
        interval = _interval(row["low"], row["high"])
        gain = f"{row['score']}: {row['gain']:+z.3f}{interval}"
        parts.append(f"- {row['run']} over {row['over']}, {gain}")
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
    """Write one of the paper's tables as CSV with all digits and as Markdown."""
    history_of = {path.parent.name: path for path in histories}
    found = beside_printed(measured(summaries, history_of), PRINTED[table])
    gained = gains(summaries, config.promotion) if table == "promotion" else gains([], ())
    with tables.atomic_write(csv) as part:
        found.to_csv(part, index=False)
    with tables.atomic_write(markdown_table) as part:
        part.write_text(markdown(table, found, gained), encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
