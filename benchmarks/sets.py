"""Named benchmark sets: their numbers of frames, and what needs no network scores on them.

python -m benchmarks.sets [--sets is3 vpo-ss …] [--copies FOLDER] [--cells 14]

--copies: a folder with copies of the published files, found by their sha256; without it, they are
downloaded. Sets that need a local folder are left out. Rows: binary regions, whose IoU no protocol
changes (mean box: of the boxes of the set itself), and the oracle on a grid of --cells under
`ez-vsl` and `adaptive`.

Printed: two tables in Markdown, of counts and of AUC and IoU@0.5 in %. There is no target;
docs/protocols.md shows the figures.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np

from spm.base.file_digest import file_digest
from spm.boxes import benchmarks
from spm.boxes.benchmark_sets import SETS, PublishedFile
from spm.boxes.formats.frames import BenchmarkBoxes
from spm.score import baselines, masks, metrics, protocols
from spm.score.metrics import Doubles

PX = 224
ORACLES = ("ez-vsl", "adaptive")
COLUMNS = ("whole-image", "centre-square-35%", "centre-square-50%", "mean-box")


def copies_below(folder: Path) -> dict[str, Path]:
    """Files of a folder by their sha256."""
    return {file_digest(path): path for path in sorted(folder.rglob("*")) if path.is_file()}


def boxes_of(benchmark: BenchmarkBoxes) -> Iterator[Doubles]:
    """The boxes (k, 4) of each frame that has visible ones."""
    for frame in benchmark.frames.values():
        sides = [box.sides for box in frame.boxes if masks.covers(box.sides, PX, benchmark.form)]
        if sides:
            yield np.array(sides, np.float64)


def counts(name: str, benchmark: BenchmarkBoxes) -> str:
    """Row of the first table."""
    frames = benchmark.frames.values()
    boxed = [frame for frame in frames if frame.boxes]
    categories = {box.category for frame in boxed for box in frame.boxes}
    negative = len(frames) - len(boxed) if benchmark.silent else 0
    videos = len({frame.video_id for frame in frames})
    numbers = (len(frames), len(boxed), negative, videos, len(categories))
    return f"| `{name}` | " + " | ".join(f"{number:,}" for number in numbers) + " |"


def as_corners(boxes: list[Doubles], form: str) -> Doubles:
    """All boxes (k, 4) as corner and size, which `baselines.regions` reads."""
    sides = np.clip(np.concatenate(boxes), 0, 1)
    if form == "xyxy":
        sides[:, 2:] -= sides[:, :2]
    return sides


def figures(benchmark: BenchmarkBoxes, cells: int) -> dict[str, Doubles]:
    """IoU of each boxed frame for each baseline."""
    boxes, form = list(boxes_of(benchmark)), benchmark.form
    regions = baselines.regions(as_corners(boxes, form), PX)
    ious = baselines.region_ious([regions[name] for name in COLUMNS], boxes, form)
    found = dict(zip(COLUMNS, ious.T, strict=True))
    chosen = [protocols.find(name) for name in ORACLES]
    oracles = baselines.oracle_ious(chosen, boxes, cells, cells, form)
    return found | {
        f"oracle, {name}": column for name, column in zip(ORACLES, oracles.T, strict=True)
    }


def row(name: str, ious: dict[str, Doubles]) -> str:
    """Row of the second table: AUC and IoU@0.5 of each baseline."""
    cells = [
        f"{metrics.auc(values):.1%}, {metrics.ciou_at(values, 0.5):.1%}" for values in ious.values()
    ]
    return f"| `{name}` | {' | '.join(cells)} |".replace("%", " %")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = [name for name, each in SETS.items() if not each.folder]
    parser.add_argument("--sets", nargs="+", choices=here, default=here)
    parser.add_argument("--copies", type=Path)
    parser.add_argument("--cells", type=int, default=14)
    given = parser.parse_args()
    copies = copies_below(given.copies) if given.copies else {}

    def find(source: PublishedFile) -> Path:
        return copies.get(source.sha256) or download(source)

    download = benchmarks.download
    with mock.patch.object(benchmarks, "download", find):
        sets = {name: benchmarks.read(name) for name in given.sets}
    print("| set | frames | with a box | nothing sounds | videos | categories |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, benchmark in sets.items():
        print(counts(name, benchmark))
    names = [*COLUMNS, *(f"oracle, {name}" for name in ORACLES)]
    print(f"\n| set | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    for name, benchmark in sets.items():
        print(row(name, figures(benchmark, given.cells)), flush=True)


if __name__ == "__main__":
    main()
