"""Digests of files are kept while the files are the same, and no longer."""

import hashlib
import os
from pathlib import Path

import pytest

from spm.base import file_digest
from spm.base.file_digest import known_digests


@pytest.fixture
def media(tmp_path) -> Path:
    (tmp_path / "a.mp4").write_bytes(b"first")
    return tmp_path / "a.mp4"


def digest(path: Path) -> str:
    return known_digests([str(path)], path.parent / "cache.json")[str(path)]


def test_a_file_is_read_once(media, monkeypatch):
    monkeypatch.setattr(file_digest, "RECENT_S", -1)  # else only after two seconds
    assert digest(media) == hashlib.sha256(b"first").hexdigest()
    monkeypatch.setattr(file_digest, "file_digest", lambda path: pytest.fail("was read again"))
    assert digest(media) == hashlib.sha256(b"first").hexdigest()


def test_other_content_is_noticed_with_the_same_size_and_time(media, monkeypatch):
    """As `cp -p`, `touch -r` and `rsync -t` leave it."""
    monkeypatch.setattr(file_digest, "RECENT_S", -1)
    before, times = digest(media), (media.stat().st_atime_ns, media.stat().st_mtime_ns)
    media.write_bytes(b"other")
    os.utime(media, ns=times)
    assert digest(media) != before
    (media.parent / "new.mp4").write_bytes(b"third")
    os.utime(media.parent / "new.mp4", ns=times)
    (media.parent / "new.mp4").replace(media)
    assert digest(media) == hashlib.sha256(b"third").hexdigest()


def test_a_file_that_was_just_written_is_read_again(media):
    """Two changes within one tick of the clock of a file system have the same time."""
    digest(media)
    assert (media.parent / "cache.json").read_text() == "{}"


def test_what_is_no_file_on_a_disk_is_not_read(tmp_path):
    """A list of videos may name /proc/kcore, which has 128 TB, or a pipe, which has no end."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "empty").touch()
    names = ["pipe", "sparse", "empty", "folder", "nowhere", "zero\0byte", "x" * 300]
    (tmp_path / "folder").mkdir()
    paths = [str(tmp_path / name) for name in names]
    found = known_digests(paths, tmp_path / "cache.json")
    expected = ["not a file", "not a file", "empty", "not a file", *["missing"] * 3]
    assert [found[path] for path in paths] == expected


@pytest.mark.parametrize("text", ["", "[]", "{", "\0"])
def test_a_damaged_cache_is_made_anew(media, text):
    (media.parent / "cache.json").write_text(text)
    assert digest(media) == hashlib.sha256(b"first").hexdigest()
