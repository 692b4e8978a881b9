import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spm.base.config import UserError
from spm.score import metrics, protocols, scores
from spm.score.protocols import PROTOCOLS

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
GOLDEN = DATA / "golden" / "golden_maps.npz"
DETECTOR = {13: "accordion", 3: "acoustic_guitar", 1: "cello", 12: "flute", 8: "saxophone", 10: "trumpet", 11: "violin"}
EXACT = st.integers(-128, 128).map(lambda n: n / 64)  # interpolated to 224 px without rounding
MAPS = arrays(np.float32, st.tuples(st.integers(1, 3), st.just(7), st.just(7)), elements=EXACT)

golden = pytest.mark.skipif(not GOLDEN.exists(), reason=f"golden maps absent: {GOLDEN.name} in shared/data/golden")


@pytest.fixture(scope="module")
def maps():
    return np.load(GOLDEN)


@pytest.fixture(scope="module")
def published():
    return json.loads(GOLDEN.with_name("golden_scores.json").read_text())


def dsol(name):
    frames = json.loads((DATA / "manifests" / "DSOL" / name).read_text())
    return {key: [(box["category_id"], *box["normbox"]) for box in frame["bbox"]] for key, frame in frames.items()}


@pytest.fixture(scope="module")
def solo_ious(maps):
    boxes = dsol("solotest.json")
    truth = [np.array(boxes[key])[:, 1:] for key in maps["solo_keys"]]
    return lambda name: protocols.ious(PROTOCOLS[name], maps["solo_maps"], truth)


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
        f"{100 * score:.1f} %" for score in (metrics.ciou_at(ious, 0.5), metrics.ciou_at(ious, 0.3), metrics.auc(ious))
    )
    assert f"| `{name}` | {printed} |" in (REPOSITORY / "docs" / "protocols.md").read_text(encoding="utf-8")


def class_aware(name, maps, cluster_of, frames):
    """Scores of maps (n, clusters, h, w) against one list of (category, x, y, w, h) a frame."""
    rules = PROTOCOLS[name]
    rows = [[dict(zip(("category", *"xywh"), box, strict=True)) for box in boxes] for boxes in frames]
    targets = [target for number, kept in enumerate(rows) for target in scores.targets(rules, number, kept)]
    frame = [target.frame for target in targets]
    cluster = [cluster_of[category] for target in targets for category in target.categories]
    ious = metrics.ciou(
        protocols.ious(rules, maps[frame, cluster], [target.boxes for target in targets]), frame, len(maps)
    )
    sounding = np.zeros(maps.shape[:2], bool)
    sounding[frame, cluster] = True
    dark = [
        metrics.nsa(protocols.resize(maps[i : i + 50], rules.raster_px), sounding[i : i + 50], rules.nsa_at)
        for i in range(0, len(maps), 50)
    ]
    return {
        "auc": metrics.auc(ious),
        "ciou@0.3": metrics.ciou_at(ious, 0.3),
        "ciou@0.5": metrics.ciou_at(ious, 0.5),
        "nsa": np.concatenate(dark).mean(),
        "frames": len(ious),
    }


@golden
def test_dsol_duet_is_what_its_own_script_printed(maps, published):
    boxes = dsol("duettest.json")
    frames = [[(DETECTOR[category], *box) for category, *box in boxes[key]] for key in maps["duet_keys"]]
    cluster_of = dict(zip(maps["classes"], maps["cluster_of_class"], strict=True))
    assert class_aware("dsol-duet", maps["duet_maps"], cluster_of, frames) == pytest.approx(
        published["dsol-duet"], abs=1e-9
    )


@golden
def test_dsol_synthetic_is_what_its_own_script_printed(maps, published):
    boxes = defaultdict(list)
    with GOLDEN.with_name("golden_synthetic_boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            boxes[row["key"]].append((row["category"], *(float(row[side]) for side in "xywh")))
    frames = [boxes[key] for key in maps["synthetic_keys"]]
    cluster_of = dict(zip(maps["classes"], maps["cluster_of_class"], strict=True))
    assert class_aware("dsol-synthetic", maps["synthetic_maps"], cluster_of, frames) == pytest.approx(
        published["dsol-synthetic"], abs=1e-9
    )


@golden
def test_uniform_maps_have_the_reference_scores_over_all_of_dsols_boxed_duets(maps):
    boxes = [some for some in dsol("duettest.json").values() if some]
    assert len(boxes) == 10_284
    frames = [[(DETECTOR[category], *box) for category, *box in some] for some in boxes]
    uniform = np.broadcast_to(np.float32(1 / 11), (1, 14, 14))
    rules = PROTOCOLS["dsol-duet"]
    rows = [[dict(zip(("category", *"xywh"), box, strict=True)) for box in some] for some in frames]
    targets = [target for number, kept in enumerate(rows) for target in scores.targets(rules, number, kept)]
    ious = metrics.ciou(
        protocols.ious(rules, np.repeat(uniform, len(targets), 0), [target.boxes for target in targets]),
        [target.frame for target in targets],
        len(frames),
    )
    assert metrics.auc(ious) == pytest.approx(0.161187, abs=5e-7)
    assert metrics.ciou_at(ious, 0.3) == pytest.approx(0.064858, abs=5e-7)
    assert metrics.ciou_at(ious, 0.5) == pytest.approx(0.017406, abs=5e-7)


@settings(max_examples=30, deadline=None)
@given(MAPS)
def test_resizing_is_torchs_bilinear_with_half_pixel_centres(maps):
    torch = pytest.importorskip("torch")
    expected = torch.nn.functional.interpolate(torch.from_numpy(maps)[:, None], (50, 50), mode="bilinear")
    np.testing.assert_allclose(protocols.resize(maps, 50), expected[:, 0].numpy(), atol=1e-5)


def test_resizing_a_single_cell_or_a_row_of_cells_repeats_it():
    assert (protocols.resize(np.full((1, 1, 1), 0.7), 5) == np.float32(0.7)).all()
    assert protocols.resize(np.array([[[0.0, 1.0]]]), 4)[0].tolist() == [[0, 0.25, 0.75, 1]] * 4


def test_a_boxs_corners_are_scaled_before_they_are_added():
    x, w = next(
        (left / 640, width / 640)
        for left in range(1, 320)
        for width in range(1, 320)
        if int(224 * (left / 640) + 224 * (width / 640)) != int(224 * (left / 640 + width / 640))
    )
    columns = protocols.raster(np.array([[x, 0, w, 1]]), 224).any(0).nonzero()[0]
    assert columns[-1] + 1 == int(224 * x + 224 * w)


def test_boxes_are_united_and_cut_at_the_frame():
    both = protocols.raster(np.array([[0.0, 0.0, 0.5, 0.5], [0.25, 0.25, 0.9, 0.25]]), 8)
    assert both.sum() == 16 + 4 * 2
    assert both[2:4, 4:].all()


def test_a_box_thinner_than_a_pixel_is_not_drawn():
    assert not protocols.is_drawn(np.array([[0.5, 0.5, 1e-4, 0.3]]), 224)
    assert protocols.is_drawn(np.array([[0.5, 0.5, 1e-4, 0.3], [0, 0, 0.1, 0.1]]), 224)


ALIGNED = np.array([[0.25, 0.25, 0.5, 0.5]])


@pytest.mark.parametrize("name", ["dsol-solo", "dsol-duet", "dsol-synthetic", "spm-paper", "sspl"])
def test_a_map_as_fine_as_the_raster_scores_one_on_its_own_box(name):
    drawn = protocols.raster(ALIGNED, 224)[None].astype(float)
    assert protocols.ious(PROTOCOLS[name], drawn, [ALIGNED]) == [1]


def test_the_median_rules_take_half_the_image_whatever_the_map():
    noise = np.random.default_rng(0).random((3, 224, 224))
    truth = np.ones((3, 224, 224), bool)
    assert protocols.foreground(PROTOCOLS["ez-vsl"], noise, truth).mean((1, 2)).tolist() == [0.5] * 3
    assert protocols.foreground(PROTOCOLS["lvs"], noise, truth).sum((1, 2)).tolist() == [25_087] * 3


def test_the_adaptive_rule_takes_as_much_as_the_truth_has_but_its_last_pixel():
    noise = np.random.default_rng(0).permutation(224 * 224).reshape(1, 224, 224) / 224**2
    truth = protocols.raster(np.array([[0.1, 0.2, 0.3, 0.4]]), 224)[None]
    assert protocols.foreground(PROTOCOLS["adaptive"], noise, truth).sum() == truth.sum() - 1


def test_a_fraction_of_the_maximum_is_not_a_fraction_of_the_range():
    halves = np.array([[[1.0, 0.6]]])
    truth = np.ones((1, 224, 224), bool)
    assert protocols.foreground(PROTOCOLS["dsol-synthetic"], halves, truth).all()
    assert 0 < protocols.foreground(PROTOCOLS["sspl"], halves, truth).mean() < 0.6


@settings(max_examples=40, deadline=None)
@given(MAPS, st.sampled_from(sorted(PROTOCOLS)), st.randoms())
def test_scores_are_bounded_and_follow_their_frames(maps, name, random):
    boxes = [np.array([[random.random() * 0.7, random.random() * 0.7, 0.3, 0.3]]) for _ in maps]
    ious = protocols.ious(PROTOCOLS[name], maps, boxes)
    order = random.sample(range(len(maps)), len(maps))
    assert ((ious >= 0) & (ious <= 1)).all()
    assert (protocols.ious(PROTOCOLS[name], maps[order], [boxes[i] for i in order]) == ious[order]).all()


@settings(max_examples=40, deadline=None)
@given(MAPS, st.sampled_from(sorted(PROTOCOLS)), st.lists(st.integers(0, 15), min_size=2, max_size=2))
def test_mirroring_map_and_box_leaves_the_score(maps, name, corner):
    x, y = np.array(corner) / 32
    box, mirrored = np.array([[x, y, 0.25, 0.5]]), np.array([[0.75 - x, y, 0.25, 0.5]])
    rules = PROTOCOLS[name]
    ious = protocols.ious(rules, maps, [box] * len(maps))
    again = protocols.ious(rules, np.ascontiguousarray(maps[:, :, ::-1]), [mirrored] * len(maps))
    assert (again == ious).all()


@settings(max_examples=30, deadline=None)
@given(MAPS, st.sampled_from(["lvs", "ez-vsl", "sspl", "adaptive"]))
def test_rules_on_the_range_do_not_care_for_a_power_of_two_as_gain(maps, name):
    boxes = [ALIGNED] * len(maps)
    assert (protocols.ious(PROTOCOLS[name], 4 * maps, boxes) == protocols.ious(PROTOCOLS[name], maps, boxes)).all()


def test_batches_do_not_show(monkeypatch):
    maps = np.random.default_rng(0).random((7, 14, 14))
    whole = protocols.ious(PROTOCOLS["ez-vsl"], maps, [ALIGNED] * 7)
    monkeypatch.setattr(protocols, "BATCH", 3)
    assert (protocols.ious(PROTOCOLS["ez-vsl"], maps, [ALIGNED] * 7) == whole).all()


def test_maps_that_cannot_be_scored_are_named():
    rules, truth = PROTOCOLS["dsol-solo"], np.ones((1, 224, 224), bool)
    with pytest.raises(ValueError, match=r"not \(14, 14\)"):
        protocols.foreground(rules, np.ones((14, 14)), truth)
    with pytest.raises(ValueError, match="finite"):
        protocols.foreground(rules, np.full((1, 14, 14), np.nan), truth)
    with pytest.raises(ValueError, match="2 maps, 1 lists"):
        protocols.ious(rules, np.ones((2, 14, 14)), [ALIGNED])


def test_an_unknown_protocol_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r"'dsol'.*dsol-solo.*adaptive"):
        protocols.named("dsol")
