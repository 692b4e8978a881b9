"""Parity with the authors' evaluators, on the maps and boxes of tests/data, in any checkout."""

import hashlib
import json
from dataclasses import replace
from enum import IntEnum, StrEnum
from pathlib import Path

import numpy as np
import pytest

from spm.base.errors import UserError
from spm.boxes.formats.frames import Box
from spm.score import evaluation, kernels, masks, metrics, protocols
from spm.score.evaluation import Predictions, Truth
from spm.score.protocols import PROTOCOLS, Normalize, Rule
from tests.score import golden

ROOT = Path(__file__).parents[2]
DATA_LIMIT = 2_000_000  # bytes of tests/data
FRAME_RULES = ("dsol-solo", "lvs", "ez-vsl", "sspl", "adaptive")  # bilinear, one map per frame


@pytest.fixture(scope="module")
def solo_truth():
    return golden.solo_boxes(golden.dsol_json("solotest"), golden.maps()["solo_keys"])


@pytest.fixture(scope="module")
def solo_ious(solo_truth):
    def ious(name):
        return masks.ious(PROTOCOLS[name], golden.maps()["solo_maps"], solo_truth)

    return ious


def test_the_data_of_the_tests_is_small():
    files = [path for path in golden.DATA.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < DATA_LIMIT


@pytest.mark.parametrize(
    ("protocol", "names"),
    [
        ("dsol-solo", {"auc": "auc", "iou@0.5": "iou@0.5"}),
        ("ez-vsl", {"auc": "auc", "ap50": "iou@0.5", "ciou_mean": "mean_iou"}),
        *((name, dict.fromkeys(("auc", "iou@0.5", "ciou@0.3", "mean_iou")))
          for name in ("lvs", "sspl", "adaptive")),
    ],
)  # fmt: skip
def test_solo_figures_equal_those_of_the_authors_own_code(solo_ious, protocol, names):
    ious = solo_ious(protocol)
    figures = {
        "auc": metrics.auc(ious),
        "iou@0.5": metrics.ciou_at(ious, 0.5),
        "ciou@0.3": metrics.ciou_at(ious, 0.3),
        "mean_iou": ious.mean(),
    }
    printed = golden.expected()["authors"][protocol]
    assert len(ious) == 800
    for name, ours in names.items():
        assert figures[ours or name] == pytest.approx(printed[name], abs=1e-9)


@pytest.mark.parametrize("protocol", FRAME_RULES)
def test_each_solo_frame_scores_what_the_reference_evaluator_gives(solo_ious, protocol):
    assert solo_ious(protocol).tolist() == golden.expected()[protocol]["ious"]


def test_on_solo_frames_spm_paper_equals_dsol_solo(solo_ious):
    assert (solo_ious("spm-paper") == solo_ious("dsol-solo")).all()


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_the_documentation_prints_the_scores_of_the_golden_maps(solo_ious, name):
    ious = solo_ious(name)
    scores = metrics.ciou_at(ious, 0.5), metrics.ciou_at(ious, 0.3), metrics.auc(ious)
    printed = " | ".join(f"{100 * score:.1f} %" for score in scores)
    page = (ROOT / "docs/protocols.md").read_text(encoding="utf-8")
    assert f"| `{name}` | {printed} |" in page


def evaluate(name, maps, classes, frames):
    """Scores of maps (n, classes, h, w); `frames` has the boxes of each frame by class."""
    boxes = {}
    for number, groups in enumerate(frames):
        boxes[number] = []
        for category, group in groups.items():
            boxes[number] += [Box(category, tuple(sides)) for sides in group]
    videos = [("v",)] * len(maps)
    predictions = Predictions(range(len(maps)), videos, class_maps=maps, classes=tuple(classes))
    _, scores = evaluation.score([PROTOCOLS[name]], predictions, Truth(boxes))[name]
    return scores


def figures_of(scores):
    return {
        "auc": metrics.auc(scores.ious),
        "ciou@0.3": metrics.ciou_at(scores.ious, 0.3),
        "ciou@0.5": metrics.ciou_at(scores.ious, 0.5),
        "nsa": scores.nsa.mean(),
        "frames": len(scores.ious),
    }


@pytest.mark.slow
@pytest.mark.parametrize("testset", ["duet", "synthetic"])
def test_each_frame_with_class_maps_scores_what_the_reference_evaluator_gives(testset):
    arrays, protocol = golden.maps(), f"dsol-{testset}"
    maps, frames = golden.class_maps(testset, arrays), golden.class_boxes(testset)
    scores = evaluate(protocol, maps, arrays["classes"], frames)
    expected = golden.expected()[protocol]
    assert len(scores.ious) == 32
    assert scores.ious.tolist() == expected["ious"]
    assert scores.nsa == pytest.approx(expected["nsa"], abs=1e-12)


@pytest.mark.parametrize("testset", ["duet", "synthetic"])
def test_the_full_golden_set_scores_what_dsols_own_script_printed(shared, testset):
    """An extra where the full set is at hand; the test above covers its protocols everywhere."""
    with np.load(shared / "golden/golden_maps.npz") as file:
        arrays = dict(file)
    keys = [str(key) for key in arrays[f"{testset}_keys"]]
    if testset == "duet":
        frames = [golden.by_class(golden.dsol_json("duettest")[key]["bbox"]) for key in keys]
    else:
        synthetic = golden.synthetic_boxes(shared / "golden/golden_synthetic_boxes.csv")
        frames = [synthetic[key] for key in keys]
    maps, protocol = golden.class_maps(testset, arrays), f"dsol-{testset}"
    printed = json.loads((shared / "golden/golden_scores.json").read_text(encoding="utf-8"))
    scores = evaluate(protocol, maps, arrays["classes"], frames)
    assert figures_of(scores) == pytest.approx(printed[protocol], abs=1e-9)


@pytest.fixture(scope="module")
def boxed_duets():
    """The boxes of all boxed duet frames of DSOL, by class."""
    frames = [frame["bbox"] for frame in golden.dsol_json("duettest").values() if frame["bbox"]]
    assert len(frames) == 10_284
    return [golden.by_class(boxes) for boxes in frames]


@pytest.mark.slow
def test_uniform_maps_score_what_dsols_script_printed_over_all_boxed_duets(boxed_duets):
    """The script prints six digits."""
    uniform = np.full((len(boxed_duets), 11, 14, 14), 1 / 11, np.float32)
    printed = {"auc": 0.161187, "ciou@0.3": 0.064858, "ciou@0.5": 0.017406, "nsa": 1.0}
    scores = evaluate("dsol-duet", uniform, golden.maps()["classes"], boxed_duets)
    assert figures_of(scores) == pytest.approx({**printed, "frames": 10_284}, abs=5e-7)


@pytest.mark.slow
def test_oracle_maps_score_what_dsols_script_printed_over_all_boxed_duets(boxed_duets):
    """Cells whose centre is in a box have the logit 9, all others -6, before the softmax."""
    classes = golden.maps()["classes"].tolist()
    centres = (np.arange(14) + 0.5) / 14
    logits = np.full((len(boxed_duets), 11, 14, 14), -6.0, np.float32)
    for frame_logits, groups in zip(logits, boxed_duets, strict=True):
        for category, boxes in groups.items():
            for x, y, w, h in boxes:
                rows = (centres > y) & (centres < y + h)
                columns = (centres > x) & (centres < x + w)
                frame_logits[classes.index(category)][np.ix_(rows, columns)] = 9
    maps = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    printed = {"auc": 0.741458, "ciou@0.3": 0.994166, "ciou@0.5": 0.971995, "nsa": 1.0}
    scores = evaluate("dsol-duet", maps, classes, boxed_duets)
    assert figures_of(scores) == pytest.approx({**printed, "frames": 10_284}, abs=5e-7)


@pytest.fixture(scope="module")
def avgn_overlaps(solo_truth):
    return masks.overlaps([PROTOCOLS["avgn-as-coded"]], golden.maps()["solo_maps"], solo_truth)


def test_avgn_as_coded_has_the_figures_of_the_authors_own_functions(avgn_overlaps):
    """Torch's bicubic interpolation rounds differently, which changes one pixel of all maps."""
    printed = golden.expected()["authors"]["avgn-as-coded"]
    ious = avgn_overlaps.iou[:, 0]
    # x, y, w, h read as two corners leave more than half of the frames without truth
    assert (avgn_overlaps.truth == 0).sum() == 412
    assert ious.mean() == pytest.approx(printed["mean_iou"], abs=1e-8)
    assert metrics.ciou_at(ious, 0.3, strict=True) == printed["ciou@0.3"]
    assert metrics.auc(ious) == pytest.approx(printed["auc"], abs=1e-12)
    precision = avgn_overlaps.swapped_precision(224**2).mean()
    assert precision == pytest.approx(printed["swapped_precision"], abs=1e-6)


def test_avgn_as_coded_scores_each_frame_as_the_reference_evaluator_does(avgn_overlaps):
    expected = golden.expected()["avgn-as-coded"]
    ious, precision = avgn_overlaps.iou[:, 0], avgn_overlaps.swapped_precision(224**2)[:, 0]
    assert ious == pytest.approx(expected["ious"], abs=1e-4)
    assert (ious != expected["ious"]).sum() <= 1
    assert precision == pytest.approx(expected["swapped_precision"], abs=1e-4)


def test_resized_golden_maps_are_opencvs_to_the_bit():
    resized = masks.resize(golden.maps()["solo_maps"][: golden.RESIZED], 224)
    assert hashlib.sha256(resized.tobytes()).hexdigest() == golden.expected()["opencv_sha256"]


def test_an_unknown_protocol_is_an_error_that_lists_the_known_ones():
    with pytest.raises(UserError, match=r"'dsol'.*dsol-solo.*adaptive"):
        protocols.find("dsol")


def test_every_rule_and_normalization_has_a_code_of_the_kernels():
    assert {rule.name: masks.RULE_CODES[rule].name for rule in Rule} == {
        name: name for name in kernels.RuleCode.__members__
    }
    assert {member.name: masks.NORMALIZE_CODES[member].name for member in Normalize} == {
        name: name for name in kernels.NormalizeCode.__members__
    }


def permuted(enum, base):
    """The same members, declared in the reverse order."""
    return base(enum.__name__, [(member.name, member.value) for member in reversed(enum)])


def test_the_order_in_which_rules_are_declared_changes_no_score(monkeypatch):
    maps, box = golden.maps()["solo_maps"][:20], np.array([[0.2, 0.3, 0.4, 0.5]])
    names = [name for name, protocol in PROTOCOLS.items() if protocol.resize == "bilinear"]
    before = [masks.ious(PROTOCOLS[name], maps, [box] * 20) for name in names]

    rules, normalizations = permuted(Rule, StrEnum), permuted(Normalize, StrEnum)
    rule_codes = permuted(kernels.RuleCode, IntEnum)
    normalize_codes = permuted(kernels.NormalizeCode, IntEnum)
    assert list(rules) == [member.value for member in reversed(Rule)]
    monkeypatch.setattr(masks, "RULE_CODES", {rule: rule_codes[rule.name] for rule in rules})
    monkeypatch.setattr(
        masks,
        "NORMALIZE_CODES",
        {member: normalize_codes[member.name] for member in normalizations},
    )
    for name, ious in zip(names, before, strict=True):
        protocol = PROTOCOLS[name]
        again = replace(
            protocol, rule=rules(protocol.rule), normalize=normalizations(protocol.normalize)
        )
        assert (masks.ious(again, maps, [box] * 20) == ious).all(), name
