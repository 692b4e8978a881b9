"""`spm score`: maps of other systems."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame, frame_key
from spm.score import external_maps, map_files, score_rows
from spm.score.map_arrays import ExternalMaps
from tests.score import golden
from tests.score.reference_evaluators import area_under_success
from tests.support.command import run_command

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


def test_a_folder_needs_no_jpg_in_the_names_of_its_files(npz, tmp_path):
    stored = map_files.read(npz)
    for key, cells in zip(stored.keys, stored.maps, strict=True):
        file = tmp_path / "folder" / f"{key.removesuffix('.jpg')}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, cells)
    expected = external_maps.match_to_truth(stored, TRUTH).predictions
    found = external_maps.match_to_truth(map_files.read(tmp_path / "folder"), TRUTH).predictions
    assert list(found.keys) == list(expected.keys) == ["a/1.jpg", "b/1.jpg", "b/2.jpg"]
    assert (found.frame_maps == expected.frame_maps).all()


def test_the_workflows_maps_are_read_by_video_and_time(tmp_path):
    frame = {"clip_id": "v_0", "video_id": "v", "category": None, "height": 4, "width": 4,
             "map": half("left").ravel()}  # fmt: skip
    rows = [{**frame, "frame": number, "time_s": number / 4} for number in range(2)]
    tables.write_rows(tmp_path / "solo.parquet", schemas.MAPS, rows)
    assert map_files.read(tmp_path / "solo.parquet").keys == ["v/0.000", "v/0.250"]


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
    by_cluster = map_files.read(tmp_path / "clusters.npz")
    for stored in (
        map_files.read(tmp_path / "names.npz"),
        map_files.read(tmp_path / "no-names.npz", ["cello", "flute"]),
        map_files.read(tmp_path / "rows.parquet"),
    ):
        assert stored.classes == by_cluster.classes == ("cello", "flute")
        assert (stored.class_maps == by_cluster.class_maps).all()


def test_frames_without_a_map_are_an_error_unless_allowed_and_unknown_keys_are_noted(npz):
    stored = map_files.read(npz)
    lacking = ExternalMaps(["a/1.jpg", "z/9.jpg"], stored.maps[:2])
    with pytest.raises(
        UserError, match=r"1 of 2 boxed frames have no map: b/1\.jpg\. .* --partial"
    ):
        external_maps.match_to_truth(lacking, TRUTH)
    matched = external_maps.match_to_truth(lacking, TRUTH, partial=True)
    assert list(matched.predictions.keys) == ["a/1.jpg"]
    assert matched.boxes == {"kept": 1, "unmatched": 2}
    assert matched.notes == [
        "1 boxed frames without a map: b/1.jpg",
        "1 maps without a frame in the boxes: z/9.jpg",
    ]
    with pytest.raises(UserError, match=r"the maps have x; the boxes have a/1\.jpg, b/1\.jpg"):
        external_maps.match_to_truth(ExternalMaps(["x"], stored.maps[:1]), TRUTH)


def timed_boxes(times_s, category="cello", video_id="v"):
    """Boxes by video and time, one per frame."""
    frames = {}
    for time_s in times_s:
        key = frame_key(video_id, time_s)
        frames[key] = Frame((Box(category, LEFT),), video_id, time_s)
    return frames


def timed_maps(times_s, video_id="v"):
    """Maps by video and time."""
    keys = [frame_key(video_id, time_s) for time_s in times_s]
    return ExternalMaps(keys, np.stack([half("left")] * len(keys)))


@pytest.mark.parametrize(
    ("box_s", "map_s"),
    [
        (0.25, 0.25),
        (0.249, 0.25),
        (0.302, 0.25),
        (0.1, 0),
        (0.399, 0.25),
        (0.13, 0.25),
        (0.61, 0.75),
    ],
)
def test_a_box_belongs_to_the_nearest_map_within_150_ms(box_s, map_s):
    times_s = [0.75, 0.25, 0]
    maps = ExternalMaps(
        [frame_key("v", time_s) for time_s in times_s],
        np.stack([np.full((4, 4), time_s, np.float32) for time_s in times_s]),
    )
    boxes = BenchmarkBoxes(timed_boxes([box_s, 0.901]))  # the second is 151 ms from a map
    matched = external_maps.match_to_truth(maps, boxes, partial=True)
    assert matched.predictions.frame_maps[:, 0, 0].tolist() == [map_s]
    assert matched.boxes == {"kept": 1, "unmatched": 1}
    assert matched.resampled == "videos"


def test_all_boxes_near_one_map_belong_to_it():
    boxes = BenchmarkBoxes(timed_boxes([0.98, 1.0, 1.02]))
    matched = external_maps.match_to_truth(timed_maps([1.0]), boxes)
    assert [len(found) for found in matched.truth.boxes.values()] == [3]
    assert matched.boxes == {"kept": 3}


def test_maps_of_another_video_do_not_match_by_time():
    with pytest.raises(
        UserError, match=r"within 0\.15 s: the maps have w/0\.000; the boxes have v/"
    ):
        external_maps.match_to_truth(timed_maps([0], "w"), BenchmarkBoxes(timed_boxes([0])))


def test_published_boxes_with_a_time_match_maps_by_video_and_time():
    published = {"v_0_1000/frame_001/00030.jpg": Frame((Box("cello", LEFT),), "v", 1.0)}
    matched = external_maps.match_to_truth(timed_maps([0.98]), BenchmarkBoxes(published))
    assert list(matched.predictions.keys) == ["v_0_1000/frame_001/00030.jpg"]
    assert matched.predictions.videos == [("v",)]


def test_boxes_obey_the_workflows_rules_if_the_videos_are_listed():
    frames = timed_boxes([0, 1]) | timed_boxes([2], "person") | timed_boxes([9], "person")
    frames |= timed_boxes([0], "cello", "stray") | timed_boxes([3], "guitar")
    listed, maps = {"v": ("cello", "acoustic_guitar")}, timed_maps([0, 1, 2, 3])
    renamed = external_maps.rename_unlisted(
        BenchmarkBoxes(frames), listed, {"guitar": "acoustic_guitar", "cello": "fiddle"}
    )
    matched = external_maps.match_to_truth(maps, renamed, listed)
    assert matched.boxes == {
        "kept": 3,
        "other-category": 1,
        "unmatched": 1,
        "unknown-video": 1,
    }
    assert {name: len(boxes) for name, boxes in matched.truth.boxes.items()} == {
        "v/0.000": 1,
        "v/1.000": 1,
        "v/2.000": 0,
        "v/3.000": 1,
    }
    assert matched.truth.boxes["v/3.000"][0].category == "acoustic_guitar"
    with pytest.raises(UserError, match="no box counts: the manifest"):
        external_maps.match_to_truth(maps, renamed, {"other": ["cello"]})
    with pytest.raises(UserError, match="--manifest: the boxes name no videos"):
        external_maps.rename_unlisted(
            BenchmarkBoxes({"a": Frame((Box("cello", LEFT),), "a")}), listed, {}
        )


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
    return run_command("score", *words)


def test_the_command_prints_maps_and_baselines_and_writes_every_figure(npz, boxes, tmp_path):
    out = tmp_path / "scores.csv"
    done = spm_score(npz, "--boxes", boxes, "--protocol", "sspl", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "protocol sspl, 2 frames" in done.stdout
    assert "centre-square-50%" in done.stdout
    table = pd.read_csv(out)
    assert table.columns.tolist() == score_rows.CSV_COLUMNS
    assert set(zip(table["interval_over"], table["interval_groups"], strict=True)) == {
        ("frames", 2)
    }
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
        (
            ("--boxes", "nowhere.csv"),
            "no such file or folder of boxes, and no such set; expected one of",
        ),
    ],
)
def test_a_wrong_option_is_one_line_and_status_1(npz, boxes, words, message):
    done = spm_score(npz, "--boxes", boxes, *words)
    assert done.returncode == 1
    assert done.stderr.startswith("spm: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def write_boxes(path, *rows):
    """Boxes on the left half of frames, as the CSV of this project."""
    sides = {"category": "cello", "x": 0, "y": 0, "w": 0.5, "h": 1}
    pd.DataFrame([sides | row for row in rows]).to_csv(path, index=False)
    return path


def two_videos(tmp_path, name_videos):
    """Two videos of 50 like frames: the maps of the first are right, those of the second wrong."""
    keys, rows, maps = [], [], []
    for video, side in (("a", "left"), ("b", "right")):
        for number in range(50):
            keys.append(f"{video}_frame{number:03d}")
            rows.append({"key": keys[-1]} | ({"video_id": video} if name_videos else {}))
            maps.append(half(side))
    npz = write(tmp_path / "maps.npz", keys=keys, maps=np.stack(maps))
    return npz, write_boxes(tmp_path / "boxes.csv", *rows)


def test_intervals_over_frames_say_that_the_boxes_name_no_videos(tmp_path):
    npz, boxes = two_videos(tmp_path, name_videos=False)
    done = spm_score(npz, "--boxes", boxes)
    assert "95 % intervals over 100 frames, because the boxes name no videos" in done.stdout
    assert done.stdout.startswith("boxes: 100 kept, 0 rejected\n")
    rows = json.loads(spm_score(npz, "--boxes", boxes, "--json").stdout)
    assert {(row["interval_over"], row["interval_groups"]) for row in rows} == {("frames", 100)}


def test_intervals_over_videos_say_how_many_and_are_as_wide_as_they_should(tmp_path):
    npz, boxes = two_videos(tmp_path, name_videos=True)
    out = tmp_path / "scores.csv"
    done = spm_score(npz, "--boxes", boxes, "--out", out)
    assert "95 % intervals over 2 videos" in done.stdout
    row = pd.read_csv(out).set_index("metric").loc["ciou@0.3"]
    assert row[["low", "high", "interval_over", "interval_groups"]].tolist() == [0, 1, "videos", 2]


def test_one_video_has_no_interval(tmp_path):
    keys = [f"v/{number}.000" for number in range(3)]
    npz = write(tmp_path / "maps.npz", keys=keys, maps=np.stack([half("left")] * 3))
    rows = [{"video_id": "v", "time_s": number} for number in range(3)]
    boxes = write_boxes(tmp_path / "boxes.csv", *rows)
    out = tmp_path / "scores.csv"
    done = spm_score(npz, "--boxes", boxes, "--out", out)
    assert "no intervals: there is one video only" in done.stdout
    assert "95 % interval" not in done.stdout
    table = pd.read_csv(out)
    assert table[["low", "high"]].isna().all(axis=None)
    assert set(table["interval_groups"]) == {1}


def test_frames_that_name_no_video_among_others_are_noted():
    frames = timed_boxes([0, 1]) | {"still.jpg": Frame((Box("cello", LEFT),), "still.jpg")}
    keys = ["v/0.000", "v/1.000", "still.jpg"]
    maps = ExternalMaps(keys, np.stack([half("left")] * 3))
    matched = external_maps.match_to_truth(maps, BenchmarkBoxes(frames))
    assert matched.resampled == "videos"
    assert matched.notes == ["1 frames name no video; each counts as a video of its own"]


def test_with_a_manifest_the_command_counts_the_boxes_that_do_not_count(tmp_path):
    keys = [f"v/{number}.000" for number in range(4)]
    npz = write(tmp_path / "maps.npz", keys=keys, maps=np.stack([half("left")] * 4))
    rows = [{"video_id": "v", "time_s": number + 0.004} for number in range(4)]
    whole = {"category": "person", "w": 1}
    stray = {"video_id": "gone", "time_s": 0}
    boxes = write_boxes(tmp_path / "boxes.csv", *rows, *(row | whole for row in rows[1:]), stray)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("video_id,url,kind,categories\nv,v.mp4,solo,cello\n")
    done = spm_score(npz, "--boxes", boxes, "--manifest", manifest, "--protocol", "sspl")
    assert done.stdout.startswith("boxes: 4 kept, 4 rejected: 3 other-category, 1 unknown-video\n")
    assert re.search(r"maps +1\.0000 +1\.0000 +1\.0000 +1\.0000", done.stdout)
    without = spm_score(npz, "--boxes", boxes, "--partial", "--json")
    assert "boxes: 7 kept, 1 rejected: 1 unmatched\n" in without.stderr
    json.loads(without.stdout)


@pytest.mark.slow
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
