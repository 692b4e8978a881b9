"""Files are checked by processes that one helper forks; a file ends only its own process."""

from pathlib import Path

import pytest

from spm.base.errors import UserError
from spm.corpus.fetching import media_check
from spm.corpus.fetching.local import local_record
from spm.corpus.fetching.media_check import NotMedia, check_media
from spm.corpus.media import forks
from spm.corpus.media.limits import Bounds

CRASHING = "tests.support.crashing"  # ends its processes as the names of the files say


def helper_pid(module: str) -> int:
    with forks.helper(module) as helper:
        return helper.process.pid


@pytest.mark.slow
def test_media_have_no_fault_and_other_files_have_a_reason(media, tmp_path):
    (tmp_path / "text.mp4").write_text("no film")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
    check_media(media)
    for name in ("text.mp4", "list.m3u8"):
        with pytest.raises(NotMedia, match="not media: "):
            check_media(tmp_path / name)
    first = helper_pid(media_check.HELPER)
    check_media(media)
    assert helper_pid(media_check.HELPER) == first


@pytest.fixture
def crashing(tmp_path, monkeypatch) -> Path:
    """A folder whose files end the process that reads them."""
    monkeypatch.setattr(media_check, "HELPER", CRASHING)
    for name in ("SIGSEGV", "SIGKILL", "hang"):
        (tmp_path / f"{name}.mp4").write_text("no film")
    return tmp_path


def test_a_file_that_ends_the_process_has_a_reason_unless_somebody_stopped_it(
    media, crashing, monkeypatch
):
    with pytest.raises(NotMedia, match=r"ends the process that reads it \(SIGSEGV\)"):
        check_media(crashing / "SIGSEGV.mp4")
    with pytest.raises(UserError, match="stopped from outside"):
        check_media(crashing / "SIGKILL.mp4")
    monkeypatch.undo()
    check_media(media)


@pytest.mark.slow
def test_a_helper_that_somebody_stopped_is_started_again(media):
    with forks.helper(media_check.HELPER) as helper:
        helper.process.kill()
        helper.process.wait()
    check_media(media)
    assert helper_pid(media_check.HELPER) != helper.process.pid


@pytest.mark.slow
def test_a_file_that_needs_much_processor_time_is_no_media(crashing, monkeypatch):
    monkeypatch.setattr(media_check, "BOUNDS", Bounds(memory_mb=3000, time_s=60, cpu_s=1))
    (crashing / "busy.mp4").write_text("no film")
    with pytest.raises(NotMedia, match="its header takes more than 1 s to read"):
        check_media(crashing / "busy.mp4")


@pytest.mark.slow
def test_a_file_system_that_does_not_answer_may_answer_later(media, crashing, monkeypatch):
    """A network file system: the process waits, and needs no time of the processor."""
    monkeypatch.setattr(media_check, "BOUNDS", Bounds(memory_mb=3000, time_s=1, cpu_s=60))
    record = local_record("a", crashing / "hang.mp4")
    assert (record.status, record.reason) == ("retry", "its header was not read within 1 s")
    monkeypatch.undo()
    assert local_record("a", media).status == "ok"
