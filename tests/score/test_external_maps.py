"""`spm score`: maps that were made elsewhere."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from spm.base import tables
from spm.base.config import UserError
from spm.boxes.benchmarks import BenchmarkBoxes, Box, Frame
from spm.score import external_maps

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 0.5, 1.0)
TRUTH = BenchmarkBoxes(
    {
        "a/1.jpg": Frame((Box("cello", LEFT),), "a"),
        "b/1.jpg": Frame((Box("cello", LEFT), Box("flute", RIGHT)), "b"),
        "b/2.jpg": Frame((), "b"),
    }
)


def half(side):
    """A map that lights one half."""
    lit = np.zeros((4, 4), np.float32)
    lit[:, :2] = side == "left"
    lit[:, 2:] = side == "right"
    return lit


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
    for key, one in zip(stored.keys, stored.maps, strict=True):
        file = tmp_path / "folder" / f"{key.removesuffix('.jpg')}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, one)
    rows = [
        {"key": k, "map": one.ravel(), "height": 4, "width": 4}
        for k, one in zip(stored.keys, stored.maps, strict=True)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "maps.parquet")
    expected = external_maps.match_to_truth(stored, TRUTH)[0]
    for path in (tmp_path / "folder", tmp_path / "maps.parquet"):
        drawn = external_maps.match_to_truth(external_maps.read(path), TRUTH)[0]
        assert list(drawn.keys) == list(expected.keys)
        assert (drawn.single == expected.single).all()


def test_the_workflows_own_maps_are_read_by_video_and_time(tmp_path):
    rows = [
        {"clip_id": "v_0", "video_id": "v", "frame": n, "time_s": n / 4, "category": None, "height": 4, "width": 4,
         "map": half("left").ravel()} for n in range(2)
    ]  # fmt: skip
    tables.write_rows(tmp_path / "solo.parquet", tables.MAPS, rows)
    assert external_maps.read(tmp_path / "solo.parquet").keys == ["v/0.000", "v/0.250"]


def test_maps_of_classes_come_from_clusters_from_names_or_from_rows(tmp_path):
    clusters = np.stack([half("right"), half("left")])[None]  # cluster 1 draws the cello
    named = {"keys": ["b/1.jpg"], "classes": ["cello", "flute"]}
    by_cluster = external_maps.read(
        write(tmp_path / "c.npz", maps=clusters, cluster_of_class=[1, 0], **named)
    )
    by_class = external_maps.read(write(tmp_path / "n.npz", maps=clusters[:, ::-1], **named))
    told = external_maps.read(
        write(tmp_path / "t.npz", maps=clusters[:, ::-1], keys=["b/1.jpg"]), ["cello", "flute"]
    )
    rows = [{"key": "b/1.jpg", "category": name, "map": half(side).ravel(), "height": 4, "width": 4}
            for name, side in (("flute", "right"), ("cello", "left"))]  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / "r.parquet")
    for one in (by_class, told, external_maps.read(tmp_path / "r.parquet")):
        assert one.classes == by_cluster.classes == ("cello", "flute")
        assert (one.maps == by_cluster.maps).all()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"keys": ["a"]}, "no maps in it; it holds keys"),
        ({"keys": ["a"], "maps": np.ones((1, 4))}, r"maps of shape \(1, 4\); \(n, h, w\) or"),
        ({"keys": ["a", "b"], "maps": np.ones((1, 4, 4))}, "2 keys for 1 maps"),
        ({"keys": ["a", "a"], "maps": np.ones((2, 4, 4))}, "key 'a' stands twice"),
        ({"keys": ["a"], "maps": np.ones((1, 2, 4, 4))}, "2 maps a frame and 0 names of classes"),
        (
            {"keys": ["a", "b"], "maps": np.stack([half("left"), half("left") * np.nan])},
            "b: NaN or infinity",
        ),
    ],
)
def test_maps_that_cannot_be_scored_are_named(tmp_path, arrays, said):
    with pytest.raises(UserError, match=said):
        external_maps.read(write(tmp_path / "maps.npz", **arrays))


def test_a_folder_of_several_shapes_and_one_of_nothing_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no \.npy in it"):
        external_maps.read(tmp_path)
    for name, size in (("a", 4), ("b", 5)):
        np.save(tmp_path / f"{name}.npy", np.ones((size, size)))
    with pytest.raises(UserError, match=r"b\.npy: another shape than the first map's"):
        external_maps.read(tmp_path)
    with pytest.raises(UserError, match="no such file or folder"):
        external_maps.read(tmp_path / "nowhere")


def test_frames_without_a_map_are_an_error_unless_allowed_and_strangers_are_noted(npz):
    stored = external_maps.read(npz)
    lacking = external_maps.ExternalMaps(["a/1.jpg", "z/9.jpg"], stored.maps[:2])
    with pytest.raises(UserError, match=r"1 of 2 boxed frames have no map: b/1\.jpg; .* --partial"):
        external_maps.match_to_truth(lacking, TRUTH)
    drawn, _, notes = external_maps.match_to_truth(lacking, TRUTH, partial=True)
    assert list(drawn.keys) == ["a/1.jpg"]
    assert notes == [
        "1 boxed frames without a map: b/1.jpg",
        "1 maps without a frame in the boxes: z/9.jpg",
    ]
    with pytest.raises(
        UserError, match=r"no map has the key of a boxed frame: maps x; boxes a/1\.jpg, b/1\.jpg"
    ):
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


def test_the_command_prints_the_maps_beside_baselines_and_writes_every_figure(npz, boxes, tmp_path):
    out = tmp_path / "scores.csv"
    done = spm_score(npz, "--boxes", boxes, "--protocol", "sspl", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "protocol sspl, 2 frames" in done.stdout
    assert "centre-square-50%" in done.stdout
    table = pd.read_csv(out)
    assert table.columns.tolist() == ["protocol", "metric", "value", "frames"]
    values = table.set_index("metric")["value"]
    assert values["iou@0.5"] == 1.0  # a: all of it; b: half of the united halves
    assert values["mean_iou"] == 0.75
    assert values["whole-image mean_iou"] == 0.75
    assert set(table["frames"]) == {2}


def test_all_protocols_show_the_spread_and_leave_out_what_maps_of_classes_cannot_answer(
    boxes, tmp_path
):
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
    assert "protocol dsol-solo left out: it wants one map a frame" in done.stderr
    table = pd.read_csv(tmp_path / "o.csv")
    assert {"spm-paper", "dsol-duet", "dsol-synthetic", "avgn"} <= set(table["protocol"])
    of = table[table["protocol"] == "dsol-synthetic"].set_index("metric")["value"]
    assert of["ciou@0.3"] == 1
    assert of["nsa"] == pytest.approx(
        1 - 0.9 / 4, abs=0.1
    )  # a's flute map is lit, and the tuba's dark


def test_where_every_class_sounds_there_is_no_no_sounding_area(boxes, tmp_path):
    maps = np.stack([np.stack([half("left"), half("right")])] * 2)
    npz = write(
        tmp_path / "maps.npz", keys=["a/1.jpg", "b/1.jpg"], maps=maps, classes=["cello", "flute"]
    )
    done = spm_score(npz, "--boxes", boxes, "--protocol", "dsol-duet", "--out", tmp_path / "o.csv")
    assert done.returncode == 0, done.stderr
    assert "nsa" not in set(pd.read_csv(tmp_path / "o.csv")["metric"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--protocol", "dsol"), "unknown protocol 'dsol': one of spm-paper"),
        (("--boxes", "nowhere.csv"), "expected a file or folder of boxes, or one of dsol-solo"),
    ],
)
def test_a_wrong_word_is_one_line_and_status_1(npz, boxes, words, said):
    done = spm_score(npz, "--boxes", boxes, *words)
    assert done.returncode == 1
    assert done.stderr.startswith("spm: error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_golden_maps_score_through_the_command_what_the_peers_scripts_printed(shared, tmp_path):
    golden = np.load(shared / "golden/golden_maps.npz")
    printed = json.loads((shared / "golden/golden_scores.json").read_text())
    clusters = {name: golden[name] for name in ("classes", "cluster_of_class")}
    synthetic = shared / "golden/golden_synthetic_boxes.csv"
    for name, file, extra in (
        ("solo", shared / "manifests/DSOL/solotest.json", {}),
        ("duet", shared / "manifests/DSOL/duettest.json", clusters),
        ("synthetic", synthetic, clusters),
    ):
        maps = write(
            tmp_path / f"{name}.npz",
            keys=golden[f"{name}_keys"],
            maps=golden[f"{name}_maps"],
            **extra,
        )
        out, protocol = tmp_path / f"{name}.csv", f"dsol-{name}"
        done = spm_score(
            maps,
            "--boxes",
            file,
            "--protocol",
            protocol,
            "--partial",
            "--out",
            out,
            "--bootstrap",
            10,
        )
        assert done.returncode == 0, done.stderr
        found = pd.read_csv(out).set_index("metric")["value"].to_dict()
        for metric in {"auc", "iou@0.5", "ciou@0.3", "nsa"} & printed[protocol].keys():
            assert found[metric] == pytest.approx(printed[protocol][metric], abs=1e-9), (
                name,
                metric,
            )
