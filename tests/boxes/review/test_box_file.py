"""The file of boxes while people draw: what changes, what stays, and who else writes it."""

import codecs
import multiprocessing
import os

import pytest

from spm.base.errors import UserError
from spm.boxes.formats import csv
from spm.boxes.review import draw_answers
from spm.boxes.review.box_file import BoxFile, Edit
from spm.boxes.review.draw_answers import NO_ROWS, Conflict, DrawnBox, FrameAnswer

HEAD = "video_id,time_s,category,x,y,w,h\n"
FRAME = {"clip_id": "v_0000000", "video_id": "v", "frame": 1, "time_s": 0.5}
CLIPS = [{"clip_id": "v_0000000", "video_id": "v", "frame_time_s": [0.0, 0.5]}]
CELLO = ("cello", 0.1, 0.2, 0.3, 0.4)


def drawn(category, *sides, row=None):
    return DrawnBox(row=row, category=category, **dict(zip("xywh", sides, strict=True)))


def stored(contents):
    return draw_answers.by_frame(contents.answers, CLIPS).get(("v_0000000", 1), NO_ROWS)


def answer(path, *boxes, nothing_sounds=False, version=None):
    """Store an answer to FRAME; without a version, one that knows the file."""
    file = BoxFile(path)
    known = version or stored(file.load()).version
    sent = FrameAnswer(number=0, version=known, nothing_sounds=nothing_sounds, boxes=list(boxes))
    return file.replace(
        lambda contents: draw_answers.plan_edit(sent, FRAME, stored(contents), contents)
    )


def test_the_first_answer_creates_the_file_and_its_folder(tmp_path):
    path = tmp_path / "new/boxes.csv"
    answer(path, drawn(*CELLO), drawn("flute", 0.123456, 0, 0.876544, 1))
    assert path.read_text() == (
        HEAD + "v,0.5,cello,0.1,0.2,0.3,0.4\n" + "v,0.5,flute,0.1235,0,0.8765,1\n"
    )
    assert [file.name for file in path.parent.iterdir()] == ["boxes.csv"]


def test_only_the_rows_of_the_frame_change(tmp_path):
    path = tmp_path / "boxes.csv"
    before = "a,9,cello,0,0,1,1\n\nv,0.0,cello,0.50,0,.5,1\n"
    after = "  b , 7,cello,0,0,1,1\n"
    path.write_text(HEAD + before + "v,0.44,cello,0,0,1,1\n" + after)
    answer(path, drawn("cello", 0, 0.25, 1, 0.5, row=0), drawn("flute", 0, 0, 0.5, 0.5))
    # The new box has the time of the old one, so that both stay on one frame.
    expected = "v,0.44,cello,0,0.25,1,0.5\n" + after + "v,0.44,flute,0,0,0.5,0.5\n"
    assert path.read_text() == HEAD + before + expected
    answer(path, drawn("flute", 0, 0, 0.5, 0.5, row=1))
    assert path.read_text() == HEAD + before + after + "v,0.44,flute,0,0,0.5,0.5\n"
    answer(path)
    assert path.read_text() == HEAD + before + after


def test_nothing_sounds_is_a_row_without_a_box(tmp_path):
    path = tmp_path / "boxes.csv"
    answer(path, drawn(*CELLO))
    answer(path, nothing_sounds=True)
    assert path.read_text() == HEAD + "v,0.5,,,,,\n"
    assert csv.read(path) == []
    inode = path.stat().st_ino
    answer(path, nothing_sounds=True)  # nothing to write
    assert path.stat().st_ino == inode
    answer(path, drawn(*CELLO))
    assert path.read_text() == HEAD + "v,0.5,cello,0.1,0.2,0.3,0.4\n"


@pytest.mark.parametrize(
    ("start", "ending"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (b"", "utf-8"),
    ],
)
def test_the_form_of_a_spreadsheet_stays(tmp_path, start, ending):
    path = tmp_path / "boxes.csv"
    text = "note;video_id;time_s;category;x;y;w;h;;\r\nschön;v;0,5;cello;0,1;0;0,5;1;;"
    path.write_bytes(start + text.encode(ending))
    moved = drawn("cello", 0.25, 0, 0.5, 1, row=0)
    answer(path, moved, drawn("flute", 0, 0, 0.5, 0.5))
    lines = [
        "note;video_id;time_s;category;x;y;w;h;;",
        "schön;v;0,5;cello;0,25;0;0,5;1;;",
        ";v;0,5;flute;0;0;0,5;0,5;;",
        "",
    ]
    assert path.read_bytes() == start + "\r\n".join(lines).encode(ending)
    assert len(csv.read(path)) == 2


def test_an_answer_to_other_boxes_than_the_stored_ones_changes_nothing(tmp_path):
    path = tmp_path / "boxes.csv"
    old = stored(BoxFile(path).load()).version
    answer(path, drawn(*CELLO))
    before = path.read_text()
    with pytest.raises(Conflict):
        answer(path, drawn("flute", 0, 0, 1, 1), version=old)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("boxes", "fault"),
    [
        ([drawn("cello", 0.9, 0, 0.5, 1)], "it leaves the frame"),
        ([drawn("cello", 0, 0, 0.00001, 1)], r"boxes.csv, line 2: .* it has no area"),
        ([drawn("cello", 0, 0, float("nan"), 1)], "expected a finite number"),
        ([drawn("two\nlines", 0, 0, 1, 1)], "expected a name on one line"),
        ([drawn(" ", 0, 0, 1, 1)], "expected a name on one line"),
        ([drawn(*CELLO, row=3)], "row 3: the frame has 0 boxes"),
        ([drawn(*CELLO, row=0), drawn(*CELLO, row=0)], "expected each row once"),
        ([drawn(*CELLO), drawn(*CELLO)], r"boxes.csv, line 3: the same box as in line 2"),
    ],
)
def test_a_wrong_box_is_an_error_and_leaves_no_file(tmp_path, boxes, fault):
    with pytest.raises((UserError, ValueError), match=fault):
        answer(tmp_path / "boxes.csv", *boxes)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_a_fault_is_not_overwritten(tmp_path):
    path = tmp_path / "boxes.csv"
    file = BoxFile(path)
    version = stored(file.load()).version
    path.write_text(HEAD + "v,half,cello,0,0,1,1\n")
    with pytest.raises(UserError, match=r"boxes.csv, line 2: time_s is half"):
        answer(path, drawn(*CELLO), version=version)
    assert path.read_text() == HEAD + "v,half,cello,0,0,1,1\n"


def test_an_edit_that_an_editor_saves_during_a_change_is_kept(tmp_path):
    """The plan is made, then an editor saves the file; the change is planned again."""
    path = tmp_path / "boxes.csv"
    path.write_text(HEAD)
    edits = iter(["a,1,cello,0,0,1,1\n", "b,2,flute,0,0,1,1\n"])
    seen = []

    def plan(contents):
        seen.append([answer.box.video_id for answer in contents.answers])
        if text := next(edits, None):
            if len(seen) == 1:
                path.write_text(path.read_text() + text)  # in place
            else:
                part = tmp_path / "part"
                part.write_text(path.read_text() + text)
                os.replace(part, path)
        return Edit({}, [contents.row({"video_id": "v", "time_s": "0"})])

    BoxFile(path).replace(plan)
    assert seen == [[], ["a"], ["a", "b"]]
    assert [row["video_id"] for row in csv.read_answers(path)] == ["a", "b", "v"]


def test_boxes_that_a_stale_editor_overwrites_are_in_a_copy(tmp_path, capsys):
    path = tmp_path / "boxes.csv"
    file = BoxFile(path)
    rows = [f"v,{number},cello,0,0,1,1\n" for number in range(3)]
    for row in rows:
        file.replace(lambda contents, row=row: Edit({}, [row.strip().split(",")]))
    path.write_text(HEAD + rows[0] + rows[1])  # another page removes one box
    file.load()
    assert [path.name for path in tmp_path.iterdir()] == ["boxes.csv"]
    path.write_text(HEAD)
    file.load()
    assert (tmp_path / "boxes.csv.bak-1").read_text() == HEAD + rows[0] + rows[1]
    assert "without your boxes of 2 frames; boxes.csv.bak-1 has" in capsys.readouterr().err


def _draw_many(path, video_id):
    file = BoxFile(path)
    for number in range(25):
        values = (video_id, str(number), "cello", "0", "0", "1", "1")
        cells = dict(zip(csv.COLUMNS, values, strict=True))
        file.replace(lambda contents, cells=cells: Edit({}, [contents.row(cells)]))


@pytest.mark.slow
def test_several_servers_can_write_at_the_same_time(tmp_path):
    path = tmp_path / "boxes.csv"
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=_draw_many, args=(path, name)) for name in "abc"]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    rows = csv.read(path)
    for name in "abc":
        assert [row["time_s"] for row in rows if row["video_id"] == name] == list(range(25))
    assert [file.name for file in tmp_path.iterdir()] == ["boxes.csv"]


def test_the_mode_of_the_file_and_a_link_to_it_stay(tmp_path):
    path, link = tmp_path / "real.csv", tmp_path / "boxes.csv"
    path.write_text(HEAD)
    path.chmod(0o640)
    link.symlink_to(path)
    answer(link, drawn(*CELLO))
    assert link.is_symlink()
    assert len(csv.read(path)) == 1
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"boxes.csv: cannot be written \("):
        answer(tmp_path / "file/boxes.csv", drawn(*CELLO))
