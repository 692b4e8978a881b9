"""The file of decisions: other programs write it too, in any form, and no decision gets lost."""

import codecs
import errno
import os
from dataclasses import replace

import pytest

from spm.base.errors import UserError
from spm.boxes.review import decision_log
from spm.boxes.review.decision_log import DecisionLog, append
from spm.boxes.review.decisions import COLUMNS, Decision, read

BOX = "cello 0.1000 0.1000 0.2000 0.2000"
ACCEPT = Decision("v_0000000", 1, BOX, "accept", "cello", 0.1, 0.1, 0.2, 0.2, "ada")
REJECT = replace(ACCEPT, verdict="reject", reviewer="bob")
HEADER = ",".join(COLUMNS)
LINE = f"v_0000000,1,{BOX},accept,cello,0.1000,0.1000,0.2000,0.2000,ada"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reviews.csv"


def numbered(number, **changes):
    return replace(ACCEPT, frame=number, **changes)


def frames(path):
    return [decision.frame for decision in read(path)]


def backups(path):
    return sorted(file.name for file in path.parent.iterdir() if ".bak-" in file.name)


FORMS = {
    "no line end": (HEADER + "\n" + LINE).encode(),
    "CR": (HEADER + "\r" + LINE + "\r").encode(),
    "CR, no line end": (HEADER + "\r" + LINE).encode(),
    "CRLF": (HEADER + "\r\n" + LINE + "\r\n").encode(),
    "BOM": codecs.BOM_UTF8 + (HEADER + "\n" + LINE + "\n").encode(),
    "UTF-16": codecs.BOM_UTF16_LE + (HEADER + "\r\n" + LINE + "\r\n").encode("utf-16-le"),
    "UTF-16, no mark": (HEADER + "\n" + LINE).encode("utf-16-le"),
    "semicolons": (HEADER + "\n" + LINE + "\n").replace(",", ";").encode(),
    "decimal commas": (HEADER + "\n" + LINE + "\n")
    .replace(",", ";")
    .replace("0.1000;0.1000", "0,1;0,1")
    .encode(),
    "blank lines": ("\n\n" + HEADER + "\n\n" + LINE + "\n\n").encode(),
    "other columns": (f"note,{HEADER}\nmine,{LINE}\n").encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_decision_is_added_to_a_file_of_any_form_and_nothing_is_removed(path, form):
    path.write_bytes(FORMS[form])
    assert read(path) == [ACCEPT]
    append(path, REJECT)
    assert path.read_bytes().startswith(FORMS[form])
    append(path, numbered(7))
    assert read(path) == [ACCEPT, REJECT, numbered(7)]
    assert backups(path) == []


def test_numbers_get_the_decimal_comma_of_the_file(path):
    path.write_bytes(FORMS["decimal commas"])
    append(path, REJECT)
    assert path.read_text().splitlines()[2] == (
        f"v_0000000;1;{BOX};reject;cello;0,1000;0,1000;0,2000;0,2000;bob"
    )


@pytest.mark.parametrize("content", [b"", b"\n", codecs.BOM_UTF8, b"\r\n\r\n"])
def test_a_blank_file_gets_a_header(path, content):
    path.write_bytes(content)
    append(path, ACCEPT)
    assert read(path) == [ACCEPT]
    assert path.read_bytes().startswith(content)


FOREIGN = {
    "one line": b"remember to call bob",
    "a table": b"a,b\n1,2\n",
    "a photo": bytes(range(256)),
    "another encoding": (HEADER + "\n" + LINE.replace("ada", "Jos\u00e9")).encode("latin-1"),
    "a wrong line": f"{HEADER}\n{LINE.replace('accept', 'maybe')}\n{LINE}\n".encode(),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_refused_and_stays_as_it_is(path, kind):
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(UserError, match=r"reviews\.csv"):
        append(path, ACCEPT)
    assert path.read_bytes() == FOREIGN[kind]
    assert backups(path) == []


def test_a_folder_in_place_of_the_file_is_one_line(path):
    path.mkdir()
    with pytest.raises(UserError, match=r"reviews\.csv: cannot be (read|written) \("):
        append(path, ACCEPT)
    with pytest.raises(UserError, match=r"reviews\.csv: cannot be read \("):
        DecisionLog(path).refresh()


@pytest.mark.parametrize("length", [3, len(HEADER), len(HEADER) + 20, len(HEADER) + 1 + 40])
def test_an_incomplete_line_is_copied_before_it_is_removed(path, length):
    text = f"{HEADER}\n{LINE}\n"[:length]
    path.write_text(text)
    log = DecisionLog(path)
    log.append(REJECT)
    assert read(path) == [REJECT]
    if text == HEADER:  # complete, but for its line break
        assert backups(path) == log.notices == []
    else:
        assert path.with_name("reviews.csv.bak-1").read_text() == text
        assert "its last line was incomplete" in log.notices[0]


def test_what_a_stale_editor_overwrites_is_added_again(path):
    """The editor reads the file, the page stores two decisions, the editor saves what it read."""
    log = DecisionLog(path)
    log.append(numbered(1))
    stale = path.read_text()
    log.append(numbered(2))
    log.append(numbered(2, verdict="undo"))
    log.append(numbered(2))
    path.write_text(stale + LINE.replace(",1,", ",9,") + "\n")
    log.append(numbered(3))
    assert frames(path) == [1, 9, 2, 2, 2, 3]
    assert "without 3 decisions of yours" in log.notices[0]
    assert len(path.with_name("reviews.csv.bak-1").read_text().splitlines()) == 5


@pytest.mark.parametrize("change", ["in place", "by a new file", "deleted"])
def test_lost_decisions_come_back_when_the_page_ends(path, change):
    log = DecisionLog(path)
    log.append(numbered(1))
    log.append(numbered(2))
    if change == "in place":
        path.write_text(HEADER + "\n")
    elif change == "deleted":
        path.unlink()
    else:
        part = path.with_name("part")
        part.write_text(HEADER + "\n")
        part.replace(path)
    log.close()
    assert frames(path) == [1, 2]


def test_each_server_adds_its_own_decisions_again(path):
    one, two = DecisionLog(path), DecisionLog(path)
    one.append(numbered(1))
    stale = path.read_text()
    one.append(numbered(2))
    two.append(numbered(3, reviewer="bob"))
    path.write_text(stale)
    two.close()
    assert frames(path) == [1, 3]
    one.close()
    assert frames(path) == [1, 3, 2]


def test_what_a_person_corrects_or_deletes_by_hand_stays_so(path):
    log = DecisionLog(path)
    for number in range(4):
        log.append(numbered(number))
    lines = path.read_text().splitlines(keepends=True)
    lines[4] = lines[4].replace(",accept,", ",reject,")  # the last decision is corrected
    path.write_text("".join(lines[:2] + lines[3:]))  # and frame 1 is deleted
    assert log.refresh() == {numbered(n).key for n in range(4)}
    log.append(numbered(5))
    assert [(d.frame, d.verdict) for d in read(path)] == [
        (0, "accept"),
        (2, "accept"),
        (3, "reject"),
        (5, "accept"),
    ]
    assert log.notices == []


def test_decisions_are_kept_while_the_file_is_not_one_of_decisions(path):
    log = DecisionLog(path)
    log.append(numbered(1))
    stored = path.read_bytes()
    path.write_bytes(FOREIGN["a table"])
    for _ in range(2):
        with pytest.raises(UserError, match=r"expected clip_id.*; reviews\.csv\.bak-1 has the"):
            log.append(numbered(2))
    assert path.read_bytes() == FOREIGN["a table"]
    assert path.with_name("reviews.csv.bak-1").read_bytes() == stored
    assert backups(path) == ["reviews.csv.bak-1"]
    path.unlink()
    log.append(numbered(2))
    assert frames(path) == [1, 2]


def test_a_line_that_an_editor_overwrites_during_the_write_is_written_again(path, monkeypatch):
    log = DecisionLog(path)
    log.append(numbered(1))
    write, stale = decision_log._write, path.read_text()

    def overwrite_once(*args):
        write(*args)
        monkeypatch.undo()
        path.write_text(stale)

    monkeypatch.setattr(decision_log, "_write", overwrite_once)
    log.append(numbered(2))
    assert frames(path) == [1, 2]


def test_another_server_reads_only_what_is_new(path):
    one, two = DecisionLog(path), DecisionLog(path)
    one.append(numbered(1))
    assert two.refresh() == {numbered(1).key}
    two.append(numbered(2, reviewer="bob"))
    one.append(numbered(3))
    assert two.refresh() == {numbered(2).key, numbered(3).key}
    assert one.current(numbered(2).key) == numbered(2, reviewer="bob")
    assert frames(path) == [1, 2, 3]


def test_a_full_disk_leaves_no_part_of_a_line(path, monkeypatch):
    log = DecisionLog(path)
    log.append(numbered(1))

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=r"reviews\.csv: cannot be written \(No space left"):
        log.append(numbered(2))
    monkeypatch.undo()
    assert frames(path) == [1]
    log.append(numbered(3))
    assert frames(path) == [1, 3]


def test_a_link_to_the_file_stays(path):
    real = path.with_name("real.csv")
    append(real, ACCEPT)
    path.symlink_to(real)
    append(path, REJECT)
    assert path.is_symlink()
    assert read(real) == [ACCEPT, REJECT]
