"""What each protocol makes of the same maps, and how fast: the table in docs/protocols.md.

python -m benchmarks.protocols [--maps golden_maps.npz --boxes solotest.json]

`--maps`: .npz with `solo_keys` (n,) and `solo_maps` (n, h, w). `--boxes`: DSOL's solotest.json. Without them, 500 boxes
made here, each with a bump of heat near it: good for the times, of no meaning as scores.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from spm.score import baselines, masks, metrics
from spm.score.metrics import Doubles, Floats
from spm.score.protocols import PROTOCOLS, Protocol

HEAD = "| {:<17} | {:>7} | {:>8} | {:>6} | {:>8} |"
ROW = "| {:<17} | {:>7.1%} | {:>8.1%} | {:>6.1%} | {:>8.2f} |"


def usual_oracle(boxes: list[Doubles], cells: int) -> Floats:
    """Maps (n, cells, cells) that are 1 in cells whose centre is in a box, else 0."""
    centres = (np.arange(cells) + 0.5) / cells
    maps = np.zeros((len(boxes), cells, cells))
    for drawn, some in zip(maps, boxes, strict=True):
        for x, y, w, h in some:
            drawn[
                np.ix_((centres >= y) & (centres < y + h), (centres >= x) & (centres < x + w))
            ] = 1
    return maps


def line(name: str, score: Callable[[], Doubles]) -> str:
    """One row of the table: IoU@0.5, CIoU@0.3, AUC and milliseconds a frame."""
    start = time.perf_counter()
    ious = score()
    each_ms = 1000 * (time.perf_counter() - start) / len(ious)
    return ROW.format(
        name, metrics.ciou_at(ious, 0.5), metrics.ciou_at(ious, 0.3), metrics.auc(ious), each_ms
    )


def table(title: str, score: Callable[[Protocol], Doubles]) -> str:
    """One row a protocol."""
    head = HEAD.format("protocol", "IoU@0.5", "CIoU@0.3", "AUC", "ms/frame")
    rows = [line(name, partial(score, protocol)) for name, protocol in PROTOCOLS.items()]
    return "\n".join([f"\n{title}\n", head, "|---|---:|---:|---:|---:|", *rows])


def read(maps: Path, boxes: Path) -> tuple[Floats, list[Doubles]]:
    """Stored maps, and the boxes of the same frames."""
    stored, frames = np.load(maps), json.loads(boxes.read_text(encoding="utf-8"))
    return stored["solo_maps"], [
        np.array([box["normbox"] for box in frames[key]["bbox"]]) for key in stored["solo_keys"]
    ]


def make(frames: int = 500, cells: int = 14) -> tuple[Floats, list[Doubles]]:
    """A random box a frame, and a map (cells, cells) with a bump a little beside its centre."""
    random = np.random.default_rng(0)
    size = random.uniform(0.2, 0.7, (frames, 2))
    corner = random.uniform(0, 1 - size)
    peak = corner + size / 2 + random.normal(0, 0.1, (frames, 2))
    centres = (np.arange(cells) + 0.5) / cells
    x, y = (np.exp(-(((centres - peak[:, [side]]) / size[:, [side]]) ** 2) * 4) for side in (0, 1))
    return y[:, :, None] * x[:, None, :], list(np.concatenate([corner, size], 1)[:, None])


def main() -> None:
    """Print the tables: the maps, two oracles on their grid, the regions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maps", type=Path)
    parser.add_argument("--boxes", type=Path)
    given = parser.parse_args()
    if bool(given.maps) != bool(given.boxes):
        parser.error("--maps and --boxes go together")
    maps, boxes = read(given.maps, given.boxes) if given.maps else make()
    size = maps.shape[1:]

    print(table("The maps", lambda protocol: masks.ious(protocol, maps, boxes)))
    usual = usual_oracle(boxes, size[0])
    print(
        table("Cells whose centre is in a box", lambda protocol: masks.ious(protocol, usual, boxes))
    )
    print(table("Our oracle", lambda protocol: baselines.oracle_ious(protocol, boxes, *size)))
    print("\nRegions, under any protocol\n")
    for name, region in baselines.regions(np.empty((0, 4)), 224).items():
        print(line(name, partial(baselines.region_ious, region, boxes)))


if __name__ == "__main__":
    main()
