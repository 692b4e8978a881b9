import json
import re
import unicodedata

import pandas as pd
import pytest

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.boxes.formats import image_names
from spm.boxes.formats.image_names import image_name, parse_image_name
from spm.corpus.ids import check_id

LONG_ID = "recital-" * 16
IDS = ["cello-01", "a", "-Ab_c.D", ".hidden", "x+y", "größe", LONG_ID, "a/b/c/d", "0", "deadbeef-a"]


def frame(video_id, time_s):
    return {"video_id": video_id, "time_s": time_s}


@pytest.fixture
def known(tmp_path):
    """Makes KnownFrames of frames: from a list, or from an index whose clips they lie in."""

    def make(source, *frames):
        if source == "list":
            image_names.write_list(tmp_path / "frames.csv", [frame(*f) for f in frames])
            return image_names.read_list(tmp_path / "frames.csv")
        rows = [{"video_id": video, "start_s": time_s // 1} for video, time_s in frames]
        tables.write_rows(tmp_path / "clips.parquet", schemas.INDEX, rows)
        return image_names.read_index(tmp_path / "clips.parquet")

    return make


@pytest.mark.parametrize("video_id", IDS)
def test_names_have_only_letters_digits_and_signs_that_tools_keep(video_id):
    if "/" not in video_id:  # of a mosaic
        check_id(video_id)
    name = image_name(frame(video_id, 3661.2345))
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*_3661(234|235)ms\.jpg", name)
    assert len(name) <= 70  # Label Studio cuts longer ones


def test_names_of_different_frames_differ():
    frames = [frame(video_id, time_s) for video_id in [*IDS, "x_y", "größ_", LONG_ID[1:]]
              for time_s in (0, 0.001, 1.25)]  # fmt: skip
    assert len({image_name(f).lower() for f in frames}) == len(frames)


@pytest.mark.parametrize("video_id", ["cello-01", "a_1", "-Ab_c.D", "a_0001250ms"])
def test_a_plain_name_tells_video_and_time_in_either_form(video_id):
    assert parse_image_name("x/" + image_name(frame(video_id, 1.25))) == (video_id, 1.25)
    assert parse_image_name(f"x\\{video_id}@1.250.png") == (video_id, 1.25)


@pytest.mark.parametrize(
    "name",
    ["holiday.jpg", "v1.250.jpg", "v@1.jpg", "6f69a740-v_0001250ms.jpg", "v_0001250ms.jpg.txt",
     "c15a12c9__v@1.250.jpg", "v_1250ms.jpg", "_0001250ms.jpg"],
)  # fmt: skip
def test_a_name_that_a_tool_changed_needs_a_list(name):
    with pytest.raises(
        ValueError, match=r"expected a name like VIDEO_0001250ms.jpg.*--frames-list"
    ):
        parse_image_name(name)


CHANGES = {
    "nothing": "{}",
    "a folder": "images/train/{}",
    "a folder of Windows": "C:\\images\\{}",
    "Label Studio's prefix": "../../data/media/upload/1/6f69a740-{}",
    "Label Studio's local storage": "http://localhost:8080/data/local-files/?d={}",
    "a short prefix": "8f3a-{}",
    "Label Studio's two prefixes": "images/c15a12c9__dba89895-{}",
    "a UUID": "3f2504e0-4f89-11d3-9a0c-0305e82c3301-{}",
}


@pytest.mark.parametrize("source", ["list", "index"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("video_id", IDS)
def test_a_frame_is_found_whatever_tools_add_to_its_name(known, source, change, video_id):
    frames = known(source, (video_id, 61.25), ("other", 61.25), (video_id, 3.0))
    new = image_name(frame(video_id, 61.25))
    assert frames.find(change.format(new)) == (video_id, 61.25)
    suffixed = new.replace(".jpg", "_jpg.rf.0a1b2c.jpg"), new.replace(".jpg", "-2.png")
    for name in suffixed:
        assert frames.find(change.format(name)) == (video_id, 61.25)


@pytest.mark.parametrize("source", ["list", "index"])
@pytest.mark.parametrize("sign", ["@", "", "_", "-", "%40"])
@pytest.mark.parametrize("video_id", ["cello-01", "-Ab_c.D", "größe", "x+y", "deadbeef-a"])
def test_the_older_form_is_found_with_and_without_its_sign(known, source, sign, video_id):
    frames = known(source, (video_id, 1.25), ("other", 1.25))
    for text in (video_id, video_id.replace("+", ""), unicodedata.normalize("NFD", video_id)):
        assert frames.find(f"u/6f69a740-{text}{sign}1.250.jpg") == (video_id, 1.25)


@pytest.mark.parametrize("source", ["list", "index"])
def test_a_name_that_two_frames_can_have_is_an_error(known, source):
    frames = known(source, ("a", 11.25), ("a1", 1.25))
    with pytest.raises(ValueError, match=r"can be a at 11.250 s or a1 at 1.250 s: expected one fr"):
        frames.find("6f69a740-a11.250.jpg")
    assert frames.find("6f69a740-a1@1.250.jpg") == ("a1", 1.25)
    assert frames.find(f"6f69a740-{image_name(frame('a', 11.25))}") == ("a", 11.25)


@pytest.mark.parametrize("source", ["list", "index"])
def test_the_time_decides_between_videos(known, source):
    frames = known(source, ("a", 11.25), ("a1", 9.25))
    assert frames.find("6f69a740-a11.250.jpg") == ("a", 11.25)


@pytest.mark.parametrize("source", ["list", "index"])
@pytest.mark.parametrize(
    "name",
    ["my-cello-01_0001250ms.jpg", "cello-01_0009250ms.jpg", "cello-011_0001250ms.jpg",
     "cello-01_00012509ms.jpg", "cello-01_0001250ms2.jpg", "cello-01@1.2500.jpg", "holiday.jpg",
     "cello-01.jpg", "train_cello-01_0001250ms.jpg", "Cello-01_0001250ms.jpg", ""],
)  # fmt: skip
def test_an_image_of_no_known_frame_is_an_error(known, source, name):
    frames = known(source, ("cello-01", 1.25), ("cello-02", 1.25))
    with pytest.raises(
        ValueError, match=r"is no frame of .*(frames.csv|clips.parquet): expected a"
    ):
        frames.find(name)


def test_a_list_gives_the_time_that_it_has_for_any_name(tmp_path):
    text = "time_s;video_id;file_name;note\n1,25049;v;v_0001250ms.jpg;\n2,5;w;Frame 7@x.png;mine\n"
    (tmp_path / "f.csv").write_text(text)
    frames = image_names.read_list(tmp_path / "f.csv")
    assert frames.find("6f69a740-v_0001250ms-2.jpg") == ("v", 1.25049)
    for name in ("Frame 7@x.png", "a/Frame 7@x.jpg", "6f69a740-Frame_7_x.png", "Frame7x.png"):
        assert frames.find(name) == ("w", 2.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,time_s\n", "the columns video_id are missing"),
        (
            "file_name,video_id,time_s\na.jpg,v,later\n",
            "line 2: time_s is later: expected a finite",
        ),
        ("file_name,video_id,time_s\na.jpg,v,-1\n", "line 2: expected a file_name, a video_id and"),
        (
            "file_name,video_id,time_s\na.jpg,v,1\nb.jpg,,1\n",
            "line 3: expected a file_name, a vide",
        ),
    ],
)
def test_a_wrong_list_is_an_error_that_names_the_line(text, message, tmp_path):
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        image_names.read_list(tmp_path / "f.csv")


def test_a_listed_name_of_two_frames_is_an_error(tmp_path):
    (tmp_path / "f.csv").write_text("file_name,video_id,time_s\na/x.jpg,v,1\nb/x.jpg,w,1\n")
    with pytest.raises(ValueError, match=r"can be v at 1.000 s or w at 1.000 s"):
        image_names.read_list(tmp_path / "f.csv").find("b/x.jpg")


def test_a_second_export_adds_to_the_list_and_keeps_what_the_user_added(tmp_path):
    path = tmp_path / "frames.csv"
    path.write_text("file_name,video_id,time_s,note\nmine.png,v,7,hello\na_0001000ms.jpg,a,1,\n")
    before = path.read_bytes()
    image_names.write_list(path, [frame("a", 1.0)])
    assert path.read_bytes() == before
    image_names.write_list(path, [frame("b", 2.0), frame("b", 2.0), frame("a", 1.0)])
    table = pd.read_csv(path, keep_default_na=False)
    assert table["file_name"].tolist() == ["mine.png", "a_0001000ms.jpg", "b_0002000ms.jpg"]
    assert table["note"].tolist() == ["hello", "", ""]


def test_a_list_saved_by_a_spreadsheet_keeps_its_times(tmp_path):
    path = tmp_path / "frames.csv"
    path.write_text("file_name;video_id;time_s\nmine.png;v;7,25\n")
    image_names.write_list(path, [frame("a", 1.5)])
    known = image_names.read_list(path)
    assert known.find("mine.png") == ("v", 7.25)
    assert known.find("a_0001500ms.jpg") == ("a", 1.5)


def test_a_file_with_other_columns_is_not_overwritten(tmp_path):
    (tmp_path / "frames.csv").write_text("frame\n1\n")
    with pytest.raises(UserError, match="the columns file_name,video_id,time_s are missing"):
        image_names.write_list(tmp_path / "frames.csv", [frame("a", 1.0)])
    assert (tmp_path / "frames.csv").read_text() == "frame\n1\n"


def test_the_real_export_of_label_studio_comes_home(shared, known, tmp_path):
    coco = json.loads((shared / "cases/tables/labelstudio_1.23.2_real_COCO.json").read_text())
    for source in ("list", "index"):
        frames = known(source, ("demo-cello-01", 0.0), ("demo-cello-01", 0.25), ("demo-cello-0", 3))
        found = [frames.find(image["file_name"]) for image in coco["images"]]
        assert found == [("demo-cello-01", 0.0), ("demo-cello-01", 0.25)]
