import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from spm.base.errors import UserError
from spm.boxes import benchmarks
from spm.boxes.benchmarks import PublishedFile
from spm.boxes.formats import csv
from spm.boxes.formats.frames import COLUMNS, Box, Frame, to_table
from spm.corpus.fetching.store import digest_of


@pytest.fixture(scope="module")
def manifests(shared):
    return shared / "manifests"


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


def test_the_pinned_digests_are_those_of_the_published_files(manifests):
    for name, source in benchmarks.SETS.items():
        file = next(manifests.rglob(source.url.rsplit("/", 1)[1]))
        assert digest_of(file) == source.sha256, name


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
    assert found.frames["zpWuikVorYg_000032"].time_s == 37.0
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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("boxes.json", "{", "not boxes in a known format"),
        (
            "boxes.json",
            '{"k": {"bbox": [{"category_id": 99, "normbox": [0, 0, 1, 1]}]}}',
            "IndexError",
        ),
        (
            "boxes.json",
            '{"v/1.jpg": {"bbox": [{"category_id": 1, "normbox": [0, 0, 1]}]}}',
            "not enough values",
        ),
        ("boxes.csv", "category,x,y,w,h\ncello,0,0,1,1\n", "KeyError: 'time_s'"),
        (
            "boxes.csv",
            "key,category,x,y,w,h\nk,cello,0,0,nan,1\n",
            "box 0.0, 0.0, nan, 1.0: expected four finite numbers",
        ),
    ],
)
def test_an_unreadable_file_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        benchmarks.read(str(tmp_path / name))


def test_a_folder_without_boxes_and_an_unknown_name_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"the folder has no \.xml and no \.npy file"):
        benchmarks.read(str(tmp_path))
    with pytest.raises(
        UserError, match=r"nowhere: expected a file or folder of boxes, or one of dsol-solo"
    ):
        benchmarks.read("nowhere")


def test_a_data_set_is_downloaded_once_and_its_digest_is_checked(site, tmp_path):
    (site.files / "set.json").write_text('{"a/1.jpg": {"bbox": []}}')
    source = PublishedFile(f"{site.root}/set.json", digest_of(site.files / "set.json"))
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


def test_the_command_writes_boxes_that_the_workflow_reads(tmp_path):
    content = {
        "vid_0_1000/frame_001/00037.jpg": {
            "bbox": [{"category_id": 3, "normbox": [0.9, 0, 0.2, 1]}]
        }
    }
    (tmp_path / "test.json").write_text(json.dumps(content))
    command = [sys.executable, "-m", "spm.boxes.benchmarks", "test.json", "--out", "boxes.csv"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "boxes.csv: 1 boxes of 1 videos\n"
    (box,) = csv.read(tmp_path / "boxes.csv")
    assert (box["video_id"], box["category"]) == ("vid", "acoustic_guitar")
    assert box["time_s"] == pytest.approx(37 / 30)
    assert box["w"] == pytest.approx(0.1)  # clipped to the frame
