"""Boxes that other tools exported as COCO come back: real exports, and the tools where installed.

SPM_FIFTYONE and SPM_DATUMARO name a Python that has the tool (pip install fiftyone or datumaro, in
a venv of its own). test_label_studio.py has Label Studio.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from spm.boxes.formats import csv
from spm.boxes.formats.convert import import_coco
from spm.boxes.formats.image_names import image_name
from tests.support.project import ROOT

DRAWN = ROOT / "tests/data/exports"  # boxes.csv was drawn on the images of frames.csv
SIDE_PX = 64
EXPORTS = sorted(path.name for path in DRAWN.glob("*.json"))


def assert_same_boxes(found, drawn):
    """Nothing is lost, and the sides are equal within 0.1 px."""
    order = ["video_id", "time_s", "category", "x"]
    found, drawn = (
        pd.DataFrame(rows)[csv.COLUMNS].sort_values(order, ignore_index=True)
        for rows in (found, drawn)
    )
    labels = ["video_id", "time_s", "category"]
    pd.testing.assert_frame_equal(found[labels], drawn[labels])
    difference_px = SIDE_PX * (found[list("xywh")] - drawn[list("xywh")]).abs()
    assert difference_px.max().max() < 0.1


def write_images(folder, rows):
    """Gray images of the frames that the folder does not have yet."""
    folder.mkdir(exist_ok=True)
    for name in {image_name(row) for row in rows}:
        if not (folder / name).exists():
            Image.new("RGB", (SIDE_PX, SIDE_PX), "gray").save(folder / name)


def test_there_is_a_real_export_of_each_tool():
    assert {name.split("_")[0] for name in EXPORTS} == {"datumaro", "fiftyone", "label-studio"}


@pytest.mark.parametrize("name", EXPORTS)
def test_boxes_of_real_exports_come_back(name, tmp_path):
    import_coco(DRAWN / name, tmp_path / "boxes.csv")  # frames.csv lies beside it
    assert_same_boxes(csv.read(tmp_path / "boxes.csv"), csv.read(DRAWN / "boxes.csv"))


def run_tool(variable, script, rows, folder):
    """Let a tool export the boxes; returns its JSON file."""
    python = os.environ.get(variable)
    if python is None:
        pytest.skip(f"set {variable} to a Python that has the tool")
    write_images(folder / "frames", rows)
    table = pd.DataFrame(rows).assign(file_name=[image_name(row) for row in rows])
    table.to_csv(folder / "drawn.csv", index=False)
    command = [python, ROOT / "tests/support" / script, folder / "frames", folder / "drawn.csv"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    # FiftyOne's exporter needs no database; without an address it would start one.
    offline = {"FIFTYONE_DATABASE_URI": "mongodb://127.0.0.1:1", "FIFTYONE_DO_NOT_TRACK": "true"}
    subprocess.run([*command, folder / "tool"], env=environment | offline, check=True, timeout=300)
    shutil.copy(DRAWN / "frames.csv", folder)
    return next((folder / "tool").rglob("*.json"))


def turned(row):
    """The box before it was turned by 90° around its centre; only tall boxes were."""
    if row["h"] <= 2 * row["w"]:
        return {**row, "rotation": 0}
    x, y = row["x"] + row["w"] / 2, row["y"] + row["h"] / 2
    sides = {"x": x - row["h"] / 2, "y": y - row["w"] / 2, "w": row["h"], "h": row["w"]}
    return {**row, **sides, "rotation": 90}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "script", "change"),
    [
        ("SPM_FIFTYONE", "export_fiftyone.py", dict),
        ("SPM_DATUMARO", "export_datumaro.py", turned),
    ],
)
def test_boxes_that_a_tool_exports_now_come_back(variable, script, change, tmp_path):
    drawn = csv.read(DRAWN / "boxes.csv")
    coco = run_tool(variable, script, [change(row) for row in drawn], tmp_path)
    import_coco(coco, tmp_path / "boxes.csv", Path(tmp_path / "frames.csv"))
    assert_same_boxes(csv.read(tmp_path / "boxes.csv"), drawn)
