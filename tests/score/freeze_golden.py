"""Validate the reference evaluators, and write the golden maps and scores of tests/data.

python -m tests.score.freeze_golden GOLDEN DSOL

GOLDEN: folder of the full set: golden_maps.npz, golden_scores.json, golden_synthetic_boxes.csv.
DSOL: folder with DSOL's solotest.json, duettest.json and audioset_box.json.
"""

import argparse
import hashlib
import json
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.score import golden, reference_evaluators

SEED, FRAMES = 0, 32  # of the duet and the synthetic set; all solo frames are kept
TOLERANCE = 1e-9
SOLO_PROTOCOLS = ("dsol-solo", "lvs", "ez-vsl", "sspl", "adaptive", "avgn-as-coded")

# What the authors' own functions gave on the 800 maps, resized by OpenCV, at these commits:
# hche11/Localizing-Visual-Sounds-the-Hard-Way 8fe8cbb, zjsong/SSPL d1af4c7,
# kaistmm/SSLalignment e7ae3c5, stoneMo/AVGN 5ab8cab (resized by torch's bicubic).
AUTHORS = {
    "lvs": {
        "iou@0.5": 0.40875,
        "ciou@0.3": 0.74125,
        "auc": 0.433625,
        "mean_iou": 0.43373525596620355,
    },
    "sspl": {
        "iou@0.5": 0.43,
        "ciou@0.3": 0.75875,
        "auc": 0.435,
        "mean_iou": 0.43414367582946695,
    },
    "adaptive": {
        "iou@0.5": 0.55875,
        "ciou@0.3": 0.81125,
        "auc": 0.515,
        "mean_iou": 0.5145151407960195,
    },
    "avgn-as-coded": {
        "ciou@0.3": 0.1825,
        "auc": 0.1416875,
        "mean_iou": 0.12821789287156649,
        "swapped_precision": 0.5331995492964227,
    },
}


Frames = dict[str, list[float]]  # scores per frame, by name


def figures(scores: Frames) -> dict[str, float]:
    """The figures that the authors' scripts print, under all of their names."""
    ious = np.array(scores["ious"])
    rates = [float((ious >= 0.05 * i).mean()) for i in range(21)]  # the scripts' own comparison
    found = {
        "auc": reference_evaluators.area_under_success(scores["ious"]),
        "iou@0.5": rates[10],
        "ciou@0.5": rates[10],
        "ap50": rates[10],
        "ciou@0.3": rates[6],
        "mean_iou": float(ious.mean()),
        "ciou_mean": float(ious.mean()),
        "frames": len(ious),
    }
    if "nsa" in scores:
        found["nsa"] = float(np.mean(scores["nsa"]))
    if "swapped_precision" in scores:  # AVGN, whose script compares with `> 0.3`
        found["ciou@0.3"] = float((ious > 0.3).mean())
        found["swapped_precision"] = float(np.mean(scores["swapped_precision"]))
    return found


def check(name: str, scores: Frames, authors: dict[str, float]) -> None:
    """Stop if a reference evaluator does not give the figures of the authors' code."""
    found = figures(scores)
    for metric, value in authors.items():
        if abs(found[metric] - value) > TOLERANCE:
            raise SystemExit(f"{name} {metric}: the reference gives {found[metric]}, not {value}")
    print(f"{name}: {', '.join(authors)} agree")


def solo_scores(
    protocol: str, maps: NDArray[np.float32], boxes: Sequence[NDArray[np.float64]]
) -> Frames:
    """Scores per frame under a protocol that takes one map per frame."""
    pairs = list(zip(maps, boxes, strict=True))
    if protocol != "avgn-as-coded":
        return {"ious": [reference_evaluators.iou(protocol, *pair) for pair in pairs]}
    scores = [reference_evaluators.avgn_as_coded(*pair) for pair in pairs]
    ious, precision = zip(*scores, strict=True)
    return {"ious": list(ious), "swapped_precision": list(precision)}


def class_scores(
    protocol: str,
    maps: NDArray[np.float32],
    boxes: Sequence[golden.ClassBoxes],
    classes: Sequence[str],
) -> Frames:
    """Scores per frame under a class-aware protocol."""
    scores = [
        reference_evaluators.class_scores(protocol, cells, frame_boxes, classes)
        for cells, frame_boxes in zip(maps, boxes, strict=True)
    ]
    ious, nsa = zip(*scores, strict=True)
    return {"ious": list(ious), "nsa": list(nsa)}


def freeze_solo(
    arrays: dict[str, NDArray[Any]], boxes: Sequence[NDArray[np.float64]], expected: dict[str, Any]
) -> None:
    """Validate and store the scores of all solo frames."""
    for protocol in SOLO_PROTOCOLS:
        expected[protocol] = solo_scores(protocol, arrays["solo_maps"], boxes)
        check(protocol, expected[protocol], expected["authors"][protocol])
    maps = arrays["solo_maps"][: golden.RESIZED]
    resized = np.stack([reference_evaluators.enlarge(cells) for cells in maps])
    expected["opencv_sha256"] = hashlib.sha256(resized.tobytes()).hexdigest()


def freeze_classes(
    testset: str,
    arrays: dict[str, NDArray[Any]],
    boxes: Sequence[golden.ClassBoxes],
    expected: dict[str, Any],
) -> None:
    """Validate the scores of all frames of a test set; store a random subset of its frames."""
    protocol = f"dsol-{testset}"
    maps, classes = golden.class_maps(testset, arrays), arrays["classes"].tolist()
    scores = class_scores(protocol, maps, boxes, classes)
    check(protocol, scores, expected["authors"].pop(protocol))
    kept = np.sort(np.random.default_rng(SEED).choice(len(maps), FRAMES, replace=False))
    for name in (f"{testset}_keys", f"{testset}_maps"):
        arrays[name] = arrays[name][kept]
    expected[protocol] = {name: np.array(values)[kept].tolist() for name, values in scores.items()}


def write(
    source: Path, content: dict[str, Any], arrays: dict[str, NDArray[Any]], expected: dict[str, Any]
) -> None:
    """Write all files of tests/data."""
    out = golden.DATA / "golden"
    np.savez_compressed(out / "maps.npz", **arrays)
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in expected.items()]
    (out / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    keys = set(arrays["synthetic_keys"])
    head, *rows = (source / "golden_synthetic_boxes.csv").read_text(encoding="utf-8").splitlines()
    rows = [row for row in rows if row.split(",")[0] in keys]
    (out / "synthetic_boxes.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    for name, text in content.items():
        packed = lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)
        (golden.DATA / "dsol" / f"{name}.json.xz").write_bytes(packed)


def main() -> None:
    """Validate on the full set, then write the subset and its scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("golden", type=Path)
    parser.add_argument("dsol", type=Path)
    given = parser.parse_args()
    with np.load(given.golden / "golden_maps.npz") as file:
        arrays = dict(file)
    printed = json.loads((given.golden / "golden_scores.json").read_text(encoding="utf-8"))
    expected: dict[str, Any] = {"authors": AUTHORS | printed}
    names = ("solotest", "duettest", "audioset_box")
    content = {name: (given.dsol / f"{name}.json").read_bytes() for name in names}

    solo, duet = json.loads(content["solotest"]), json.loads(content["duettest"])
    synthetic = golden.synthetic_boxes(given.golden / "golden_synthetic_boxes.csv")
    freeze_solo(arrays, golden.solo_boxes(solo, arrays["solo_keys"]), expected)
    duet_boxes = [golden.by_class(duet[key]["bbox"]) for key in arrays["duet_keys"]]
    freeze_classes("duet", arrays, duet_boxes, expected)
    synthetic_boxes = [synthetic[key] for key in arrays["synthetic_keys"]]
    freeze_classes("synthetic", arrays, synthetic_boxes, expected)
    write(given.golden, content, arrays, expected)


if __name__ == "__main__":
    main()
