"""What the figures of negative frames say of systems whose behavior is known.

python -m benchmarks.negatives [--threshold 0.5]

Every system draws a map of each of the 800 solo frames of tests/data with its own sound, and one
with a negative sound. The maps of a localizer are `own` and `other` of tests/score/golden.py. One
that ignores the sound, as an object prior does, has `own` with both sounds. For IIoU, the 32 duet
frames of tests/data are pictures with two sounds, under the protocol `adaptive`.

Printed: a table of docs/protocols.md. There is no target.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks.protocols import usual_oracle
from spm.base.statuses import PlayedSound
from spm.boxes.formats.frames import Box
from spm.score import masks, negative_scores, negatives
from spm.score.masks import Maps
from spm.score.negative_scores import SoundMaps, SystemMaps
from spm.score.protocols import find
from spm.score.workflow_tables import FrameKey
from tests.score import golden

CELLS = 14
OWN = ("ciou", "loc_acc")
OTHER = ("fpr", "pia", "auc_pia", "f", "ap", "ap_slavc", "max_f1", "g_miou", "same")
HEADS = (
    "mean IoU", "LocAcc", "FPR", "pIA", "AUC of pIA", "F", "AP", "SLAVC's AP", "max-F1", "G-mIoU",
    "same", "IIoU", "IAUC",
)  # fmt: skip


def row(name: str, own: Maps, other: Maps, pairs: Maps, threshold: float) -> str:
    """A line of the table.

    Parameters
    ----------
    name : str
    own, other : float array, shape (800, h, w)
        Maps with the own and with a negative sound.
    pairs : float array, shape (64, h, w)
        Maps of duet frames with each of their two sounds in turn.
    threshold : float
        Of all maps of solo frames.
    """
    boxes = golden.solo_boxes(golden.dsol_json("solotest"), golden.maps()["solo_keys"])
    keys = [FrameKey(f"{number:03d}", 0) for number in range(len(boxes))]
    videos = [(key.clip_id,) for key in keys]
    truths = dict(zip(keys, map(_boxes, boxes), strict=True))
    test = {
        PlayedSound.OWN: SoundMaps(keys, videos, own),
        PlayedSound.SILENCE: SoundMaps(keys, videos, other),
    }
    maps = SystemMaps(test, {})
    found = negative_scores.summarize(maps, truths, threshold, resamples=1, seed=0)["sounds"]
    values = [found["own"][name] for name in OWN] + [found["all"][name] for name in OTHER]
    sides, picture = duet_truths()
    ious = masks.ious(find("adaptive"), pairs, sides)
    values += [negatives.iiou(ious, picture), negatives.iauc(ious, picture)]
    return f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |"


def _boxes(sides: np.ndarray) -> list[Box]:
    """Boxes with these sides, (k, 4)."""
    return [Box("any", tuple(each)) for each in sides]


def duet_truths() -> tuple[list[np.ndarray], list[int]]:
    """The boxes of each sounding class of each duet frame, and the number of its frame."""
    sides, picture = [], []
    for number, classes in enumerate(golden.class_boxes("duet")):
        for name in sorted(classes):
            sides.append(np.array(classes[name]))
            picture.append(number)
    return sides, picture


def duet_maps() -> tuple[Maps, Maps]:
    """Maps of the sounding class of each duet truth, and of all classes of its frame."""
    arrays = golden.maps()
    maps, classes = golden.class_maps("duet", arrays), arrays["classes"].tolist()
    own, every = [], []
    for number, boxes in enumerate(golden.class_boxes("duet")):
        for name in sorted(boxes):
            own.append(maps[number, classes.index(name)])
            every.append(maps[number, [classes.index(each) for each in sorted(boxes)]].max(0))
    return np.stack(own), np.stack(every)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threshold", type=float, default=0.5)
    threshold = parser.parse_args(arguments).threshold
    given, (sounding, every) = golden.negative_inputs(), duet_maps()
    own, other = given["own"], given["other"]
    boxes = golden.solo_boxes(golden.dsol_json("solotest"), golden.maps()["solo_keys"])
    oracle = usual_oracle(boxes, CELLS).astype(np.float32)
    pairs = usual_oracle(duet_truths()[0], CELLS).astype(np.float32)
    silent, full = np.zeros_like(own), np.ones_like(own)
    systems = {
        "silent maps": (silent, silent, np.zeros_like(pairs)),
        "full maps": (full, full, np.ones_like(pairs)),
        "a localizer": (own, other, sounding),
        "the same, ignoring the sound": (own, own, every),
        "oracle": (oracle, silent, pairs),
    }
    print("| | " + " | ".join(HEADS) + " |\n|---|" + "---:|" * len(HEADS))
    for name, maps in systems.items():
        print(row(name, *maps, threshold))


if __name__ == "__main__":
    main()
