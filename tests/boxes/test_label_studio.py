"""Boxes drawn in the real Label Studio come back.

The tests run where Label Studio is on the PATH, or SPM_LABEL_STUDIO names its program:
python -m venv ls && ls/bin/pip install label-studio==1.23.2
SPM_LABEL_STUDIO=ls/bin/label-studio pytest tests/boxes/test_label_studio.py
"""

import os
import shutil

import pandas as pd
import pytest

from spm.boxes.formats import csv, image_names
from spm.boxes.formats.convert import export, import_coco
from tests.boxes.test_coco_tools import DRAWN, assert_same_boxes, write_images
from tests.support import label_studio

PROGRAM = os.environ.get("SPM_LABEL_STUDIO") or shutil.which("label-studio")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if PROGRAM is None:
        pytest.skip("pip install label-studio==1.23.2 in a venv of its own, and set"
                    " SPM_LABEL_STUDIO to its program")  # fmt: skip
    with label_studio.running(PROGRAM, tmp_path_factory.mktemp("label_studio")) as tool:
        yield tool


def value(box, label):
    """A box as the editor stores it; turned ones by their upper left corner after the turn."""
    x, y, w, h = (100 * box[name] for name in "xywh")
    if h > 2 * w:  # drawn lying, then turned by 90° to the right around its centre
        return {"x": x + w, "y": y, "width": h, "height": w, "rotation": 90} | label
    return {"x": x, "y": y, "width": w, "height": h, "rotation": 0} | label


@pytest.mark.slow
def test_boxes_drawn_in_label_studio_come_back(server, squares, tmp_path):
    frames = tmp_path / "frames"
    export(None, "coco", tmp_path / "b.json", squares.index, squares.clips, frames, empty=1)
    listed = csv_rows(tmp_path / "frames.csv")
    drawn = [
        {**row, "category": "flute", "x": 0.1, "y": 0.2, "w": 0.3, "h": 0.33} for row in listed
    ]
    drawn += csv.read(DRAWN / "boxes.csv")
    write_images(frames, drawn)
    image_names.write_list(tmp_path / "frames.csv", drawn)

    (frames / "flute-14_0002000ms.jpg").rename(frames / "flute-14@2.000.jpg")  # the older form
    server.create(["cello", "flute"])
    tasks = server.upload(sorted(frames.glob("*.jpg")))
    known = image_names.read_list(tmp_path / "frames.csv")
    for image, task in tasks.items():
        frame = known.find(image.name)
        boxes = [box for box in drawn if (box["video_id"], box["time_s"]) == frame]
        server.annotate(task, [value(b, {"rectanglelabels": [b["category"]]}) for b in boxes])
    (tmp_path / "result.json").write_bytes(server.export_coco())

    import_coco(tmp_path / "result.json", tmp_path / "boxes.csv")  # finds frames.csv beside it
    assert len(tasks) == 4 + 3
    assert_same_boxes(csv.read(tmp_path / "boxes.csv"), drawn)


def csv_rows(path):
    return pd.read_csv(path).to_dict("records")
