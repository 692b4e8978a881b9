"""The table of docs/results.md: where each run looks, and what it finds where nothing sounds.

python -m benchmarks.study.methods comparison [--protocol adaptive]

The argument is the folder of the workflow, of which the tables in results/report/tables are read.
A run and its variants, such as `spm` and `spm-silence`, stand below each other; the run with the
best AUC comes first.
"""

import argparse
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pandas as pd

from spm.base import csv_file
from spm.base.statuses import PlayedSound
from spm.report.markdown import signed

DIGITS = 3
HEADS = ("run", "AUC", "CIoU@0.3", "difference", "mean IoU")
OVERALL = {"f": "F", "max_f1": "max-F1"}


def base(name: str, names: list[str]) -> str:
    """The run whose name the others of its method continue."""
    return min((other for other in names if f"{name}-".startswith(f"{other}-")), key=len)


def read(folder: Path, protocol: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Scores and differences under a protocol, and figures on other sounds, of the first test set.

    The first table is indexed by run, the last one by run and sound.
    """
    scores = pd.read_csv(StringIO(csv_file.read_text(folder / "scores.csv", ["run"])))
    place = scores.loc[0, ["testset", "box_source"]]
    pairs = pd.read_csv(folder / "pairs.csv")
    sounds = pd.read_csv(folder / "negatives.csv")
    scores, pairs, sounds = (
        table[(table[place.index] == place).all(axis=1)] for table in (scores, pairs, sounds)
    )
    scores = scores[scores["protocol"] == protocol].set_index("run")
    pairs = pairs[(pairs["protocol"] == protocol) & (pairs["metric"] == "auc")]
    return scores, pairs, sounds.set_index(["run", "sound"])


def lines(folder: Path, protocol: str) -> Iterator[str]:
    """Lines of the Markdown table of the first test set and box source."""
    scores, pairs, figures = read(folder, protocol)
    negative = set(figures[figures["fpr"].notna()].index.get_level_values("sound"))
    sounds = [sound for sound in PlayedSound if sound in negative]
    heads = [*HEADS, *map(str, sounds), *OVERALL.values()]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    names = [name for name in scores.index if name in figures.index]
    auc = scores["auc"]
    for name in sorted(names, key=lambda name: (-auc[base(name, names)], base(name, names), name)):
        shares = [figures.loc[(name, sound), "fpr"] for sound in sounds]
        overall = [figures.loc[(name, "all"), figure] for figure in OVERALL]
        numbers = [figures.loc[(name, "own"), "ciou"], *shares, *overall]
        cells = [
            f"`{name}`",
            *(f"{scores.loc[name, figure]:.{DIGITS}f}" for figure in ("auc", "ciou@0.3")),
            gain(pairs, name, base(name, names)),
            *(f"{number:.{DIGITS - 1}f}" for number in numbers),
        ]
        yield f"| {' | '.join(cells)} |"


def gain(gains: pd.DataFrame, name: str, against: str) -> str:
    """The difference of the AUC of a variant from its run; bold if the interval excludes 0."""
    found = gains[(gains["run"] == against) & (gains["against"] == name)]
    if found.empty:
        return ""
    row = found.iloc[0]
    low, high = -row["high"], -row["low"]  # the table has run − variant
    text = signed(-row["difference"], low, high, DIGITS)
    return f"**{text}**" if low > 0 or high < 0 else text


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Where each run looks, and what it finds.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--protocol", default="adaptive")
    given = parser.parse_args()
    for line in lines(given.folder / "results/report/tables", given.protocol):
        print(line)


if __name__ == "__main__":
    main()
