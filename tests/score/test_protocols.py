import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from spm.base.config import UserError
from spm.boxes.benchmarks import Box
from spm.score import evaluation, masks, metrics, protocols
from spm.score.evaluation import Predictions, Truth
from spm.score.protocols import PROTOCOLS

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
GOLDEN = DATA / "golden" / "golden_maps.npz"
DETECTOR = {
    13: "accordion",
    3: "acoustic_guitar",
    1: "cello",
    12: "flute",
    8: "saxophone",
    10: "trumpet",
    11: "violin",
}

golden = pytest.mark.skipif(
    not GOLDEN.exists(), reason=f"golden maps absent: {GOLDEN.name} in shared/data/golden"
)


@pytest.fixture(scope="module")
def maps():
    return np.load(GOLDEN)


@pytest.fixture(scope="module")
def published():
    return json.loads(GOLDEN.with_name("golden_scores.json").read_text())


def dsol(name):
    frames = json.loads((DATA / "manifests" / "DSOL" / name).read_text())
    return {
        key: [(box["category_id"], *box["normbox"]) for box in frame["bbox"]]
        for key, frame in frames.items()
    }


@pytest.fixture(scope="module")
def solo_ious(maps):
    boxes = dsol("solotest.json")
    truth = [np.array(boxes[key])[:, 1:] for key in maps["solo_keys"]]
    return lambda name: masks.ious(PROTOCOLS[name], maps["solo_maps"], truth)


@golden
def test_dsol_solo_is_what_its_own_script_printed(solo_ious, published):
    ious, expected = solo_ious("dsol-solo"), published["dsol-solo"]
    assert len(ious) == expected["frames"]
    assert metrics.auc(ious) == pytest.approx(expected["auc"], abs=1e-9)
    assert metrics.ciou_at(ious, 0.5) == pytest.approx(expected["iou@0.5"], abs=1e-9)


@golden
def test_ez_vsl_is_what_its_own_evaluator_gave(solo_ious, published):
    ious, expected = solo_ious("ez-vsl"), published["ez-vsl"]
    assert len(ious) == expected["frames"]
    assert metrics.ciou_at(ious, 0.5) == pytest.approx(expected["ap50"], abs=1e-9)
    assert ious.mean() == pytest.approx(expected["ciou_mean"], abs=1e-9)
    assert metrics.auc(ious) == pytest.approx(expected["auc"], abs=1e-9)


@golden
def test_on_solo_frames_the_papers_reading_is_dsols(solo_ious):
    assert (solo_ious("spm-paper") == solo_ious("dsol-solo")).all()


@golden
@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_the_documentation_prints_what_the_maps_score(solo_ious, name):
    ious = solo_ious(name)
    printed = " | ".join(
        f"{100 * score:.1f} %"
        for score in (metrics.ciou_at(ious, 0.5), metrics.ciou_at(ious, 0.3), metrics.auc(ious))
    )
    assert f"| `{name}` | {printed} |" in (REPOSITORY / "docs" / "protocols.md").read_text(
        encoding="utf-8"
    )


def evaluated(name, maps, classes, frames):
    """Figures of maps (n, classes, h, w) against one list of (category, x, y, w, h) a frame."""
    rules = PROTOCOLS[name]
    drawn = Predictions(range(len(maps)), ["v"] * len(maps), by_class=maps, classes=tuple(classes))
    truth = Truth(
        {
            number: [Box(category, tuple(sides)) for category, *sides in some]
            for number, some in enumerate(frames)
        }
    )
    _, scored = evaluation.score([rules], drawn, truth)[name]
    return {
        "auc": metrics.auc(scored.ious),
        "ciou@0.3": metrics.ciou_at(scored.ious, 0.3),
        "ciou@0.5": metrics.ciou_at(scored.ious, 0.5),
        "nsa": scored.nsa.mean(),
        "frames": len(scored.ious),
    }


def by_class(maps, kind):
    """The golden maps of each class, which clusters drew."""
    return maps[f"{kind}_maps"][:, maps["cluster_of_class"]]


@golden
def test_dsol_duet_is_what_its_own_script_printed(maps, published):
    boxes = dsol("duettest.json")
    frames = [
        [(DETECTOR[category], *box) for category, *box in boxes[key]] for key in maps["duet_keys"]
    ]
    found = evaluated("dsol-duet", by_class(maps, "duet"), maps["classes"], frames)
    assert found == pytest.approx(published["dsol-duet"], abs=1e-9)


@golden
def test_dsol_synthetic_is_what_its_own_script_printed(maps, published):
    boxes = defaultdict(list)
    with GOLDEN.with_name("golden_synthetic_boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            boxes[row["key"]].append((row["category"], *(float(row[side]) for side in "xywh")))
    frames = [boxes[key] for key in maps["synthetic_keys"]]
    found = evaluated("dsol-synthetic", by_class(maps, "synthetic"), maps["classes"], frames)
    assert found == pytest.approx(published["dsol-synthetic"], abs=1e-9)


@golden
def test_uniform_and_oracle_maps_have_the_reference_scores_over_all_of_dsols_boxed_duets(maps):
    """The references were printed by DSOL's own script, with six decimals."""
    boxed = [some for some in dsol("duettest.json").values() if some]
    assert len(boxed) == 10_284
    frames = [[(DETECTOR[category], *box) for category, *box in some] for some in boxed]
    classes = maps["classes"].tolist()
    uniform = np.full((len(frames), 11, 14, 14), 1 / 11, np.float32)
    references = {
        "auc": 0.161187,
        "ciou@0.3": 0.064858,
        "ciou@0.5": 0.017406,
        "nsa": 1.0,
        "frames": 10_284,
    }
    assert evaluated("dsol-duet", uniform, classes, frames) == pytest.approx(references, abs=5e-7)

    centres = (np.arange(14) + 0.5) / 14
    logits = np.full((len(frames), 11, 14, 14), -6.0, np.float32)
    for drawn, some in zip(logits, frames, strict=True):
        for category, x, y, w, h in some:
            inside = np.ix_((centres > y) & (centres < y + h), (centres > x) & (centres < x + w))
            drawn[classes.index(category)][inside] = 9
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    references = {
        "auc": 0.741458,
        "ciou@0.3": 0.994166,
        "ciou@0.5": 0.971995,
        "nsa": 1.0,
        "frames": 10_284,
    }
    assert evaluated("dsol-duet", shares, classes, frames) == pytest.approx(references, abs=5e-7)


@golden
@pytest.mark.parametrize(
    ("name", "expected"),
    [  # of the authors' own functions at the commits named, run on the same 800 maps with OpenCV's resize
        ("lvs", (0.40875, 0.74125, 0.433625, 0.43373525596620355)),  # hche11's at 8fe8cbb
        ("sspl", (0.43, 0.75875, 0.435, 0.43414367582946695)),  # zjsong/SSPL at d1af4c7
        (
            "adaptive",
            (0.55875, 0.81125, 0.515, 0.5145151407960195),
        ),  # kaistmm/SSLalignment at e7ae3c5
    ],
)
def test_the_other_peers_give_what_their_own_functions_gave(solo_ious, name, expected):
    ious = solo_ious(name)
    found = metrics.ciou_at(ious, 0.5), metrics.ciou_at(ious, 0.3), metrics.auc(ious), ious.mean()
    assert found == pytest.approx(expected, abs=1e-9)


@golden
def test_avgn_as_coded_is_what_its_own_functions_gave(maps):
    """At 5ab8cab, on the same 800 maps; torch's bicubic rounds otherwise than ours, which moves one pixel in all."""
    rules, boxes = PROTOCOLS["avgn-as-coded"], dsol("solotest.json")
    some = [np.array(boxes[key])[:, 1:] for key in maps["solo_keys"]]
    overlap = masks.overlaps([rules], maps["solo_maps"], some)
    ious = overlap.iou[:, 0]
    assert (
        overlap.truth == 0
    ).sum() == 412  # x, y, w, h read as two corners leave more than half of the frames empty
    assert ious.mean() == pytest.approx(0.12821789287156649, abs=1e-8)
    assert metrics.ciou_at(ious, 0.3, beyond=True) == 0.1825
    assert metrics.auc(ious) == pytest.approx(0.1416875, abs=1e-12)
    assert overlap.swapped_precision(224**2).mean() == pytest.approx(0.5331995492964227, abs=1e-6)


def test_an_unknown_protocol_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r"'dsol'.*dsol-solo.*adaptive"):
        protocols.named("dsol")
