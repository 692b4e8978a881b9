import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.boxes import benchmarks
from spm.boxes.benchmarks import PublishedFile
from spm.boxes.formats import csv
from spm.boxes.formats.frames import COLUMNS, Box, Frame, to_table


@pytest.fixture(scope="module")
def manifests(shared):
    return shared / "manifests"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "frames", "boxed", "boxes", "videos"),
    [
        ("DSOL/solotest.json", 13_472, 12_356, 12_356, 27),
        ("DSOL/duettest.json", 11_512, 10_284, 15_035, 16),
        ("DSOL/audioset_box.json", 4_503, 4_473, 7_403, None),
        ("VGGSS/vggss.json", 5_158, 5_158, 5_923, None),
    ],
)
def test_published_files_have_the_numbers_of_frames_and_boxes_of_their_papers(
    manifests, name, frames, boxed, boxes, videos
):
    found = benchmarks.read(str(manifests / name))
    assert len(found.frames) == frames
    assert sum(bool(frame.boxes) for frame in found.frames.values()) == boxed
    assert len(to_table(found)) == boxes
    assert videos is None or len({frame.video_id for frame in found.frames.values()}) == videos


def test_dsols_frame_numbers_count_30_frames_per_second(manifests):
    found = benchmarks.read(str(manifests / "DSOL/solotest.json"))
    assert found.frames["4Oy5VmaacaI_0_1000/frame_013/00411.jpg"] == Frame(
        (Box("cello", (0.35, 0.0, 0.3734375, 0.9944444444444445)),), "4Oy5VmaacaI", 13.7
    )
    offsets = {round(frame.time_s % 1, 3) for frame in found.frames.values()}
    assert offsets == {0.0, 0.233, 0.467, 0.7}
    assert found.form == "xywh"


def test_vgg_ss_has_boxes_of_the_middle_frame_and_an_outlier_is_clipped(manifests):
    found = benchmarks.read(str(manifests / "VGGSS/vggss.json"))
    assert found.form == "xyxy"
    frame = found.frames["zpWuikVorYg_000032"]
    assert (frame.video_id, frame.time_s) == ("zpWuikVorYg_32000", 37.0)
    assert frame.boxes[0].category == "elk_bugling"
    table = to_table(found)
    # A corner of one box is published as -2.9e16.
    assert table[["x", "y", "w", "h"]].min().min() >= 0
    assert (table["x"] + table["w"]).max() <= 1


def test_flickrs_annotators_have_a_box_each(tmp_path):
    box = (
        "<bbox><label>1</label><xmin>64</xmin><ymin>0</ymin><xmax>{}</xmax><ymax>256</ymax></bbox>"
    )
    annotations = "".join(f"<annotation>{box.format(right)}</annotation>" for right in (128, 192))
    (tmp_path / "10000130166.xml").write_text(f"<root>{annotations}</root>")
    found = benchmarks.read(str(tmp_path))
    assert (found.form, found.annotators) == ("xyxy", 2)
    assert [box.sides for box in found.frames["10000130166"].boxes] == [
        (0.25, 0, 0.5, 1),
        (0.25, 0, 0.75, 1),
    ]


def test_music_synthetics_rows_are_boxes_with_dsols_categories(tmp_path):
    np.save(tmp_path / "syn7.npy", np.array([[0.5, 0.5, 0.25, 0.25, 8], [0, 0, 0.5, 0.5, 3]]))
    assert benchmarks.read(str(tmp_path)).frames["syn7"].boxes == (
        Box("saxophone", (0.5, 0.5, 0.25, 0.25)),
        Box("acoustic_guitar", (0, 0, 0.5, 0.5)),
    )


def test_open_images_rows_are_corners(tmp_path):
    file = tmp_path / "test-annotations-bbox.csv"
    file.write_text(
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\na1,xclick,/m/0342h,1,0.1,0.6,0.2,0.9\n"
    )
    found = benchmarks.read(str(file))
    assert found.form == "xyxy"
    assert found.frames["a1"].boxes == (Box("/m/0342h", (0.1, 0.2, 0.6, 0.9)),)


def test_given_boxes_are_read_as_they_were_written(tmp_path):
    rows = [("a", 0.25, "cello", 0.1, 0.2, 0.3, 0.4), ("a", 0.25, "flute", 0.5, 0.2, 0.3, 0.4)]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp_path / "boxes.csv", index=False)
    found = benchmarks.read(str(tmp_path / "boxes.csv"))
    assert set(found.frames) == {"a/0.250"}
    assert [tuple(row) for row in to_table(found).to_numpy().tolist()] == rows


DSOL = '{"v/1.jpg": {"bbox": [{"category_id": %s, "normbox": %s}]}}'
VGG_SS = '[{"file": "v_000001", "class": "cello", "bbox": [%s]}]'
OPEN_IMAGES = "ImageID,LabelName,XMin,XMax,YMin,YMax\na1,/m/0342h,%s\n"
FLICKR = "<r><bbox><label>1</label><a>%s</a><b>%s</b><c>%s</c><d>%s</d></bbox></r>"
VOC = (
    "<annotation><size><width>%s</width><height>%s</height></size><bbox><xmin>%s</xmin>"
    "<xmax>%s</xmax><ymin>%s</ymin><ymax>%s</ymax></bbox></annotation>"
)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("b.json", "{", "not boxes in a known format"),
        ("b.json", DSOL[:40], "not boxes in a known format"),
        ("b.json", DSOL % (99, [0, 0, 1, 1]), "frame v/1.jpg: category 99: expected a number from"),
        ("b.json", DSOL % (-1, [0, 0, 1, 1]), "category -1: expected a number from 0 to 14"),
        ("b.json", DSOL % (1, [0, 0, 1]), "box [0, 0, 1]: expected four numbers x, y, w, h"),
        ("b.json", DSOL % (1, []), "frame v/1.jpg: box []: expected four numbers"),
        ("b.json", DSOL % (1, "[0, 0, NaN, 1]"), "frame v/1.jpg: w is nan: expected a finite"),
        ("b.json", DSOL % (1, "[0, 0, null, 1]"), "w is None: expected a finite number"),
        ("b.json", DSOL % (1, [0, 0, 112, 224]), "it looks like pixels"),
        ("b.json", DSOL % (1, [0.9, 0, 0.2, 1]), "it leaves the frame"),
        ("b.json", DSOL % (1, [0.9, 0, 0, 1]), "it has no area"),
        ("b.json", '{"v/1.jpg": {"boxes": []}}', "frame v/1.jpg: 'bbox' is missing"),
        (
            "b.json",
            VGG_SS % [0, 0, 50, 100],
            "clip 1: box left 0, upper 0, right 50, lower 100: it",
        ),
        ("b.json", VGG_SS % [0.5, 0.5, 0.25, 0.25], "it has no area; expected edges from 0 to 1"),
        ("b.json", VGG_SS % [-0.1, 0, 1, 1], "it leaves the frame"),
        ("b.json", VGG_SS % "[NaN, 0, 1, 1]", "clip 1: edge is nan: expected a finite number"),
        ("b.json", VGG_SS % [0.5], "box [0.5]: expected four numbers left, upper, right, lower"),
        ("b.json", VGG_SS[:-1] % [0, 0, 1, 1] + "," + VGG_SS[1:] % [0, 0, 1, 1], "clip 2: an earl"),
        ("b.csv", OPEN_IMAGES % "0.1,1.4,0.2,0.9", "line 2: box left 0.1, upper 0.2, right 1.4"),
        ("b.csv", OPEN_IMAGES % "0.1,0.1,0.2,0.9", "it has no area"),
        ("b.csv", OPEN_IMAGES % "10,20,30,640", "it looks like pixels"),
        ("b.csv", OPEN_IMAGES.replace("YMin,", "") % "0.1,1,1", "the columns YMin are missing"),
        ("b/1.xml", FLICKR % (0, 0, 128, 300), "in px of an image of 256 x 256 px: it leaves the"),
        ("b/1.xml", FLICKR % (9, 0, 9, 99), "right 9, lower 99 in px of an image of 256 x 256 px:"),
        ("b/1.xml", FLICKR % ("", 0, 9, 99), "left is None: expected a finite number"),
        ("b/1.xml", VOC % (64, 48, 0, 32, 0, 64), "in px of an image of 64 x 48 px: it leaves the"),
        ("b/1.xml", VOC % (0, 48, 0, 32, 0, 64), "image of 0 x 48 px: expected a size above 0"),
        ("b/1.xml", "<r><bbox>", "1.xml: no element found"),
        ("b/1.xml", "<r></r>", "no .xml file has an element bbox"),
        ("b/1.npy", np.array([[0.0, 0, 1, 1]]), "1.npy: shape (1, 4): expected (boxes, 5)"),
        ("b/1.npy", np.array([[0, 0, 1, 1, 8.5]]), "1.npy: category 8.5: expected a number from 0"),
        ("b/1.npy", np.array([[0, 0, np.nan, 1, 8]]), "1.npy: w is nan: expected a finite number"),
        ("b/1.npy", np.array([[0, 0, 112, 224, 8]]), "it looks like pixels"),
        ("b/1.npy", np.array([[{}]]), "1.npy: Object arrays cannot be loaded"),
        ("b/1.npy", "", "1.npy: No data left in file"),
    ],
)
def test_a_wrong_box_is_one_line_that_names_it(tmp_path, name, content, fault):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if isinstance(content, str):
        path.write_text(content)
    else:
        np.save(path, content)
    with pytest.raises(UserError) as raised:
        benchmarks.read(str(tmp_path / name.split("/")[0]))
    message = str(raised.value)
    assert message.startswith(str(tmp_path / name.split("/")[0]))
    assert fault in message
    assert "\n" not in message


def test_the_sizes_that_xml_files_state_are_used(tmp_path):
    (tmp_path / "1.xml").write_text(VOC % (64, 48, 0, 32, 24, 48))
    (tmp_path / "2.xml").write_text(FLICKR % (0, 0, 128, 257))  # a pixel too far is rounding
    frames = benchmarks.read(str(tmp_path)).frames
    assert frames["1"].boxes[0].sides == (0, 0.5, 0.5, 1)
    assert frames["2"].boxes[0].sides == (0, 0, 0.5, 257 / 256)


def test_a_published_box_of_vgg_ss_without_an_edge_or_area_leaves_no_truth(tmp_path):
    boxes = [[0.5, 0.5, -(2**63) / 320, 0.9], [0, 0.1, 0, 0.9], [0, 0, 0.5, 1]]
    (tmp_path / "b.json").write_text(VGG_SS % ", ".join(map(str, boxes)))
    found = benchmarks.read(str(tmp_path / "b.json"))
    assert [box.sides for box in found.frames["v_000001"].boxes] == list(map(tuple, boxes))
    assert len(to_table(found)) == 1


def test_a_folder_without_boxes_and_an_unknown_name_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"the folder has no \.xml and no \.npy file"):
        benchmarks.read(str(tmp_path))
    with pytest.raises(
        UserError, match=r"nowhere: no such file or folder of boxes, .*expected one of dsol-solo"
    ):
        benchmarks.read("nowhere")


def test_a_data_set_is_downloaded_once_and_its_digest_is_checked(site, tmp_path):
    (site.files / "set.json").write_text('{"a/1.jpg": {"bbox": []}}')
    source = PublishedFile(f"{site.root}/set.json", file_digest(site.files / "set.json"))
    path = benchmarks.download(source, tmp_path / "cache")
    assert benchmarks.read(str(path)).frames["a/1.jpg"].boxes == ()
    (site.files / "set.json").unlink()
    assert benchmarks.download(source, tmp_path / "cache") == path  # from the cache
    with pytest.raises(UserError, match="can't be downloaded"):
        benchmarks.download(source, tmp_path / "elsewhere")
    (site.files / "set.json").write_text("{}")
    with pytest.raises(
        UserError, match=r"has sha256 \w+, expected \w+: it is not the published file"
    ):
        benchmarks.download(source, tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.slow
def test_the_command_writes_boxes_that_the_workflow_reads(tmp_path):
    content = {
        "vid_0_1000/frame_001/00037.jpg": {
            "bbox": [{"category_id": 3, "normbox": [0.75, 0, 0.25, 1]}]
        }
    }
    (tmp_path / "test.json").write_text(json.dumps(content))
    command = [sys.executable, "-m", "spm.boxes.benchmarks", "test.json", "--out", "boxes.csv"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "boxes.csv: 1 boxes of 1 videos\n"
    (box,) = csv.read(tmp_path / "boxes.csv")
    assert (box["video_id"], box["category"]) == ("vid", "acoustic_guitar")
    assert box["time_s"] == pytest.approx(37 / 30)
    assert [box[side] for side in "xywh"] == [0.75, 0, 0.25, 1]


def test_the_command_counts_the_boxes_of_vgg_ss_that_have_no_area(tmp_path, monkeypatch, capsys):
    (tmp_path / "vggss.json").write_text(VGG_SS % "[0, 0, 0, 1], [0, 0, 0.5, 1]")
    command = ["benchmarks", str(tmp_path / "vggss.json"), "--out", str(tmp_path / "boxes.csv")]
    monkeypatch.setattr(sys, "argv", command)
    benchmarks.main()
    assert capsys.readouterr().out.endswith("1 boxes of 1 videos; 1 without area are left out\n")
