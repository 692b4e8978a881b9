"""How fast maps are scored under every protocol, beside a loop over frames as the peers write it.

python -m benchmarks.scores [--boxes solotest.json duettest.json] [--frames 300] [--rounds 3]

Peers: a frame at a time, with OpenCV's resize and NumPy; the truth an image of 64-bit floats, the map resized anew for
each protocol, sorted where a rule wants a rank, the two images multiplied and summed (the evaluators of DSOL, LVS,
EZ-VSL, SSPL and SSLalignment). Ours: `spm.score.evaluation`, from boxes to the score of each frame. Every frame has one
map for all protocols; duets have one of each of eleven classes too, for the class-aware protocols and their no-sounding
area. Maps are bumps about their boxes under noise, those of classes after DSOL's softmax. `--boxes`: DSOL's published
files, 22,640 boxed frames; without them as many are made. The protocols of AVGN are left out: no loop computes their
precision in useful time. Both on one thread, in turn, by the processor's time; the loop sees some of the frames. Both
must find the same scores. Target: 15 times the rate.
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from spm.boxes import benchmarks
from spm.boxes.benchmarks import Box
from spm.score import evaluation
from spm.score.evaluation import Predictions, Truth
from spm.score.protocols import PROTOCOLS, Protocol

TARGET = 15
CELLS, PX, CLASSES = 14, 224, 11
MADE = {"solo": 12_356, "duet": 10_284}  # as many as DSOL boxed

Frames = list[tuple[Box, ...]]
Maps = NDArray[np.float32]


def made(frames: int, boxes: int) -> Frames:
    """Random boxes, of as many classes a frame."""
    rng = np.random.default_rng(0)
    sides = np.hstack(
        [rng.uniform(0, 0.5, (frames * boxes, 2)), rng.uniform(0.1, 0.5, (frames * boxes, 2))]
    )
    each = [Box(f"class-{n % boxes}", tuple(row)) for n, row in enumerate(sides.tolist())]
    return [tuple(each[n : n + boxes]) for n in range(0, len(each), boxes)]


def boxed(path: Path) -> Frames:
    """The boxes of a published file's boxed frames."""
    return [frame.boxes for frame in benchmarks.read(str(path)).frames.values() if frame.boxes]


# ----------------------------------------------------------------------------------------------------------------------
# Ours
# ----------------------------------------------------------------------------------------------------------------------


def ours(
    frames: Frames, maps: Maps, protocols: Sequence[Protocol], classes: tuple[str, ...]
) -> list[float]:
    """Mean score of the frames under each protocol."""
    truth = Truth(dict(enumerate(frames)))
    one = {"single": maps} if maps.ndim == 3 else {"by_class": maps, "classes": classes}
    drawn = Predictions(range(len(frames)), [""] * len(frames), **one)
    return [
        float(scored.ious.mean())
        for _, scored in evaluation.score(protocols, drawn, truth).values()
    ]


# ----------------------------------------------------------------------------------------------------------------------
# The peers'
# ----------------------------------------------------------------------------------------------------------------------


def truth_map(boxes: Sequence[Box]) -> NDArray[np.float64]:
    """An image of the boxes."""
    image = np.zeros((PX, PX))
    for box in boxes:
        x, y, w, h = np.array(box.sides) * PX
        image[int(y) : int(y + h), int(x) : int(x + w)] = 1
    return image


def normalized(image: Maps) -> Maps:
    """Stretched to [0, 1]."""
    low, high = image.min(), image.max()
    return (image - low) / (high - low) if high > low else image


def foreground(protocol: Protocol, image: Maps, truth: NDArray[np.float64]) -> NDArray[np.bool_]:
    """What each peer takes a resized map to point at."""
    if protocol.rule == "maximum":
        return image > protocol.level * np.max(image)
    stretched = normalized(image) if protocol.normalize == "minmax" else 1 - normalized(-image)
    if protocol.rule == "value":
        return stretched >= protocol.level
    rank = PX * PX // 2 if protocol.rule == "rank" else PX * PX - int((truth != 0).sum())
    threshold = np.sort(stretched.flatten())[rank]
    return stretched > threshold if protocol.strict else stretched >= threshold


def iou(protocol: Protocol, cells: Maps, boxes: Sequence[Box]) -> float:
    """One map against one truth."""
    truth = truth_map(boxes)
    image = cv2.resize(cells, (PX, PX))
    found = foreground(protocol, image, truth)
    return float(np.sum(found * (truth > 0)) / (np.sum(truth) + np.sum(found * (truth == 0))))


def theirs_by_class(
    protocol: Protocol, boxes: Sequence[Box], cells: Maps, classes: tuple[str, ...]
) -> float:
    """The maps of one frame's classes against its boxes, and how dark the others are."""
    groups = {
        name: [box for box in boxes if box.category == name]
        for name in {box.category for box in boxes}
    }
    silent = [
        cv2.resize(cells[n], (PX, PX)) for n, name in enumerate(classes) if name not in groups
    ]
    np.mean([np.sum(image <= protocol.nsa_at) / PX**2 for image in silent])
    return float(
        np.mean([iou(protocol, cells[classes.index(name)], some) for name, some in groups.items()])
    )


def theirs(
    frames: Frames, maps: Maps, protocols: Sequence[Protocol], classes: tuple[str, ...]
) -> list[float]:
    """Mean score of the frames under each protocol, a frame at a time."""
    if maps.ndim == 4:
        return [
            float(
                np.mean(
                    [
                        theirs_by_class(one, boxes, cells, classes)
                        for boxes, cells in zip(frames, maps, strict=True)
                    ]
                )
            )
            for one in protocols
        ]
    return [
        float(np.mean([iou(one, cells, boxes) for boxes, cells in zip(frames, maps, strict=True)]))
        for one in protocols
    ]


# ----------------------------------------------------------------------------------------------------------------------


def bumps(frames: Frames, classes: Sequence[str]) -> Maps:
    """Maps (n, classes, 14, 14), or (n, 14, 14) of all classes: a bump about each box, and noise."""
    rng, centres = np.random.default_rng(0), (np.arange(CELLS) + 0.5) / CELLS
    heat = rng.normal(0, 0.2, (len(frames), max(len(classes), 1), CELLS, CELLS)).astype(np.float32)
    for drawn, boxes in zip(heat, frames, strict=True):
        for box in boxes:
            x, y, w, h = box.sides
            far = [
                ((centres - start - side / 2) / max(side, 0.1)) ** 2
                for start, side in ((y, h), (x, w))
            ]
            drawn[classes.index(box.category) if classes else 0] += 3 * np.exp(
                -4 * np.add.outer(*far)
            )
    if not classes:
        return np.clip(heat[:, 0], 0, None)
    shares = np.exp(3 * heat)
    return shares / shares.sum(1, keepdims=True)


Work = tuple[Frames, Maps, Sequence[Protocol], tuple[str, ...]]


def spent_s(system: Callable[..., list[float]], works: Sequence[Work]) -> tuple[float, list[float]]:
    """The processor's seconds for all the work, and the scores."""
    start_s = time.process_time()
    scores = [score for work in works for score in system(*work)]
    return time.process_time() - start_s, scores


def works_of(files: dict[str, Path | None]) -> list[Work]:
    """Solos and duets with one map, and duets with one of each class."""
    plain = [one for one in PROTOCOLS.values() if one.precision == "none"]
    found: list[Work] = []
    for kind, path in files.items():
        frames = boxed(path) if path else made(MADE[kind], 1 if kind == "solo" else 2)
        # one truth a frame: with one map, a class-aware protocol would hold it against each class
        found.append(
            (
                frames,
                bumps(frames, []),
                [one for one in plain if kind == "solo" or not one.class_aware],
                (),
            )
        )
    named = tuple(sorted({box.category for boxes in frames for box in boxes}))
    classes = named + tuple(f"silent-{n}" for n in range(CLASSES - len(named)))
    return [
        *found,
        (frames, bumps(frames, classes), [one for one in plain if one.class_aware], classes),
    ]


def main() -> None:
    """Compare on everything at once, and say what each part took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--boxes", type=Path, nargs=2, metavar=("SOLO", "DUET"), help="DSOL's two files"
    )
    parser.add_argument("--frames", type=int, default=300, help="of each part, that the loop sees")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    works = works_of(dict(zip(MADE, given.boxes or (None, None), strict=True)))
    turns = []
    for _ in range(given.rounds + 1):  # the first compiles
        turn = []
        for frames, maps, protocols, classes in works:
            few: Work = (frames[: given.frames], maps[: given.frames], protocols, classes)
            slow_s, expected = spent_s(theirs, [few])
            _, found = spent_s(ours, [few])
            np.testing.assert_allclose(found, expected, atol=1e-6)
            fast_s, _ = spent_s(ours, [(frames, maps, protocols, classes)])
            turn.append((slow_s * len(frames) / given.frames, fast_s))
        turns.append(turn)
    for name, each in zip(
        ("solo", "duet", "duet by class"), zip(*turns[1:], strict=True), strict=True
    ):
        slow_s, fast_s = (median(times) for times in zip(*each, strict=True))
        print(f"{name:<14} loop {slow_s:6.1f} s, ours {fast_s:5.2f} s, {slow_s / fast_s:5.1f} ×")
    ratio = median(
        sum(slow for slow, _ in turn) / sum(fast for _, fast in turn) for turn in turns[1:]
    )
    frames = sum(len(work[0]) for work in works[:2])
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"all {frames} frames under all protocols: {ratio:.1f} × (target {TARGET}); peak memory {peak_mb:.0f} MB"
    )


if __name__ == "__main__":
    main()
