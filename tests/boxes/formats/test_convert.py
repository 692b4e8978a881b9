import json
import subprocess
import sys

import pytest
from PIL import Image
from pycocotools.coco import COCO

from spm.base import tables
from spm.base.config import UserError
from spm.boxes import ground_truth
from spm.boxes.formats import convert
from spm.boxes.formats.convert import bring, dsol_key, export
from spm.boxes.openimages import CLASSES
from spm.boxes.openimages_tables import read_boxes
from tests.support.project import ROOT

DSOL_IDS = {"cello": 1, "flute": 12, "guitar": 3, "accordion": 13, "horn": 14}


@pytest.fixture(scope="module")
def annotations(squares, tmp_path_factory):
    """Boxes on the squares, one of which was rejected."""
    path = tmp_path_factory.mktemp("export") / "a.parquet"
    rows = []
    for n, box in enumerate(ground_truth.read(squares.boxes)[:12]):
        clip = f"{box['video_id']}_{int(box['time_s']) * 1000:07d}"
        frame = round(2 * (box["time_s"] % 1))
        status = "rejected" if n == 5 else "kept"
        rows.append({**box, "clip_id": clip, "frame": frame, "score": 0.95, "status": status})
    tables.write_rows(path, tables.ANNOTATIONS, rows)
    return path


def test_boxes_go_to_coco_with_their_pictures_and_come_home(squares, annotations, tmp_path):
    out, frames = tmp_path / "boxes.json", tmp_path / "frames"
    export(annotations, "coco", out, squares.index, squares.clips, frames)
    coco = COCO(out)
    assert len(coco.anns) == 11
    image = coco.loadImgs(coco.anns[1]["image_id"])[0]
    with Image.open(frames / image["file_name"]) as picture:
        assert picture.size == (image["width"], image["height"]) == (64, 64)
    bring(out, tmp_path / "home.csv")
    home = ground_truth.read(tmp_path / "home.csv")
    sent = [{key: row[key] for key in ground_truth.COLUMNS} for row in convert.kept(annotations)]
    for a, b in zip(home, sent, strict=True):
        assert [a[k] for k in ground_truth.COLUMNS[:3]] == [b[k] for k in ground_truth.COLUMNS[:3]]
        assert [a[k] for k in "xywh"] == pytest.approx([b[k] for k in "xywh"], abs=1e-4)


def test_open_images_tables_are_read_by_the_reader_of_the_published_ones(annotations, tmp_path):
    export(annotations, "openimages", tmp_path / "b.csv", None, None, None)
    found = read_boxes(tmp_path / "b.csv", CLASSES)
    sent = convert.kept(annotations)
    assert found["category"].tolist() == [row["category"] for row in sent]
    assert found["w"].tolist() == pytest.approx([row["w"] for row in sent], abs=1e-5)
    assert not found[["group_of", "depiction"]].any().any()


def test_dsol_files_have_the_form_of_the_published_one(annotations, shared, tmp_path):
    export(annotations, "dsol", tmp_path / "solo.json", None, None, None)
    mine = json.loads((tmp_path / "solo.json").read_text())
    published = json.loads((shared / "manifests/DSOL/solotest.json").read_text())
    one, other = (
        next(iter(mine.values())),
        next(frame for frame in published.values() if frame["bbox"]),
    )
    assert one.keys() == other.keys()
    assert one["bbox"][0].keys() == other["bbox"][0].keys()
    assert one["bbox"][0]["category_id"] == DSOL_IDS["cello"]
    for key in list(published)[:200]:
        video, second, number = key.split("/")[0][: -len("_0_1000")], *key.split("/")[1:]
        time_s = int(number[:-4]) / 30
        assert dsol_key({"video_id": video, "time_s": time_s}) == key
        assert second == f"frame_{int(time_s):03d}"


def test_classes_are_numbered_as_dsol_does_and_others_left_out():
    row = {"video_id": "v", "time_s": 1.0, "x": 0, "y": 0, "w": 0.5, "h": 0.5, "score": 1}
    frame = convert.to_dsol(
        [row | {"category": "xylophone"}, row | {"category": "acoustic_guitar"}]
    )
    assert [box["category_id"] for box in frame["v_0_1000/frame_001/00030.jpg"]["bbox"]] == [3]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"file_name": "holiday.jpg"},
            r"picture 'holiday.jpg': expected a name as VIDEO@SECONDS.jpg",
        ),
        ({"bbox": [70, 0, 5, 5]}, r"annotation 1: \[70, 0, 5, 5\] has no area inside v@1.000.jpg"),
        ({"bbox": [0, 0, 0, 5]}, "has no area"),
        ({"category_id": 9}, "annotation 1: its image_id or category_id is not listed"),
    ],
)
def test_a_box_that_has_no_place_is_named(changed, said, tmp_path):
    image = {"id": 1, "file_name": "v@1.000.jpg", "width": 64, "height": 64}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 32, 32]}
    image, annotation = (
        {key: changed.get(key, part[key]) for key in part} for part in (image, annotation)
    )
    coco = {
        "images": [image],
        "categories": [{"id": 1, "name": "cello"}],
        "annotations": [annotation],
    }
    (tmp_path / "c.json").write_text(json.dumps(coco))
    with pytest.raises(UserError, match=said):
        bring(tmp_path / "c.json", tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()


def test_a_box_that_leaves_its_picture_is_cut_to_it():
    row = convert.from_coco(
        {
            "images": [{"id": 7, "file_name": "a/v@2.500.png", "width": 100, "height": 50}],
            "categories": [{"id": 3, "name": "cello"}],
            "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [-10, 25, 60, 50]}],
        }
    )[0]
    assert row == {
        "video_id": "v",
        "time_s": 2.5,
        "category": "cello",
        "x": 0,
        "y": 0.5,
        "w": 0.5,
        "h": 0.5,
    }


def test_what_is_no_coco_file_is_said_by_the_command(tmp_path):
    (tmp_path / "c.json").write_text("{}")
    command = [
        sys.executable,
        "-m",
        "spm.boxes.formats.convert",
        "import",
        "--coco",
        tmp_path / "c.json",
        "--out",
    ]
    done = subprocess.run(
        [*command, tmp_path / "o.csv"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 1
    assert "'images' is missing: expected images, categories and annotations of COCO" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_to_export_is_said(tmp_path, annotations):
    tables.write_rows(tmp_path / "none.parquet", tables.ANNOTATIONS, [])
    with pytest.raises(UserError, match="there is nothing to export"):
        export(tmp_path / "none.parquet", "coco", tmp_path / "o", None, None, None)
    with pytest.raises(UserError, match="--frames: expected --index and --clips"):
        export(annotations, "coco", tmp_path / "o", None, None, tmp_path)
