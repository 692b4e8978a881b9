"""Masks as ground truth: images, COCO's shapes, and the copies that SSLalignment's lists name."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coder

from spm.base.errors import UserError
from spm.boxes import benchmarks
from spm.boxes.formats import masks, sslalignment

MASK = np.zeros((8, 10), bool)
MASK[2:5, 3:9] = True
SIDES = (0.3, 0.25, 0.9, 0.625)  # of MASK: first pixel to the end of the last one


def save(path, mask, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == "P":
        image = Image.fromarray(mask.astype(np.uint8), "P")
        image.putpalette([0, 0, 0, 90, 0, 0])
    elif mode == "I;16":
        image = Image.fromarray(mask.astype(np.uint16) * 65535)
    else:
        image = Image.fromarray(mask.astype(np.uint8) * 255).convert(mode)
    image.save(path)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "I;16"])
def test_a_mask_is_read_from_an_image_of_any_mode(mode, tmp_path):
    save(tmp_path / "a.png", MASK, mode)
    assert (masks.ImageMask(tmp_path / "a.png").read() == MASK).all()


def test_a_folder_of_masks_has_the_keys_of_its_files_and_their_bounding_boxes(tmp_path):
    save(tmp_path / "m/cat/v1/v1_1.png", MASK)
    save(tmp_path / "m/cat/v1/v1_2.png", np.zeros((8, 10), bool))
    save(tmp_path / "m/still.png", MASK)
    found = benchmarks.read(str(tmp_path / "m"))
    frame = found.frames["cat/v1/v1_1"]
    assert (frame.video_id, frame.boxes[0].sides) == ("v1", SIDES)
    assert found.frames["cat/v1/v1_2"].boxes == ()
    assert found.frames["still"].video_id == "still"
    assert (found.form, found.silent) == ("xyxy", True)
    assert (frame.mask.read() == MASK).all()


def coco(**segmentations):
    """One annotation per name on an image of 10 x 8 px."""
    return {
        "images": [{"id": 1, "file_name": "f/a.jpg", "width": 10, "height": 8},
                   {"id": 2, "file_name": "b.jpg", "width": 10, "height": 8}],
        "categories": [{"id": 1, "name": "cello"}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 1, "segmentation": shape}
            for number, shape in enumerate(segmentations.values(), 1)
        ],
    }  # fmt: skip


def test_polygons_and_both_run_length_codes_of_coco_are_masks(tmp_path):
    compressed = coder.encode(np.asfortranarray(MASK.astype(np.uint8)))
    compressed["counts"] = compressed["counts"].decode()
    flat = MASK.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    shapes = {
        "polygon": [[3, 2, 9, 2, 9, 5, 3, 5]],
        "compressed": compressed,
        "plain": {"size": [8, 10], "counts": counts},
    }
    for name, shape in shapes.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(coco(one=shape)))
        found = benchmarks.read(str(tmp_path / f"{name}.json"))
        frame = found.frames["f/a"]
        assert (frame.mask.read() == MASK).all(), name
        assert frame.boxes == (masks.Box("cello", SIDES),)
        assert found.frames["b"].boxes == ()
    corner = {"size": [8, 10], "counts": [0, 1, 79]}
    (tmp_path / "two.json").write_text(json.dumps(coco(one=compressed, two=corner)))
    both = benchmarks.read(str(tmp_path / "two.json")).frames["f/a"]
    assert len(both.boxes) == 2
    assert both.mask.read().sum() == MASK.sum() + 1


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([], "annotation 1: no segmentation; expected polygons or a run-length code"),
        ([[3, 2, 9, 2]], "annotation 1: a polygon of fewer than three points"),
        ({"size": [8, 11], "counts": [88]}, r"annotation 1: a code of size [8, 11]; expected"),
    ],
)
def test_a_wrong_segmentation_is_one_line(shape, message, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(coco(one=shape)))
    with pytest.raises(UserError) as raised:
        benchmarks.read(str(tmp_path / "c.json"))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


LISTED = [
    {"image": "/mnt/x/visual_frames/test/cat/v1/v1_1.png", "audio": "a.wav",
     "gt_box": "/mnt/x/gt_masks/test/cat/v1/v1_1.png"},
    {"image": "/mnt/x/visual_frames/test/cat/v1/v1_2.png", "audio": "a.wav",
     "gt_box": "/mnt/x/gt_masks/test/cat/v1/v1_2.png"},
]  # fmt: skip


def test_masks_of_a_list_are_found_in_a_copy_of_the_data_set(tmp_path):
    (tmp_path / "s4_seg.json").write_text(json.dumps(LISTED))
    folder = tmp_path / "copy"
    save(folder / "gt_masks/test/cat/v1/v1_1.png", MASK)
    save(folder / "visual_frames/test/cat/v1/v1_1.png", ~MASK)
    save(folder / "gt_masks/test/cat/v1/v1_2.jpg", np.zeros((8, 10), bool))
    found = sslalignment.read_masks(tmp_path / "s4_seg.json", folder)
    frame = found.frames["cat/v1/v1_1"]
    assert (frame.mask.read() == MASK).all()
    assert (frame.video_id, frame.time_s) == ("v1", 1 - 1 / 16)
    assert frame.boxes == (masks.Box("cat", SIDES),)
    assert found.frames["cat/v1/v1_2"].boxes == ()


def test_a_mask_that_is_missing_damaged_or_there_twice_is_one_line(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps(LISTED[:1]))
    folder = tmp_path / "copy"
    with pytest.raises(UserError, match="no such folder; expected the masks"):
        sslalignment.read_masks(tmp_path / "s.json", folder)
    save(folder / "other.png", MASK)
    with pytest.raises(UserError, match=r"s.json, entry 1: no file v1_1.png in .*copy"):
        sslalignment.read_masks(tmp_path / "s.json", folder)
    save(folder / "a/v1_1.png", MASK)
    save(folder / "b/v1_1.png", MASK)
    with pytest.raises(UserError, match=r"entry 1: .* can both be .*; expected one of them"):
        sslalignment.read_masks(tmp_path / "s.json", folder)
    (folder / "a/v1_1.png").unlink()
    (folder / "b/v1_1.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"b/v1_1.png: can't be read as a mask \("):
        sslalignment.read_masks(tmp_path / "s.json", folder)
