"""The table of a benchmark suite: a row per set, protocol and main figure, in several formats."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from spm.score import mask_scores, score_rows
from spm.score.score_rows import MAPS, ScoreRow
from spm.score.suite import SetScores

MAIN = ("iou@0.5", "auc", "pixel_ap", "miou", "f", "iiou", "iauc")
MAIN_SILENT = ("ap", "max_f1", "loc_acc", "fpr", "auc_pia", "f")
HEAD = ("set", "frames", "no map", "protocol", "figure", "maps", "95 % interval", "best baseline",
        "oracle")  # fmt: skip
NONE = "–"
ORACLE = mask_scores.ORACLE
LATEX = str.maketrans({"%": r"\%", "_": r"\_", "#": r"\#", ">": "$>$", "–": "--"})


class Line(NamedTuple):
    """One row of the table, as texts in the order of HEAD."""

    set: str
    frames: str
    missing: str
    protocol: str
    figure: str
    maps: str
    interval: str
    baseline: str  # the best one, trivial or a network, and its name
    oracle: str


def lines(results: Sequence[SetScores]) -> list[Line]:
    """The main figures of each set; a set without maps has one line."""
    found = []
    for result in results:
        counts = (result.name, str(result.frames), str(len(result.missing)))
        if result.maps is None:
            found.append(Line(*counts, "no maps", *[NONE] * 5))
        found += [Line(*counts, *_texts(row, result.rows)) for row in result.rows if _is_main(row)]
    return found


def _is_main(row: ScoreRow) -> bool:
    silent = row.protocol.startswith(score_rows.SILENT)
    return row.system == MAPS and row.metric in (MAIN_SILENT if silent else MAIN)


def _texts(row: ScoreRow, rows: Sequence[ScoreRow]) -> tuple[str, ...]:
    """Protocol, figure, value, interval, best baseline and oracle of a figure."""
    same = {
        other.system: other.value
        for other in rows
        if (other.protocol, other.metric) == (row.protocol, row.metric)
    }
    oracle = same.pop(ORACLE, None)
    same = {name: value for name, value in same.items() if not name.startswith(MAPS)}
    best = max(same, key=lambda name: same[name], default=None)
    low_high = "{:.3f} to {:.3f}".format(*row.interval) if row.interval else NONE
    shown_best = f"{same[best]:.3f} {best}" if best else NONE
    shown = NONE if oracle is None else f"{oracle:.3f}"
    return row.protocol, row.metric, f"{row.value:.3f}", low_high, shown_best, shown


def notes(results: Sequence[SetScores]) -> list[str]:
    """What the reader of the table must know: missing maps and protocols that were left out."""
    found = []
    for result in results:
        count = len(result.missing)
        if result.maps is None:
            found.append(f"{result.name}: no maps; none of its {result.frames} frames is scored")
        elif count:
            found.append(
                f"{result.name}: {count} of {result.frames} frames have no map"
                f" ({', '.join(result.missing[:3])}{', …' if count > 3 else ''}); the figures are"
                " those of the others, and not comparable with published ones"
            )
        found += [
            f"{result.name}: protocol {name} left out: it needs one map per frame"
            for name in result.left_out
        ]
    return found


def markdown(results: Sequence[SetScores]) -> str:
    """The table and its notes in Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *lines(results)]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return "\n".join([text, "", *(f"- {note}" for note in notes(results))]) + "\n"


def latex(results: Sequence[SetScores]) -> str:
    """The table in LaTeX, for the package booktabs; the notes are comments."""
    rows = [" & ".join(cells).translate(LATEX) + r" \\" for cells in lines(results)]
    head = " & ".join(HEAD).translate(LATEX) + r" \\"
    return "\n".join(
        [
            *(f"% {note}" for note in notes(results)),
            r"\begin{tabular}{lrrllrlll}",
            r"\toprule",
            head,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def table(results: Sequence[SetScores]) -> pd.DataFrame:
    """Every figure of every system; a set without maps has a row without a figure."""
    parts = []
    for result in results:
        about: dict[str, Any] = {"set": result.name, "missing": len(result.missing)}
        rows = score_rows.csv_rows(result.rows) if result.rows else pd.DataFrame([{"frames": 0}])
        parts.append(rows.assign(**about))
    columns = ["set", *score_rows.CSV_COLUMNS, "missing"]
    return pd.concat(parts, ignore_index=True).reindex(columns=columns)
