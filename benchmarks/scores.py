"""Speed of scoring under every protocol, compared with loops over frames like those of the authors.

python -m benchmarks.scores [--made] [--frames 300] [--all-frames N] [--rounds 3]

Loop: tests/score/reference_evaluators.py, one frame at a time, with OpenCV's resize and NumPy. Each
map is resized again for each protocol. Ours: `spm.score.evaluation`, from boxes to the score of
each frame. Solo and duet frames have one map for all protocols. Duet frames also have eleven class
maps, for the class-aware protocols and their no-sounding area. The maps are noise and a bump on
each box; class maps follow DSOL's softmax. Boxes: DSOL's 22,640 boxed frames in tests/data; with
--made, as many random boxes. AVGN's protocols are left out, because the loop's precision takes too
long. Both run on one thread, in turn. The loop scores --frames frames of each part, and its time is
extrapolated to all frames. --all-frames limits the frames of each part. Both must give the same
scores.

Printed: the medians of the CPU time, in s, and of loop / ours. Target: 15.
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from spm.boxes.formats.frames import Box
from spm.score import evaluation
from spm.score.evaluation import Predictions, Truth
from spm.score.protocols import PROTOCOLS, Precision, Protocol
from tests.score import golden, reference_evaluators

TARGET = 15
CELLS, CLASSES = 14, 11
MADE = {"solo": (12_356, 1), "duet": (10_284, 2)}  # frames, as many as DSOL boxed, and boxes

Frames = list[tuple[Box, ...]]
Maps = NDArray[np.float32]


class Work(NamedTuple):
    """Frames to score, with one map each (n, h, w), or class maps (n, classes, h, w)."""

    name: str
    frames: Frames
    maps: Maps
    protocols: list[Protocol]
    classes: tuple[str, ...] = ()


def made_boxes(frames: int, boxes: int) -> Frames:
    """Random boxes of different classes, `boxes` per frame."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 0.5, (frames * boxes, 2))
    sizes = rng.uniform(0.1, 0.5, (frames * boxes, 2))
    sides = np.hstack([corners, sizes]).tolist()
    made = [Box(f"class-{n % boxes}", tuple(row)) for n, row in enumerate(sides)]
    return [tuple(made[n : n + boxes]) for n in range(0, len(made), boxes)]


def dsol_boxes(name: str) -> Frames:
    """The boxed frames of one of DSOL's files."""
    frames = []
    for frame in golden.dsol_json(name).values():
        boxes = [
            Box(golden.CLASS_OF_ID[box["category_id"]], tuple(box["normbox"]))
            for box in frame["bbox"]
        ]
        if boxes:
            frames.append(tuple(boxes))
    return frames


def ours(work: Work) -> list[float]:
    """Mean score of the frames under each protocol."""
    truth = Truth(dict(enumerate(work.frames)))
    keys, videos = range(len(work.frames)), [("",)] * len(work.frames)
    if work.classes:
        predictions = Predictions(keys, videos, class_maps=work.maps, classes=work.classes)
    else:
        predictions = Predictions(keys, videos, frame_maps=work.maps)
    results = evaluation.score(work.protocols, predictions, truth)
    return [float(scores.ious.mean()) for _, scores in results.values()]


def loop(work: Work) -> list[float]:
    """Mean score of the frames under each protocol, a frame at a time."""
    means = []
    for protocol in work.protocols:
        ious = []
        for boxes, cells in zip(work.frames, work.maps, strict=True):
            if work.classes:
                groups: dict[str, list[Sequence[float]]] = {}
                for box in boxes:
                    groups.setdefault(box.category, []).append(box.sides)
                score, _ = reference_evaluators.class_scores(
                    protocol.name, cells, groups, work.classes
                )
            else:
                sides = [box.sides for box in boxes]
                score = reference_evaluators.iou(protocol.name, cells, sides)
            ious.append(score)
        means.append(float(np.mean(ious)))
    return means


def bumps(frames: Frames, classes: Sequence[str]) -> Maps:
    """Maps (n, classes, 14, 14), or (n, 14, 14) without classes: noise and a bump on each box."""
    rng, centres = np.random.default_rng(0), (np.arange(CELLS) + 0.5) / CELLS
    shape = (len(frames), max(len(classes), 1), CELLS, CELLS)
    heat = rng.normal(0, 0.2, shape).astype(np.float32)
    for cells, boxes in zip(heat, frames, strict=True):
        for box in boxes:
            x, y, w, h = box.sides
            rows = ((centres - y - h / 2) / max(h, 0.1)) ** 2
            columns = ((centres - x - w / 2) / max(w, 0.1)) ** 2
            channel = classes.index(box.category) if classes else 0
            cells[channel] += 3 * np.exp(-4 * np.add.outer(rows, columns))
    if not classes:
        return np.clip(heat[:, 0], 0, None)
    shares = np.exp(3 * heat)
    return shares / shares.sum(1, keepdims=True)


def all_work(*, made: bool, most: int | None) -> list[Work]:
    """Solo and duet frames with one map each, and duet frames with class maps.

    `most` limits the number of frames of each part.
    """
    if made:
        solo, duet = (made_boxes(*counts) for counts in MADE.values())
    else:
        solo, duet = dsol_boxes("solotest"), dsol_boxes("duettest")
    solo, duet = solo[:most], duet[:most]
    protocols = PROTOCOLS.values()
    without_ap = [protocol for protocol in protocols if protocol.precision == Precision.NONE]
    # one truth per frame: a class-aware protocol would compare a duet's map with each class
    per_frame = [protocol for protocol in without_ap if not protocol.class_aware]
    per_class = [protocol for protocol in without_ap if protocol.class_aware]
    names: set[str] = set()
    for boxes in duet:
        names |= {box.category for box in boxes}
    silent = [f"silent-{n}" for n in range(CLASSES - len(names))]
    classes = (*sorted(names), *silent)
    return [
        Work("solo", solo, bumps(solo, []), without_ap),
        Work("duet", duet, bumps(duet, []), per_frame),
        Work("duet by class", duet, bumps(duet, classes), per_class, classes),
    ]


def measure(system: Callable[[Work], list[float]], work: Work) -> tuple[float, list[float]]:
    """CPU time in s, and the scores."""
    start_s = time.process_time()
    scores = system(work)
    return time.process_time() - start_s, scores


def compare(work: Work, frames: int) -> tuple[float, float]:
    """CPU time in s of the loop, extrapolated from its first frames, and of ours."""
    subset = work._replace(frames=work.frames[:frames], maps=work.maps[:frames])
    loop_s, expected = measure(loop, subset)
    np.testing.assert_allclose(ours(subset), expected, atol=1e-6)
    ours_s, _ = measure(ours, work)
    return loop_s * len(work.frames) / len(subset.frames), ours_s


def main() -> None:
    """Print the times of each part, and the ratio of the sums."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--made", action="store_true", help="random boxes instead of DSOL's")
    parser.add_argument(
        "--frames", type=int, default=300, help="frames of each part that the loop scores"
    )
    parser.add_argument("--all-frames", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    works = all_work(made=given.made, most=given.all_frames)
    rounds = []
    for number in range(given.rounds + 1):
        times = [compare(work, given.frames) for work in works]
        if number:  # the first round compiles the kernels
            rounds.append(times)
    for work, times in zip(works, zip(*rounds, strict=True), strict=True):
        loop_s, ours_s = (median(values) for values in zip(*times, strict=True))
        ratio = loop_s / ours_s
        print(f"{work.name:<14} loop {loop_s:6.1f} s, ours {ours_s:5.2f} s, {ratio:5.1f} ×")
    ratios = []
    for times in rounds:
        loop_s, ours_s = (sum(values) for values in zip(*times, strict=True))
        ratios.append(loop_s / ours_s)
    frames = len(works[0].frames) + len(works[1].frames)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"all {frames} frames under all protocols: {median(ratios):.1f} × (target: {TARGET}); "
        f"peak memory {peak_mb:.0f} MB"
    )


if __name__ == "__main__":
    main()
