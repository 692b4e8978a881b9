import copy
import json
import math

import pytest

from spm.base.errors import UserError
from spm.boxes.formats import coco as coco_format
from spm.boxes.formats.image_names import read_list

ONE_BOX = {
    "images": [{"id": 1, "file_name": "v_0001000ms.jpg", "width": 64, "height": 32}],
    "categories": [{"id": 1, "name": "cello"}],
    "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [16, 8, 32, 16]}],
}
REMOVED = object()


def changed(image=None, category=None, **annotation):
    """A file of one box with other values; REMOVED deletes a key."""
    coco = copy.deepcopy(ONE_BOX)
    values = {"images": image, "categories": category, "annotations": annotation}
    for name, new in values.items():
        entry = coco[name][0]
        entry.update(new or {})
        for key in list(entry):
            if entry[key] is REMOVED:
                del entry[key]
    return coco


def turned(bbox, degrees):
    return {"bbox": bbox, "attributes": {"occluded": False, "rotation": degrees}}


def read(coco, tmp_path, frames=None):
    content = coco if isinstance(coco, bytes) else json.dumps(coco).encode()
    (tmp_path / "c.json").write_bytes(content)
    return coco_format.read(tmp_path / "c.json", frames)


def sides(rows):
    return [list(map(row.get, "xywh")) for row in rows]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [math.nan, 8, 32, 16]}, "annotation 5: a side of bbox .* is nan: expected a fin"),
        ({"bbox": [16, 8, math.inf, 16]}, "a side of bbox .* is inf: expected a finite number"),
        ({"bbox": [16, 8, None, 16]}, "a side of bbox .* is None: expected a finite number"),
        ({"bbox": [16, 8, "wide", 16]}, "a side of bbox .* is wide: expected a finite number"),
        ({"bbox": [16, 8, True, 16]}, "a side of bbox .* is True: expected a finite number"),
        ({"bbox": []}, r"annotation 5: bbox is \[\]: expected x, y, width, height in px"),
        ({"bbox": [], "segmentation": [[1, 1, 9, 1, 9, 9]]}, r"bbox is \[\].*export boxes, not"),
        ({"bbox": REMOVED}, "annotation 5: bbox is None: expected x, y, width, height in px"),
        ({"bbox": None}, "bbox is None: expected x, y, width, height"),
        ({"bbox": [16, 8, 32]}, r"bbox is \[16, 8, 32\]: expected x, y, width, height"),
        ({"bbox": [16, 8, 32, 16, 45]}, "expected x, y, width, height"),
        ({"bbox": {"x": 1}}, "expected x, y, width, height"),
        ({"bbox": [16, 8, 0, 16]}, "annotation 5: bbox .* has no area"),
        ({"bbox": [16, 8, 32, -16]}, "has no area: expected a width and a height above 0"),
        ({"bbox": [0.25, 0.25, 0.5, 0.5]}, "at most one pixel: expected pixels, not fractions"),
        ({"bbox": [0, 0, 1, 1]}, "at most one pixel: expected pixels, not fractions"),
        ({"bbox": [70, 8, 32, 16]}, "leaves its image of 64 x 32 px"),
        ({"bbox": [16, 8, 48, 64]}, "annotation 5: bbox .* leaves its image of 64 x 32 px"),
        ({"bbox": [-10, 8, 32, 16]}, "leaves its image of 64 x 32 px"),
        ({"bbox": [16, 8, 1e300, 16]}, "leaves its image"),
        ({"iscrowd": 1}, "annotation 5: iscrowd or ignore is set: expected one object"),
        ({"iscrowd": 1, "segmentation": {"counts": [1], "size": [32, 64]}}, "iscrowd or ignore is"),
        ({"ignore": 1}, "iscrowd or ignore is set: expected one object; draw a box around each"),
        ({"attributes": {"rotation": math.nan}}, "rotation is nan: expected a finite number"),
        ({"attributes": {"rotation": "left"}}, "rotation is left: expected a finite number"),
        (
            {"attributes": {"rotation": 90.0}, "segmentation": [[1, 1, 9, 1, 9, 9]]},
            "its box is turned, and it is unknown whether bbox encloses",
        ),
        ({"rotation": 45}, "its box is turned, and it is unknown whether bbox encloses"),
        ({"image_id": 2}, "annotation 5: its image_id 2 is not listed"),
        ({"image_id": REMOVED}, "annotation 5: 'image_id' is missing"),
        ({"category_id": 9}, "annotation 5: its category_id 9 is not listed"),
        ({"category_id": None}, "annotation 5: its category_id None is not listed"),
        ({"id": REMOVED, "bbox": []}, "annotation number 1: bbox is"),
        ({"image": {"width": REMOVED}}, "v_0001000ms.jpg' has width None and height 32: expected"),
        ({"image": {"height": None}}, "has width 64 and height None: expected its size in px"),
        ({"image": {"height": 0}}, "has width 64 and height 0: expected its size in px"),
        ({"image": {"width": math.inf}}, "has width inf and height 32: expected its size in px"),
        ({"image": {"width": "64"}}, "has width 64 and height 32: expected its size in px"),
        ({"image": {"file_name": REMOVED}}, "annotation 5: file_name is None: expected a text"),
        ({"image": {"file_name": "holiday.jpg"}}, "image 'holiday.jpg': expected a name like VID"),
        ({"category": {"name": REMOVED}}, "annotation 5: name is None: expected a text"),
        ({"category": {"name": " "}}, "annotation 5: name is ' ': expected a text"),
    ],
)
def test_a_wrong_annotation_is_one_line_that_names_it(changes, message, tmp_path):
    with pytest.raises(UserError, match=message) as raised:
        read(changed(**changes), tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}/c.json, annotation ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0.25, 0.25, 0.5, 0.5]),
        ({"bbox": ["16", "8.0", 32, 16]}, [0.25, 0.25, 0.5, 0.5]),
        ({"image_id": "1", "category_id": "1"}, [0.25, 0.25, 0.5, 0.5]),
        ({"image": {"id": "1"}, "category": {"id": "1"}}, [0.25, 0.25, 0.5, 0.5]),
        ({"segmentation": [[16, 8, 48, 8, 48, 24]], "area": 7}, [0.25, 0.25, 0.5, 0.5]),
        ({"iscrowd": 0, "ignore": 0, "attributes": None}, [0.25, 0.25, 0.5, 0.5]),
        ({"image": {"width": 128, "height": 64.0}}, [0.125, 0.125, 0.25, 0.25]),
        # Tools round: up to a pixel outside the image is clipped.
        ({"bbox": [-0.5, 0, 64.9, 32.6]}, [0, 0, 1, 1]),
        ({"bbox": [21.333, 0, 42.667, 10.6667]}, [0.333328, 0, 0.666672, 0.333334]),
        # CVAT's turned boxes: bbox is the box before the turn around its centre.
        (turned([12, 12, 40, 8], 0.0), [0.1875, 0.375, 0.625, 0.25]),
        (turned([22, 12, 20, 8], 90.0), [0.4375, 0.1875, 0.125, 0.625]),
        (turned([22, 12, 20, 8], 270), [0.4375, 0.1875, 0.125, 0.625]),
        (turned([22, 12, 20, 8], 180), [0.34375, 0.375, 0.3125, 0.25]),
        (turned([24, 8, 16, 16], 45), [0.323223, 0.146447, 0.353553, 0.707107]),
        (turned([0, 12, 40, 8], -90), [0.25, 0, 0.125, 1]),
    ],
)
def test_the_right_box_is_read(changes, expected, tmp_path):
    rows = read(changed(**changes), tmp_path)
    assert sides(rows) == [pytest.approx(expected, abs=2e-6)]
    assert rows[0]["x"] + rows[0]["w"] <= 1
    assert (rows[0]["video_id"], rows[0]["time_s"], rows[0]["category"]) == ("v", 1, "cello")


def test_each_image_has_its_own_size_and_other_classes_are_read_too(tmp_path):
    coco = changed()
    coco["images"].append({"id": 2, "file_name": "v_0002000ms.jpg", "width": 640, "height": 320})
    coco["images"].append({"id": 3, "file_name": "of another project.jpg"})  # has no box
    coco["categories"].append({"id": 2, "name": "person "})
    coco["annotations"].append(
        {"id": 6, "image_id": 2, "category_id": 2, "bbox": [160, 80, 320, 160]}
    )
    rows = read(coco, tmp_path)
    assert sides(rows) == [[0.25, 0.25, 0.5, 0.5]] * 2
    assert [row["category"] for row in rows] == ["cello", "person"]


def test_two_images_of_one_frame_are_an_error(tmp_path):
    coco = changed()
    coco["images"].append({**coco["images"][0], "id": 2, "file_name": "b/v@1.000.png"})
    assert len(read(coco, tmp_path)) == 1
    coco["annotations"].append({**coco["annotations"][0], "id": 6, "image_id": 2})
    with pytest.raises(UserError, match=r"annotation 6: its image 'b/v@1.000.png' shows the same"):
        read(coco, tmp_path)


def test_a_box_that_occurs_twice_is_an_error(tmp_path):
    coco = changed()
    coco["annotations"].append({**coco["annotations"][0], "id": 6, "bbox": [16, 8.0, 32, "16"]})
    with pytest.raises(UserError, match="annotation 6: its box is that of annotation 5: expected"):
        read(coco, tmp_path)
    coco["annotations"][1]["bbox"] = [17, 8, 32, 16]
    assert len(read(coco, tmp_path)) == 2


@pytest.mark.parametrize("name", ["images", "categories"])
@pytest.mark.parametrize("second", [1, "1"])
def test_an_id_that_occurs_twice_is_an_error(name, second, tmp_path):
    coco = changed()
    coco[name].append({**coco[name][0], "id": second})
    with pytest.raises(UserError, match=f"{name}: the id 1 occurs twice"):
        read(coco, tmp_path)


def test_an_annotation_whose_id_is_not_unique_is_named_by_its_number(tmp_path):
    coco = changed()
    coco["annotations"].append({**coco["annotations"][0], "bbox": []})
    with pytest.raises(UserError, match="annotation number 2: bbox is"):
        read(coco, tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_unicode_with_and_without_a_byte_order_mark_is_read(encoding, tmp_path):
    assert len(read(json.dumps(ONE_BOX).encode(encoding), tmp_path)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "c.json: it is empty; expected a JSON file of COCO"),
        (b"\n", "c.json: it is not JSON .*expected a JSON file of COCO"),
        (json.dumps(ONE_BOX).encode()[:99], "c.json: it is not JSON"),
        (b"video_id,time_s\n", "c.json: it is not JSON"),
        ('{"é": 1}'.encode("latin-1"), "c.json: 'utf-8' codec can't decode"),
        (b"[" * 100_000, "c.json: lists or mappings are too deep"),
        (b"[]", "c.json: it is a JSON list: expected images, categories and annotations of COCO"),
        (b"null", "c.json: it is a JSON NoneType: expected images"),
        (b"{}", "c.json: 'images' is missing: expected images, categories and annotations of"),
        (b'{"images": {}}', "'images' is not a list of objects: expected images"),
        (b'{"images": [1]}', "'images' is not a list of objects: expected images"),
        (b'{"images": [], "categories": []}', "'annotations' is missing: expected images"),
        (
            b'{"images": [], "categories": [], "annotations": []}',
            "c.json: it has no annotation: expected at least one box",
        ),
        (b"PK\5\6" + bytes(18), "c.json is a ZIP archive: unpack it and name the JSON file inside"),
    ],
)
def test_a_file_that_is_not_coco_is_an_error_of_one_line(content, message, tmp_path):
    with pytest.raises(UserError, match=message) as raised:
        read(content, tmp_path)
    assert "\n" not in str(raised.value)


def test_a_file_that_can_not_be_read_is_an_error_of_one_line(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UserError, match=r"can't be read .*; expected a COCO file"):
            coco_format.read(path)


def test_a_list_gives_the_frames_of_images_with_any_name(tmp_path):
    (tmp_path / "f.csv").write_text("file_name,video_id,time_s\nholiday.png,v,1.2345\n")
    coco = changed(image={"file_name": "x/holiday.png"})
    rows = read(coco, tmp_path, read_list(tmp_path / "f.csv"))
    assert (rows[0]["video_id"], rows[0]["time_s"]) == ("v", 1.2345)
