"""`spm score`: maps of other systems."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame
from spm.score import external_maps
from tests.score import golden
from tests.score.reference_evaluators import area_under_success

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 0.5, 1.0)
TRUTH = BenchmarkBoxes(
    {
        "a/1.jpg": Frame((Box("cello", LEFT),), "a"),
        "b/1.jpg": Frame((Box("cello", LEFT), Box("flute", RIGHT)), "b"),
        "b/2.jpg": Frame((), "b"),
    }
)


def half(side):
    """A map that is 1 in its left or right half."""
    cells = np.zeros((4, 4), np.float32)
    cells[:, :2] = side == "left"
    cells[:, 2:] = side == "right"
    return cells


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture
def npz(tmp_path):
    keys = ["a/1.jpg", "b/1.jpg", "b/2.jpg"]
    return write(
        tmp_path / "maps.npz", keys=keys, maps=np.stack([half("left"), half("left"), half("right")])
    )


def test_npz_folder_and_parquet_hold_the_same_maps(npz, tmp_path):
    stored = external_maps.read(npz)
    rows = []
    for key, cells in zip(stored.keys, stored.maps, strict=True):
        file = tmp_path / "folder" / f"{key.removesuffix('.jpg')}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, cells)
        rows.append({"key": key, "map": cells.ravel(), "height": 4, "width": 4})
    pd.DataFrame(rows).to_parquet(tmp_path / "maps.parquet")
    expected, _, _ = external_maps.match_to_truth(stored, TRUTH)
    for path in (tmp_path / "folder", tmp_path / "maps.parquet"):
        predictions, _, _ = external_maps.match_to_truth(external_maps.read(path), TRUTH)
        assert list(predictions.keys) == list(expected.keys)
        assert (predictions.frame_maps == expected.frame_maps).all()


def test_the_workflows_maps_are_read_by_video_and_time(tmp_path):
    frame = {"clip_id": "v_0", "video_id": "v", "category": None, "height": 4, "width": 4,
             "map": half("left").ravel()}  # fmt: skip
    rows = [{**frame, "frame": number, "time_s": number / 4} for number in range(2)]
    tables.write_rows(tmp_path / "solo.parquet", schemas.MAPS, rows)
    assert external_maps.read(tmp_path / "solo.parquet").keys == ["v/0.000", "v/0.250"]


def test_class_maps_are_read_by_cluster_by_name_and_by_row(tmp_path):
    clusters = np.stack([half("right"), half("left")])[None]  # cluster 1 draws the cello
    named = {"keys": ["b/1.jpg"], "classes": ["cello", "flute"]}
    write(tmp_path / "clusters.npz", maps=clusters, cluster_of_class=[1, 0], **named)
    write(tmp_path / "names.npz", maps=clusters[:, ::-1], **named)
    write(tmp_path / "no-names.npz", maps=clusters[:, ::-1], keys=["b/1.jpg"])
    row = {"key": "b/1.jpg", "height": 4, "width": 4}
    rows = [
        {**row, "category": "flute", "map": half("right").ravel()},
        {**row, "category": "cello", "map": half("left").ravel()},
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
    by_cluster = external_maps.read(tmp_path / "clusters.npz")
    for stored in (
        external_maps.read(tmp_path / "names.npz"),
        external_maps.read(tmp_path / "no-names.npz", ["cello", "flute"]),
        external_maps.read(tmp_path / "rows.parquet"),
    ):
        assert stored.classes == by_cluster.classes == ("cello", "flute")
        assert (stored.maps == by_cluster.maps).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"keys": ["a"]}, "no array named maps: it holds keys"),
        (
            {"keys": ["a"], "maps": np.ones((1, 4))},
            r"maps of shape \(1, 4\); expected \(n, h, w\) or",
        ),
        ({"keys": ["a", "b"], "maps": np.ones((1, 4, 4))}, "2 keys for 1 maps"),
        ({"keys": ["a", "a"], "maps": np.ones((2, 4, 4))}, "key 'a' is repeated"),
        ({"keys": ["a"], "maps": np.ones((1, 2, 4, 4))}, "2 maps per frame and 0 class names"),
        (
            {"keys": ["a", "b"], "maps": np.stack([half("left"), half("left") * np.nan])},
            "b: NaN or infinity",
        ),
    ],
)
def test_maps_that_cannot_be_scored_raise_an_error(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message):
        external_maps.read(write(tmp_path / "maps.npz", **arrays))


def test_a_folder_of_different_shapes_and_an_empty_one_raise_an_error(tmp_path):
    with pytest.raises(UserError, match=r"no \.npy file in this folder"):
        external_maps.read(tmp_path)
    for name, size in (("a", 4), ("b", 5)):
        np.save(tmp_path / f"{name}.npy", np.ones((size, size)))
    with pytest.raises(
        UserError, match=r"b\.npy: shape \(5, 5\); expected that of the first map, \(4, 4\)"
    ):
        external_maps.read(tmp_path)
    with pytest.raises(UserError, match="no such file or folder"):
        external_maps.read(tmp_path / "nowhere")


def test_frames_without_a_map_are_an_error_unless_allowed_and_unknown_keys_are_noted(npz):
    stored = external_maps.read(npz)
    lacking = external_maps.ExternalMaps(["a/1.jpg", "z/9.jpg"], stored.maps[:2])
    with pytest.raises(
        UserError, match=r"1 of 2 boxed frames have no map: b/1\.jpg\. .* --partial"
    ):
        external_maps.match_to_truth(lacking, TRUTH)
    predictions, _, notes = external_maps.match_to_truth(lacking, TRUTH, partial=True)
    assert list(predictions.keys) == ["a/1.jpg"]
    assert notes == [
        "1 boxed frames without a map: b/1.jpg",
        "1 maps without a frame in the boxes: z/9.jpg",
    ]
    with pytest.raises(UserError, match=r"the maps have x; the boxes have a/1\.jpg, b/1\.jpg"):
        external_maps.match_to_truth(external_maps.ExternalMaps(["x"], stored.maps[:1]), TRUTH)


@pytest.fixture
def boxes(tmp_path):
    rows = [
        (key, box.category, *box.sides)
        for key, frame in TRUTH.frames.items()
        for box in frame.boxes
    ]
    pd.DataFrame(rows, columns=["key", "category", "x", "y", "w", "h"]).to_csv(
        tmp_path / "boxes.csv", index=False
    )
    return tmp_path / "boxes.csv"


def spm_score(*words):
    command = [sys.executable, "-m", "spm.cli", "score", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_prints_maps_and_baselines_and_writes_every_figure(npz, boxes, tmp_path):
    out = tmp_path / "scores.csv"
    done = spm_score(npz, "--boxes", boxes, "--protocol", "sspl", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "protocol sspl, 2 frames" in done.stdout
    assert "centre-square-50%" in done.stdout
    table = pd.read_csv(out)
    assert table.columns.tolist() == ["protocol", "metric", "value", "frames"]
    values = table.set_index("metric")["value"]
    assert values["iou@0.5"] == 1.0  # a: the entire box; b: half of the union
    assert values["mean_iou"] == 0.75
    assert values["whole-image mean_iou"] == 0.75
    assert set(table["frames"]) == {2}


def test_all_protocols_are_scored_except_those_that_class_maps_lack_maps_for(boxes, tmp_path):
    maps = np.stack([np.stack([half("left"), half("right")])] * 2)
    silent = np.concatenate([maps, np.zeros((2, 1, 4, 4))], axis=1)
    npz = write(
        tmp_path / "maps.npz",
        keys=["a/1.jpg", "b/1.jpg"],
        maps=silent,
        classes=["cello", "flute", "tuba"],
    )
    done = spm_score(npz, "--boxes", boxes, "--all-protocols", "--out", tmp_path / "o.csv")
    assert done.returncode == 0, done.stderr
    assert "protocol dsol-solo left out: it needs one map per frame" in done.stderr
    table = pd.read_csv(tmp_path / "o.csv")
    assert {"spm-paper", "dsol-duet", "dsol-synthetic", "avgn"} <= set(table["protocol"])
    values = table[table["protocol"] == "dsol-synthetic"].set_index("metric")["value"]
    assert values["ciou@0.3"] == 1
    # of frame a, the flute's map is active in one half and the tuba's nowhere
    assert values["nsa"] == pytest.approx(1 - 0.9 / 4, abs=0.1)


def test_if_every_class_sounds_there_is_no_nsa(boxes, tmp_path):
    maps = np.stack([np.stack([half("left"), half("right")])] * 2)
    npz = write(
        tmp_path / "maps.npz", keys=["a/1.jpg", "b/1.jpg"], maps=maps, classes=["cello", "flute"]
    )
    done = spm_score(npz, "--boxes", boxes, "--protocol", "dsol-duet", "--out", tmp_path / "o.csv")
    assert done.returncode == 0, done.stderr
    assert "nsa" not in set(pd.read_csv(tmp_path / "o.csv")["metric"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--protocol", "dsol"), "unknown protocol 'dsol': expected one of spm-paper"),
        (("--boxes", "nowhere.csv"), "expected a file or folder of boxes, or one of dsol-solo"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_1(npz, boxes, words, message):
    done = spm_score(npz, "--boxes", boxes, *words)
    assert done.returncode == 1
    assert done.stderr.startswith("spm: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("testset", ["solo", "duet", "synthetic"])
def test_the_command_gives_golden_maps_the_scores_of_the_reference_evaluators(testset, tmp_path):
    arrays, protocol = golden.maps(), f"dsol-{testset}"
    clusters = {name: arrays[name] for name in ("classes", "cluster_of_class")}
    maps = write(
        tmp_path / "maps.npz",
        keys=arrays[f"{testset}_keys"],
        maps=arrays[f"{testset}_maps"],
        **(clusters if testset != "solo" else {}),
    )
    boxes, out = golden.DATA / "golden/synthetic_boxes.csv", tmp_path / "scores.csv"
    if testset != "synthetic":
        boxes = tmp_path / "boxes.json"
        boxes.write_text(json.dumps(golden.dsol_json(f"{testset}test")), encoding="utf-8")
    options = ["--protocol", protocol, "--partial", "--out", out, "--bootstrap", 10]
    done = spm_score(maps, "--boxes", boxes, *options)
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(out).set_index("metric")["value"]
    expected = golden.expected()[protocol]
    ious = np.array(expected["ious"])
    assert found["mean_iou"] == pytest.approx(ious.mean(), abs=1e-9)
    assert found["auc"] == pytest.approx(area_under_success(expected["ious"]), abs=1e-9)
    assert found["iou@0.5"] == pytest.approx((ious >= 0.5).mean(), abs=1e-9)
    assert found["ciou@0.3"] == pytest.approx((ious >= 0.05 * 6).mean(), abs=1e-9)
    if testset != "solo":
        assert found["nsa"] == pytest.approx(np.mean(expected["nsa"]), abs=1e-9)
