"""The reader of this project's CSV, for the workflow (`read`) and `spm score` (`read_frames`)."""

import codecs

import pytest

from spm.base.errors import UserError
from spm.boxes import benchmarks
from spm.boxes.formats import csv
from spm.boxes.formats.frames import COLUMNS, Box

HEAD = "video_id,time_s,category,x,y,w,h\n"
ROW = "a,1.5,cello,0.25,0,0.5,1\n"
BOX = dict(zip(COLUMNS, ("a", 1.5, "cello", 0.25, 0.0, 0.5, 1.0), strict=True))
OTHER_UNIT = ", not fractions: "


@pytest.mark.parametrize(
    "content",
    [
        HEAD + ROW,
        HEAD + ROW.strip(),  # no line end
        (HEAD + ROW).replace("\n", "\r\n"),
        (HEAD + ROW).replace("\n", "\r"),
        codecs.BOM_UTF8 + (HEAD + ROW).encode(),
        codecs.BOM_UTF16_LE + (HEAD + ROW).encode("utf-16-le"),
        (HEAD + ROW).replace(",", ";"),
        (HEAD + ROW).replace(",", "\t"),
        HEAD.replace(",", ";") + "a;1,5;cello;0,25;0;0,5;1\n",  # decimal commas
        HEAD.replace(",", "\t") + "a\t1,5\tcello\t0,25\t0\t0,5\t1\n",
        "\n" + HEAD + "\n,,,,,,\n" + ROW + ",,,,,,\n   \n",  # blank rows of spreadsheets
        HEAD.replace("h\n", "h,,\n") + ROW.replace("\n", ",,\n"),  # blank columns of spreadsheets
        HEAD.replace(",", " , ") + ROW.replace(",", "\t, "),  # blanks around names and values
        '"video_id","time_s","category","x","y","w","h"\n"a","1.5","cello","0.25","0","0.5","1"\n',
        "note,h,w,y,x,category,time_s,video_id\nseen,1,0.5,0,0.25,cello,1.5,a\n",
    ],
)
def test_a_box_is_read_however_its_file_is_written(tmp_path, content):
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / "b.csv").write_bytes(data)
    assert csv.read(tmp_path / "b.csv") == [BOX]
    frames = benchmarks.read(str(tmp_path / "b.csv")).frames
    assert {key: frame.boxes for key, frame in frames.items()} == {
        "a/1.500": (Box("cello", (0.25, 0, 0.5, 1)),)
    }


@pytest.mark.parametrize("video_id", ["00123", "1e5", "NA", "nan", "True", "-abc_DEF", "07-08"])
def test_a_video_id_stays_text(tmp_path, video_id):
    (tmp_path / "b.csv").write_text(HEAD + ROW.replace("a", video_id, 1))
    assert csv.read(tmp_path / "b.csv")[0]["video_id"] == video_id
    (frame,) = csv.read_frames(tmp_path / "b.csv").frames.values()
    assert frame.video_id == video_id


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        # pixels, with and without x = 0
        ("a,0,cello,0,0,112,224", f"x 0, y 0, w 112, h 224: it looks like pixels{OTHER_UNIT}"),
        ("a,0,cello,30,40,112,224", f"it looks like pixels{OTHER_UNIT}divide by the frame's"),
        ("a,0,cello,10,10,20,40", f"it looks like percent or pixels{OTHER_UNIT}divide percent by"),
        ("a,0,cello,0,0,50,100", f"it looks like percent or pixels{OTHER_UNIT}divide percent by"),
        # outside of the frame
        ("a,0,cello,0.6,0,0.5,0.5", "x 0.6, y 0, w 0.5, h 0.5: it leaves the frame"),
        ("a,0,cello,0,0.6,0.5,0.5", "it leaves the frame"),
        ("a,0,cello,-0.1,0,0.5,0.5", "it leaves the frame"),
        ("a,0,cello,0,0,1.2,1", "it leaves the frame"),
        # no area
        ("a,0,cello,0,0,0,0.5", "x 0, y 0, w 0, h 0.5: it has no area; expected w and h above 0"),
        ("a,0,cello,0.5,0.5,-0.5,0.5", "it has no area"),
        # no numbers
        ("a,0,cello,0,0,wide,1", "w is wide: expected a finite number"),
        ("a,0,cello,0,0,,1", "w is empty: expected a finite number"),
        ("a,0,cello,0,0,nan,1", "w is nan: expected a finite number"),
        ("a,0,cello,0,0,inf,1", "w is inf: expected a finite number"),
        ("a,0,cello,0,0,1_0,1", "w is 1_0: expected a finite number"),
        ('a,0,cello,0,0,"0,5",1', "w is 0,5: expected a finite number"),
        ("a,0:30,cello,0,0,1,1", "time_s is 0:30: expected a finite number"),
        ("a,-1,cello,0,0,1,1", "time_s is -1: expected 0 or more"),
        # missing texts
        ("a,,cello,0,0,1,1", "no time_s; expected"),
        (",0,cello,0,0,1,1", "no video_id; expected"),
        ("a,0,,0,0,1,1", "category is empty: expected the name of the object"),
        # rows of other sizes
        ("a,0,cello,0,0,1", "6 fields; expected 7, as in the header"),
        ("a,0,cello,0,5,0,0,1", "8 fields; expected 7, as in the header"),
        (ROW.strip(), "the same box as in line 2: delete one of the two lines"),
    ],
)
def test_a_wrong_line_is_named_by_every_reader(tmp_path, row, fault):
    path = tmp_path / "b.csv"
    path.write_text(f"{HEAD}{ROW}\n{row}\n")  # the third line is blank
    for read in (csv.read, benchmarks.read):
        with pytest.raises(UserError) as raised:
            read(path if read is csv.read else str(path))
        message = str(raised.value)
        assert message.startswith(f"{path}, line 4: ")
        assert fault in message
        assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "the columns .* are missing"),
        ("video_id,time_s,x,y,w,h\n", "the columns category are missing from 'video_id,time_s,x"),
        (HEAD.replace("time_s", "second") + ROW, "the columns time_s are missing"),
        (HEAD.replace(",", " ") + ROW, "the columns .* are missing"),
        (HEAD.replace("h\n", "h,x\n") + ROW, "the column x occurs twice"),
        (HEAD + 'a,0,"cello,0,0,1,1\n', "line 2: not CSV"),
        ((HEAD + "é,0,cello,0,0,1,1\n").encode("latin-1"), "line 2: byte 0xe9: expected UTF-8"),
    ],
)
def test_a_file_that_is_no_table_of_boxes_is_one_line(tmp_path, content, fault):
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / "b.csv").write_bytes(data)
    with pytest.raises(UserError, match=fault) as raised:
        csv.read(tmp_path / "b.csv")
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_folder_are_one_line(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError, match=r"cannot be read \(.*\): expected a CSV file"):
            csv.read(path)


def test_frames_have_keys_of_their_own_or_of_video_and_time(tmp_path):
    (tmp_path / "b.csv").write_text(
        "key;video_id;time_s;category;x;y;w;h\n"
        "k1;;;cello;0;0;0,5;1\n"
        "k1;;;flute;0,5;0;0,5;1\n"
        "k2;v;0,5;cello;0;0;1;1\n"
        ";v;0,5;cello;0;0;1;1\n"
    )
    frames = benchmarks.read(str(tmp_path / "b.csv")).frames
    found = {key: (frame.video_id, frame.time_s, len(frame.boxes)) for key, frame in frames.items()}
    assert found == {"k1": ("k1", None, 2), "k2": ("v", 0.5, 1), "v/0.500": ("v", 0.5, 1)}


def test_a_key_of_two_videos_and_a_row_without_key_and_video_are_errors(tmp_path):
    head = "key,video_id,category,x,y,w,h\n"
    (tmp_path / "b.csv").write_text(head + "k,v,cello,0,0,1,1\nk,u,flute,0,0,1,1\n")
    with pytest.raises(UserError, match="key k: of the videos u, v; expected one video"):
        benchmarks.read(str(tmp_path / "b.csv"))
    (tmp_path / "b.csv").write_text(head + ",,cello,0,0,1,1\n")
    with pytest.raises(UserError, match="line 2: no video_id and no time_s"):
        benchmarks.read(str(tmp_path / "b.csv"))


def test_what_is_written_is_read_and_a_box_that_stands_twice_is_written_once(tmp_path):
    csv.write(tmp_path / "b.csv", [BOX, BOX, {**BOX, "category": "flute", "time_s": 1 / 3}])
    assert csv.read(tmp_path / "b.csv") == [BOX, {**BOX, "category": "flute", "time_s": 1 / 3}]


def test_a_row_without_category_and_sides_is_a_frame_where_nothing_sounds(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text(HEAD + ROW + "b,2,,,,,\n")
    assert csv.read(path) == [BOX]
    nothing = dict.fromkeys(COLUMNS) | {"video_id": "b", "time_s": 2.0}
    assert csv.read_answers(path) == [BOX, nothing]
    frames = csv.read_frames(path).frames
    assert {key: len(frame.boxes) for key, frame in frames.items()} == {"a/1.500": 1, "b/2.000": 0}
    path.write_text("key,category,x,y,w,h\nf.jpg,,,,,\n")
    assert csv.read_frames(path).frames["f.jpg"].boxes == ()


@pytest.mark.parametrize("read", [csv.read, csv.read_frames])
def test_a_frame_with_a_box_where_nothing_sounds_is_an_error(tmp_path, read):
    path = tmp_path / "b.csv"
    path.write_text(HEAD + "a,1.50,,,,,\n" + ROW)
    with pytest.raises(UserError, match=r"line 3: its frame has a box in one line .*\(line 2\)"):
        read(path)
    path.write_text(HEAD + "a,1.50,,,,,\na,1.5,,,,,\n")
    with pytest.raises(UserError, match="line 3: the same box as in line 2"):
        read(path)
