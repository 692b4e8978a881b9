import json
import subprocess
import sys

import pytest
from PIL import Image
from pycocotools.coco import COCO

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.boxes.formats import coco as coco_format
from spm.boxes.formats import convert, csv, dsol
from spm.boxes.formats.convert import export, import_coco
from spm.boxes.formats.frames import COLUMNS
from spm.boxes.formats.openimages import CLASSES, read_boxes
from tests.support.project import ROOT

DSOL_IDS = {"cello": 1, "flute": 12, "guitar": 3, "accordion": 13, "horn": 14}


@pytest.fixture(scope="module")
def annotations(squares, tmp_path_factory):
    """Boxes on the squares, one of which was rejected."""
    path = tmp_path_factory.mktemp("export") / "a.parquet"
    rows = []
    for n, box in enumerate(csv.read(squares.boxes)[:12]):
        clip = f"{box['video_id']}_{int(box['time_s']) * 1000:07d}"
        frame = round(2 * (box["time_s"] % 1))
        status = "rejected" if n == 5 else "kept"
        rows.append({**box, "clip_id": clip, "frame": frame, "score": 0.95, "status": status})
    tables.write_rows(path, schemas.ANNOTATIONS, rows)
    return path


def test_boxes_exported_to_coco_with_frames_are_imported_again(squares, annotations, tmp_path):
    out, frames = tmp_path / "boxes.json", tmp_path / "frames"
    export(annotations, "coco", out, squares.index, squares.clips, frames)
    coco = COCO(out)
    assert len(coco.anns) == 11
    image = coco.loadImgs(coco.anns[1]["image_id"])[0]
    with Image.open(frames / image["file_name"]) as picture:
        assert picture.size == (image["width"], image["height"]) == (64, 64)
    import_coco(out, tmp_path / "imported.csv")
    imported = csv.read(tmp_path / "imported.csv")
    for row, kept in zip(imported, convert.kept_boxes(annotations), strict=True):
        assert [row[name] for name in COLUMNS[:3]] == [kept[name] for name in COLUMNS[:3]]
        sides = [kept[name] for name in "xywh"]
        assert [row[name] for name in "xywh"] == pytest.approx(sides, abs=1e-4)


def test_the_reader_of_published_open_images_tables_reads_exported_ones(annotations, tmp_path):
    export(annotations, "openimages", tmp_path / "b.csv", None, None, None)
    table = read_boxes(tmp_path / "b.csv", CLASSES)
    kept = convert.kept_boxes(annotations)
    assert table["category"].tolist() == [row["category"] for row in kept]
    assert table["w"].tolist() == pytest.approx([row["w"] for row in kept], abs=1e-5)
    assert not table[["group_of", "depiction"]].any().any()


def test_exported_dsol_files_have_the_form_of_the_published_one(annotations, shared, tmp_path):
    export(annotations, "dsol", tmp_path / "solo.json", None, None, None)
    exported = json.loads((tmp_path / "solo.json").read_text())
    published = json.loads((shared / "manifests/DSOL/solotest.json").read_text())
    frame = next(iter(exported.values()))
    published_frame = next(frame for frame in published.values() if frame["bbox"])
    assert frame.keys() == published_frame.keys()
    assert frame["bbox"][0].keys() == published_frame["bbox"][0].keys()
    assert frame["bbox"][0]["category_id"] == DSOL_IDS["cello"]
    for key in list(published)[:200]:
        video, second, number = key.split("/")[0][: -len("_0_1000")], *key.split("/")[1:]
        time_s = int(number[:-4]) / 30
        assert dsol.frame_key({"video_id": video, "time_s": time_s}) == key
        assert second == f"frame_{int(time_s):03d}"


def test_categories_get_dsols_ids_and_others_are_left_out():
    row = {"video_id": "v", "time_s": 1.0, "x": 0, "y": 0, "w": 0.5, "h": 0.5, "score": 1}
    frame = dsol.to_dsol([row | {"category": "xylophone"}, row | {"category": "acoustic_guitar"}])
    assert [box["category_id"] for box in frame["v_0_1000/frame_001/00030.jpg"]["bbox"]] == [3]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"file_name": "holiday.jpg"},
            r"image 'holiday.jpg': expected a name like VIDEO@SECONDS.jpg",
        ),
        ({"bbox": [70, 0, 5, 5]}, r"annotation 1: \[70, 0, 5, 5\] has no area inside v@1.000.jpg"),
        ({"bbox": [0, 0, 0, 5]}, "has no area"),
        ({"category_id": 9}, "annotation 1: its image_id or category_id is not listed"),
    ],
)
def test_a_box_that_can_not_be_assigned_to_a_frame_is_an_error(changed, message, tmp_path):
    image = {"id": 1, "file_name": "v@1.000.jpg", "width": 64, "height": 64}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 32, 32]}
    image.update({key: value for key, value in changed.items() if key in image})
    annotation.update({key: value for key, value in changed.items() if key in annotation})
    coco = {
        "images": [image],
        "categories": [{"id": 1, "name": "cello"}],
        "annotations": [annotation],
    }
    (tmp_path / "c.json").write_text(json.dumps(coco))
    with pytest.raises(UserError, match=message):
        import_coco(tmp_path / "c.json", tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()


def test_a_box_that_leaves_its_image_is_clipped():
    row = coco_format.from_coco(
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


def test_a_file_that_is_not_coco_is_an_error_of_one_line(tmp_path):
    (tmp_path / "c.json").write_text("{}")
    command = [sys.executable, "-m", "spm.boxes.formats.convert", "import"]
    files = ["--coco", tmp_path / "c.json", "--out", tmp_path / "o.csv"]
    done = subprocess.run([*command, *files], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "'images' is missing: expected images, categories and annotations of COCO" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_export_without_boxes_or_without_index_is_an_error(tmp_path, annotations):
    tables.write_rows(tmp_path / "none.parquet", schemas.ANNOTATIONS, [])
    with pytest.raises(UserError, match="there is nothing to export"):
        export(tmp_path / "none.parquet", "coco", tmp_path / "o", None, None, None)
    with pytest.raises(UserError, match="--frames: expected --index and --clips"):
        export(annotations, "coco", tmp_path / "o", None, None, tmp_path)
