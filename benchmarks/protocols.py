"""Scores of the same maps under every protocol, and the time that each protocol takes.

python -m benchmarks.protocols [--maps maps.npz --boxes solotest.json] [--frames N]

Without options, the 800 solo maps of tests/data are scored. --maps: a .npz file with `solo_keys`
(n,) and `solo_maps` (n, h, w). --boxes: a file in the form of DSOL's solotest.json with these keys.
--frames: only the first frames.
Maps that are 0 or 1 everywhere, upper bounds (oracles) and baselines for the same boxes follow.

Printed: IoU@0.5, CIoU@0.3 and AUC in %, and wall time in ms per frame. There is no target;
docs/protocols.md shows the figures.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from spm.score import baselines, masks, metrics
from spm.score.metrics import Doubles, Floats, Mask
from spm.score.protocols import PROTOCOLS, Protocol
from tests.score import golden

HEAD = "| {:<17} | {:>7} | {:>8} | {:>6} | {:>8} |"
ROW = "| {:<17} | {:>7.1%} | {:>8.1%} | {:>6.1%} | {:>8.2f} |"


def usual_oracle(boxes: list[Doubles], cells: int) -> Floats:
    """Maps (n, cells, cells) that are 1 in cells whose centre is in a box, else 0."""
    centres = (np.arange(cells) + 0.5) / cells
    maps = np.zeros((len(boxes), cells, cells))
    for oracle, frame_boxes in zip(maps, boxes, strict=True):
        for x, y, w, h in frame_boxes:
            rows = (centres >= y) & (centres < y + h)
            columns = (centres >= x) & (centres < x + w)
            oracle[np.ix_(rows, columns)] = 1
    return maps


def row(name: str, score: Callable[[], Doubles]) -> str:
    """One row of the table: IoU@0.5, CIoU@0.3, AUC and milliseconds per frame."""
    start = time.perf_counter()
    ious = score()
    frame_ms = 1000 * (time.perf_counter() - start) / len(ious)
    success = metrics.success_rate(ious, [0.5, 0.3])
    return ROW.format(name, *success, metrics.auc(ious), frame_ms)


def table(title: str, score: Callable[[Protocol], Doubles]) -> str:
    """One row per protocol."""
    head = HEAD.format("protocol", "IoU@0.5", "CIoU@0.3", "AUC", "ms/frame")
    rows = [row(name, partial(score, protocol)) for name, protocol in PROTOCOLS.items()]
    return "\n".join([f"\n{title}\n", head, "|---|---:|---:|---:|---:|", *rows])


def region_iou(region: Mask, boxes: list[Doubles]) -> Doubles:
    """IoU of a baseline with the boxes of each frame."""
    return baselines.region_ious([region], boxes)[:, 0]


def read(maps: Path | None, boxes: Path | None) -> tuple[Floats, list[Doubles]]:
    """Maps, and the boxes of the same frames."""
    if maps is None or boxes is None:
        stored, content = golden.maps(), golden.dsol_json("solotest")
    else:
        stored, content = dict(np.load(maps)), json.loads(boxes.read_text(encoding="utf-8"))
    return stored["solo_maps"], golden.solo_boxes(content, stored["solo_keys"])


def main() -> None:
    """Print the tables: the maps, two oracles on the same grid, and the baselines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maps", type=Path)
    parser.add_argument("--boxes", type=Path)
    parser.add_argument("--frames", type=int)
    given = parser.parse_args()
    if bool(given.maps) != bool(given.boxes):
        parser.error("expected --maps and --boxes together, or neither")
    maps, boxes = (values[: given.frames] for values in read(given.maps, given.boxes))
    height, width = maps.shape[1:]
    usual = usual_oracle(boxes, height)

    print(table("The maps", lambda protocol: masks.ious(protocol, maps, boxes)))
    for name, value in (("Silent maps", 0), ("Full maps", 1)):
        flat = np.full_like(maps, value)
        print(table(f"{name}, all {value}", partial(masks.ious, maps=flat, boxes=boxes)))
    print(table("Usual oracle", lambda protocol: masks.ious(protocol, usual, boxes)))

    def oracle(protocol: Protocol) -> Doubles:
        return baselines.oracle_ious([protocol], boxes, height, width)[:, 0]

    print(table("Oracle", oracle))
    print("\nBaselines, under any protocol\n")
    for name, region in baselines.regions(np.empty((0, 4)), 224).items():
        print(row(name, partial(region_iou, region, boxes)))


if __name__ == "__main__":
    main()
