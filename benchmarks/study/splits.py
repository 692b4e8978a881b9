"""Lists of videos for docs/training-study.md, and the split of each.

python -m benchmarks.study.splits DATA --out study [--choose]

study/solos: data/solos, where each category has a performer of its own. The rule looks at names
only. Per category one recording is for testing, two of five or more, three of ten or more, those
with a box first. One of four or more is for validation: the second one with a box, or else the
first of the rest. A category with one recording is for training.

study/boxed: the test recordings with boxes, of data/real and data/wild.

--choose: the validation recordings are the test recordings, and the real ones are left out. On this
corpus settings are compared, so that none is chosen on a test clip.
"""

import argparse
import csv
import os
from collections.abc import Sequence
from pathlib import Path

Row = dict[str, str]
COLUMNS = ("video_id", "url", "kind", "categories", "split")


def read(path: Path) -> list[Row]:
    """Rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Write the columns of the rows as a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def split_category(names: Sequence[str], boxed: set[str]) -> dict[str, str]:
    """Split of each recording of one category.

    >>> split_category(["a", "b", "c", "d"], {"c", "d"})
    {'a': 'train', 'b': 'train', 'c': 'test', 'd': 'val'}
    >>> split_category(["a"], {"a"})
    {'a': 'train'}
    """
    wanted = 3 if len(names) >= 10 else 2 if len(names) >= 5 else 1
    with_box = [name for name in names if name in boxed]
    vals = with_box[1:2] if len(names) >= 4 else []
    rest = [name for name in names if name not in vals]
    rest.sort(key=lambda name: name not in boxed)  # recordings with a box first
    count = max(wanted, len(with_box) - len(vals))
    tests = rest[: min(count, len(rest) - 1)]
    if not vals and len(names) >= 4:
        vals = [name for name in names if name not in tests][:1]
    split = dict.fromkeys(names, "train")
    split |= dict.fromkeys(tests, "test")
    return split | dict.fromkeys(vals, "val")


def split_all(rows: Sequence[Row], boxed: set[str]) -> list[Row]:
    """The rows with their split."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row["categories"], []).append(row["video_id"])
    split: dict[str, str] = {}
    for category in names.values():
        split |= split_category(category, boxed)
    return [{**row, "split": split[row["video_id"]]} for row in rows]


def for_choices(rows: Sequence[Row]) -> list[Row]:
    """The rows without those for testing; the validation recordings take their place."""
    changed = []
    for row in rows:
        if row["split"] != "test":
            changed.append({**row, "split": "test" if row["split"] == "val" else "train"})
    return changed


def located(folder: Path) -> list[Row]:
    """Rows of the manifest in a folder, with the absolute paths of the files."""
    rows = read(folder / "manifest.csv")
    return [{**row, "url": os.path.realpath(folder / row["url"])} for row in rows]


def write_corpus(folder: Path, rows: Sequence[Row], boxes: Sequence[Row]) -> None:
    """Write the manifest, and the boxes of its test recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "manifest.csv", rows, COLUMNS)
    tested = {row["video_id"] for row in rows if row["split"] == "test"}
    kept = [row for row in boxes if row["video_id"] in tested]
    write(folder / "boxes.csv", kept, tuple(boxes[0]))


def write_all(data: Path, out: Path, choose: bool = False) -> None:
    """Write manifest.csv and boxes.csv of both corpora."""
    boxes = read(data / "real/boxes.csv")
    rows = split_all(located(data / "solos"), {row["video_id"] for row in boxes})
    wild = [{**row, "split": "test"} for row in located(data / "wild")]
    if choose:
        rows, wild = for_choices(rows), []
    write_corpus(out / "solos", rows, boxes)
    boxes += read(data / "wild/boxes.csv")
    names = {row["video_id"] for row in boxes}
    tested = [row for row in [*rows, *wild] if row["split"] == "test" and row["video_id"] in names]
    # The workflow refuses a corpus without training videos.
    trained = [row for row in rows if row["split"] == "train"][:2]
    write_corpus(out / "boxed", [*tested, *trained], boxes)


def main() -> None:
    """Write the lists that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder with solos/, real/ and wild/")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--choose", action="store_true", help="corpus for the choice of settings")
    options = parser.parse_args()
    write_all(options.data, options.out, options.choose)


if __name__ == "__main__":
    main()
