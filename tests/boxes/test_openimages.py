import shutil
import threading
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from spm.base import tables
from spm.base.errors import UserError
from spm.boxes import detect, detection_dataset, detector, openimages
from spm.boxes.detector import Detector
from spm.boxes.formats.openimages import CLASSES, FLAGS
from spm.boxes.openimages import OpenImages
from spm.boxes.openimages_policy import select_boxes, select_images
from tests.support.openimages import about_line, box_line, publish, serve

THREE = {name: CLASSES[name] for name in ("cello", "flute", "guitar")}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return publish(tmp_path_factory.mktemp("published"))


@pytest.fixture
def bucket(published, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    bucket, server = serve(shutil.copytree(published, tmp_path / "served"))
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    yield bucket
    server.shutdown()
    server.server_close()


@pytest.fixture
def get(tmp_path):
    """Run the stage: its pictures, boxes and counts."""

    def run(mirror, **config):
        files = {
            "images": tmp_path / "i.parquet",
            "boxes": tmp_path / "b.parquet",
            "counts_table": tmp_path / "c.csv",
        }
        section = OpenImages(
            mirror=str(mirror), classes=THREE, backoff_s=0, retries=2, workers=4, **config
        )
        openimages.run(section, store=tmp_path / "store", **files)
        pictures, boxes = (tables.read(files[name]).to_pandas() for name in ("images", "boxes"))
        return pictures, boxes, pd.read_csv(files["counts_table"])

    return run


def first(bucket, subset="train"):
    return sorted((bucket.folder / subset).iterdir())[0].stem


@pytest.mark.slow
def test_tables_and_images_are_downloaded_and_boxes_of_other_classes_are_ignored(bucket, get):
    pictures, boxes, counts = get(bucket.root)
    assert (pictures["status"] == "ok").all()
    assert pictures.groupby("subset").size().to_dict() == {"train": 12, "test": 12}
    assert counts.groupby("category")["boxes"].sum().to_dict() == {
        "cello": 8,
        "flute": 8,
        "guitar": 8,
    }
    assert len(boxes) == 24
    row = pictures.iloc[0]
    served = bucket.folder / row["subset"] / f"{row['image_id']}.jpg"
    assert (row["sha256"], row["bytes"]) == (
        sha256(served.read_bytes()).hexdigest(),
        served.stat().st_size,
    )
    assert (row["width"], row["height"]) == (128, 96)
    assert (row["license"], row["author"]) == (
        "https://creativecommons.org/licenses/by/2.0/",
        "A. Author,\n Sr.",
    )


def test_a_second_run_downloads_nothing_and_writes_the_same_bytes(bucket, get, tmp_path):
    get(bucket.root)
    asked, before = bucket.asked.total(), (tmp_path / "i.parquet").read_bytes()
    get(bucket.root)
    assert bucket.asked.total() == asked
    assert (tmp_path / "i.parquet").read_bytes() == before


def test_an_interrupted_download_is_resumed(bucket, get):
    name = f"/train/{first(bucket)}.jpg"
    bucket.answers = {name: ["cut"], "/test-annotations-bbox.csv": ["503", "503"]}
    pictures, _, _ = get(bucket.root)
    broken = pictures[pictures["image_id"] == first(bucket)].iloc[0]
    assert broken["status"] == "retry"
    assert "IncompleteRead" in broken["reason"]
    pictures, _, _ = get(bucket.root)
    assert (pictures["status"] == "ok").all()
    half = (bucket.folder / name[1:]).stat().st_size // 2
    assert bucket.ranges == [(name, f"bytes={half}-")]
    assert bucket.asked[name] == 2


def test_a_partial_file_longer_than_the_served_one_is_downloaded_again(bucket, get, tmp_path):
    name = f"train/{first(bucket)}.jpg"
    bucket.answers = {f"/{name}": ["416"]}
    part = tmp_path / "store" / f"{name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(100_000))
    pictures, _, _ = get(bucket.root)
    assert (pictures["status"] == "ok").all()


def test_an_unusable_image_is_a_row_with_a_reason_and_its_boxes_are_not_used(bucket, get):
    gone, other, corrupt, page = sorted((bucket.folder / "train").iterdir())[:4]
    gone.unlink()
    bucket.answers = {f"/train/{other.name}": ["other"]}
    corrupt.write_bytes(corrupt.read_bytes()[:900])
    page.write_bytes(b"<html>not a picture</html>")
    pictures, boxes, counts = get(bucket.root)
    outcome = pictures.set_index("image_id")[["status", "reason"]].apply(": ".join, axis=1)
    assert outcome[gone.stem] == "gone: HTTP 403"
    assert "does not have the MD5" in outcome[other.stem]
    assert outcome[corrupt.stem].startswith("bad: not a whole JPEG: image file is truncated")
    assert outcome[page.stem].startswith("bad: not a whole JPEG: cannot identify")
    assert sorted(pictures["status"].value_counts().items()) == [
        ("bad", 2),
        ("gone", 1),
        ("ok", 20),
        ("retry", 1),
    ]
    assert (boxes["status"] == "no-picture").sum() == 4
    assert counts["boxes"].sum() == 24
    assert (
        get(bucket.root)[0]["status"] == "retry"
    ).sum() == 0  # downloaded again, this time completely


def test_a_local_folder_gives_the_same_tables(published, bucket, get):
    served, local = get(bucket.root), get(published)
    for a, b in zip(served, local, strict=True):
        pd.testing.assert_frame_equal(
            a.drop(columns="path", errors="ignore"), b.drop(columns="path", errors="ignore")
        )
    assert local[0]["path"].str.startswith(str(published)).all()


def test_max_per_class_limits_the_images_that_are_downloaded(bucket, get):
    pictures, _, counts = get(bucket.root, max_per_class=2)
    kept = counts[counts["status"] == "kept"]
    assert set(kept["pictures"]) == {2}
    assert pictures["status"].value_counts().to_dict() == {"ok": 12, "surplus": 12}
    assert sum(n for path, n in bucket.asked.items() if path.endswith(".jpg")) == 12


def test_flags_and_rotation_are_treated_as_configured(bucket, get):
    table, about = (
        bucket.folder / "oidv6-train-annotations-bbox.csv",
        "train-images-boxable-with-rotation.csv",
    )
    cello, box = THREE["cello"], (0.1, 0.1, 0.2, 0.2)
    rows = [
        box_line("a", cello, box, "train", IsGroupOf=1),
        box_line("a", cello, box, "train"),
        box_line("b", cello, box, "train", IsTruncated=1, IsDepiction=-1),
        box_line("c", cello, (0.1, 0.1, 0.0, 0.2), "train"),
        box_line("d", cello, box, "train"),
    ]
    table.write_text(table.read_text() + "\n".join(rows) + "\n")
    lines = [about_line(name, "train", "90.0" if name == "d" else "") for name in "abcd"]
    (bucket.folder / about).write_text(
        (bucket.folder / about).read_text() + "\n".join(lines) + "\n"
    )
    for name in "abcd":
        shutil.copy(
            bucket.folder / "train" / f"{first(bucket)}.jpg",
            bucket.folder / "train" / f"{name}.jpg",
        )
    pictures, boxes, _ = get(bucket.root)
    by_id = pictures.set_index("image_id")
    assert by_id.loc[list("abcd"), "status"].tolist() == ["policy", "ok", "policy", "policy"]
    assert by_id.loc[["a", "c", "d"], "reason"].tolist() == ["group-of", "no box kept", "rotated"]
    assert sorted(boxes[boxes["image_id"] == "a"]["status"]) == ["group-of", "no-picture"]
    pictures, boxes, _ = get(bucket.root, group_of="drop-box", truncated="drop-picture")
    by_id = pictures.set_index("image_id")
    assert by_id.loc[["a", "b"], "status"].tolist() == ["ok", "policy"]
    assert sorted(boxes[boxes["image_id"] == "a"]["status"]) == ["group-of", "kept"]


def test_a_box_without_area_or_outside_its_image_is_malformed():
    sides = [(0.1, 0.1, 0.0, 0.5), (0.9, 0.1, 0.2, 0.5), (-0.1, 0, 0.5, 0.5), (0.2, 0.2, 0.8, 0.8)]
    boxes = pd.DataFrame(sides, columns=list("xywh"))
    boxes = boxes.assign(**dict.fromkeys(FLAGS.values(), False))
    selected = select_boxes(boxes, dict.fromkeys(FLAGS.values(), "keep"))
    assert selected["status"].tolist() == ["malformed"] * 3 + ["kept"]


def test_an_image_of_several_classes_is_wanted_while_one_of_them_lacks_images():
    rows = [("1", "cello"), ("2", "cello"), ("2", "flute"), ("3", "cello"), ("3", "flute")]
    boxes = pd.DataFrame(rows, columns=["image_id", "category"]).assign(status="kept")
    decisions = select_images(boxes.assign(drops_image=False), {}, 1)
    statuses = [decision.status for decision in decisions.values()]
    assert statuses == ["wanted", "wanted", "surplus"]


def test_errors_of_mirror_and_tables_are_one_line(bucket, get, tmp_path):
    with pytest.raises(
        UserError, match=r"openimages.mirror: there is no file .*oidv6-train-annotations-bbox.csv"
    ):
        get(tmp_path)
    table = bucket.folder / "test-annotations-bbox.csv"
    with pytest.raises(
        UserError, match=r"openimages.sha256: .*test-annotations-bbox.csv has .*, expected 00ff"
    ):
        get(bucket.root, sha256={table.name: "00ff" * 16})
    table.unlink()
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(
        UserError, match=r"test-annotations-bbox.csv: HTTP 403: expected a table of Open Images"
    ):
        get(bucket.root)
    table.write_text("ImageID,LabelName\nx,/m/01xqw\n")
    with pytest.raises(
        UserError, match="expected a table of Open Images with ImageID,LabelName,XMin"
    ):
        get(bucket.root)
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(UserError, match=r"ConnectionError: .*Max retries"):
        get("http://127.0.0.1:9")


def test_a_subset_without_usable_images_stops_the_run(bucket, get):
    for path in (bucket.folder / "test").iterdir():
        path.unlink()
    with pytest.raises(
        UserError, match=r"no picture of test is usable, of 12 listed \(\w+: HTTP 403\)"
    ):
        get(bucket.root)


@pytest.mark.slow
def test_a_detector_is_trained_on_train_and_measured_on_test(published, get, tmp_path):
    get(published)
    files = {"images": tmp_path / "i.parquet", "boxes": tmp_path / "b.parquet"}
    left = {name: tmp_path / name for name in ("precision", "history", "state")}
    light = {
        "model": "mobilenet_v2",
        "start": "none",
        "size": 64,
        "epochs": 1,
        "max_frames": 6,
        "device": "cpu",
    }
    out = tmp_path / "weights.safetensors"
    detector.run(Detector(**light), index=None, clips=None, **files, out=out, **left)
    precision = pd.read_csv(left["precision"]).set_index("category")
    assert precision["boxes"].to_dict() == {"cello": 4, "flute": 4, "guitar": 4}
    assert detect.load(out)[1] == ["cello", "flute", "guitar"]


def test_images_and_boxes_are_resized_to_squares(published, get, tmp_path):
    _, boxes, _ = get(published)
    found = detection_dataset.openimages_dataset(
        tmp_path / "i.parquet", tmp_path / "b.parquet", test=False, side=48
    )
    assert (len(found), found.images([0, 5]).shape) == (12, (2, 3, 48, 48))
    first = boxes[boxes["subset"] == "train"].sort_values("image_id").iloc[0]
    target = detection_dataset.targets(found, [0], ["cello", "flute", "guitar"], 48)[0]
    x, y, x2, y2 = (target["boxes"][0] / 48).tolist()
    assert [x, y, x2 - x, y2 - y] == pytest.approx(first[list("xywh")].tolist(), abs=1e-5)
    assert ["cello", "flute", "guitar"][target["labels"][0] - 1] == first["category"]
    damaged = replace(found, places=[tmp_path / "damaged.jpg"])
    (tmp_path / "damaged.jpg").write_bytes(found.read(found.places[0])[:100])
    with pytest.raises(UserError, match=r"damaged\.jpg is not a complete image \(.*openimages"):
        damaged.images([0])
    whole = Image.open(published / "train" / f"{first['image_id']}.jpg").resize(
        (48, 48), Image.Resampling.BILINEAR
    )
    assert (
        np.abs(
            np.asarray(whole) - found.images([0])[0].permute(1, 2, 0).numpy().astype(float)
        ).mean()
        < 8
    )
